"""Hosts that render a chat template: their model gets a prompt, which is a string, as in every real engine.

The templates are in the style of those of Hermes, Qwen and others: ChatML, tools as JSON in the system message, calls
as JSON between `<tool_call>` tags, reasoning between `<think>` tags. They are rendered as transformers renders them.
What the model writes in a turn is the text that the template makes of that turn, and the host's parser reads it again:
`Dialect` has both directions.

Some templates leave out the reasoning of earlier turns (Qwen 3, DeepSeek R1). With these no server can keep a cached
prefix: what the model wrote is not in the next prompt. The templates here keep it, as newer ones do.
"""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, NoReturn

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.scripted import DONE, ScriptedHost, Step, call, chunk, frame, usage

Json = dict[str, Any]

HEAD = """\
{%- set system = messages[0].content if messages and messages[0].role == 'system' else '' %}
{%- set rest = messages[1:] if system else messages %}
{%- if system or tools %}
    {{- '<|im_start|>system\\n' + system }}
    {%- if tools %}
        {{- '\\n\\n# Tools\\n\\n<tools>' }}
        {%- for tool in tools %}
            {{- '\\n' }}{{- tool | tojson }}
        {%- endfor %}
        {{- '\\n</tools>\\n\\nAnswer with <tool_call>{"name": ..., "arguments": ...}</tool_call> to call one.' }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
"""
BODY = """\
{%- for message in rest %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' }}
        {%- if message.content is string %}
            {{- message.content }}
        {%- else %}
            {%- for part in message.content %}
                {{- part.text if part.type == 'text' else '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        REASONING
        {{- message.content }}
        {%- for tool_call in message.tool_calls %}
            {%- if message.content or not loop.first %}{{- '\\n' }}{%- endif %}
            {{- '<tool_call>\\n{"name": "' + tool_call.function.name + '", "arguments": ' }}
            {%- if tool_call.function.arguments is string %}
                {{- tool_call.function.arguments }}
            {%- else %}
                {{- tool_call.function.arguments | tojson }}
            {%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- elif message.role == 'developer' and developers %}
        {{- '<|im_start|>developer\\n' + message.content + '<|im_end|>\\n' }}
    {%- else %}
        {{- raise_exception('No messages with the role ' + message.role + ' are allowed.') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
IN_A_FIELD = "{%- if message.FIELD %}{{- '<think>\\n' + message.FIELD + '\\n</think>\\n\\n' }}{%- endif %}"


def raise_exception(message: str) -> NoReturn:
    raise ValueError(message)


@cache
def template(field: str | None) -> Template:
    """The template, compiled as by transformers. `field` is the key in which it looks for reasoning."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = raise_exception
    reasoning = IN_A_FIELD.replace("FIELD", field) if field is not None else ""
    return environment.from_string(HEAD + BODY.replace("REASONING", reasoning))


@dataclass(frozen=True)
class Call:
    """A call that the model writes. `arguments` is JSON in the model's own spelling."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True)
class Turn:
    """What the model writes in answer to one prompt: reasoning, then text, then calls, each of which may be empty."""

    reasoning: str = ""
    text: str = ""
    calls: Sequence[Call] = ()


END = "<|im_end|>"
CALL = re.compile(
    r'\n?<tool_call>\n\{"name": "(?P<name>[^"]*)", "arguments": (?P<arguments>.*?)\}\n</tool_call>', re.DOTALL
)


@dataclass(frozen=True)
class Dialect:
    """What one kind of host sends, and what its template reads.

    - `field`: the key of reasoning, in deltas and in messages; None for a host that leaves it in the text
    - `reads_json`: the template gets arguments as an object, as in vLLM and MLX, and not as a string
    - `developers`: the template has a place for developer messages
    - `leaves_calls`: it has no tool parser, and leaves calls in the text
    - `leaves_white_space`: its parser leaves the line ends round the calls, but for those that end a text
    - `leaves_line_end`: its parser leaves the line end between a text and a call, as vLLM's for the Hermes format
    """

    field: str | None
    reads_json: bool
    developers: bool = False
    leaves_white_space: bool = False
    leaves_line_end: bool = False
    leaves_calls: bool = False

    @property
    def think_tags(self) -> tuple[str, str]:
        """What the model writes before and after its reasoning."""
        return ("<think>\n", "\n</think>\n\n") if self.field is not None else ("<think>", "</think>")

    def render(self, request: Json) -> str:
        """The prompt for a chat request. Raises for messages that the template does not allow."""
        return template(self.field).render(
            messages=[self._read(message) for message in request["messages"]],
            tools=request.get("tools"),
            developers=self.developers,
            add_generation_prompt=True,
        )

    def _read(self, message: Json) -> Json:
        if not self.reads_json or "tool_calls" not in message:
            return message
        functions = [call["function"] for call in message["tool_calls"]]
        read = [{**function, "arguments": json.loads(function["arguments"])} for function in functions]
        return {**message, "tool_calls": [{"function": function} for function in read]}

    def write(self, turn: Turn) -> str:
        """The text that the model writes for a turn, with the token that ends it."""
        begin, end = self.think_tags
        written = f"{begin}{turn.reasoning}{end}{turn.text}" if turn.reasoning else turn.text
        calls_first = not (turn.text or (turn.reasoning and self.field is None))
        for index, made in enumerate(turn.calls):
            written += "" if calls_first and index == 0 else "\n"
            written += f'<tool_call>\n{{"name": "{made.name}", "arguments": {made.arguments}}}\n</tool_call>'
        return written + END

    def answer(self, written: str, number: int) -> list[Step]:
        """The host's answer for what its model wrote in turn `number`: parsed, and cut into chunks."""
        content = written.removesuffix(END)
        steps: list[Step] = [chunk("", role="assistant")]
        begin, end = self.think_tags
        if self.field is not None and content.startswith(begin):
            reasoning, _, content = content.removeprefix(begin).partition(end)
            steps += [frame({"choices": [{"index": 0, "delta": {self.field: piece}}]}) for piece in pieces(reasoning)]
        calls = [] if self.leaves_calls else list(CALL.finditer(content))
        text = content[: calls[0].start()] if calls else content
        if calls and self.leaves_line_end and calls[0][0].startswith("\n"):
            text += "\n"
        steps += [chunk(piece) for piece in pieces(text)]
        for index, found in enumerate(calls):
            if self.leaves_white_space and (index or not content[: calls[0].start()]):
                steps.append(chunk("\n"))
            steps.append(chunk(tool_calls=[call(index, f"call_{number}_{index}", found["name"], "")]))
            steps += [chunk(tool_calls=[call(index, arguments=piece)]) for piece in pieces(found["arguments"])]
        if calls and self.leaves_white_space:
            steps.append(chunk("\n"))
        return [*steps, chunk(finish_reason="tool_calls" if calls else "stop"), chunk(usage=usage(9, 9)), DONE]


def pieces(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]


class TemplateHost(ScriptedHost):
    """A host whose model writes these turns, one for each chat call. It keeps the prompts, and what was written."""

    def __init__(self, dialect: Dialect, turns: Sequence[Turn]) -> None:
        super().__init__(self._next)
        # As `vllm serve` leaves it on its app: read by the profile of vLLM alone.
        self.state = SimpleNamespace(args=Namespace(enable_auto_tool_choice=True, tool_call_parser="hermes"))
        self.dialect = dialect
        self.turns = turns
        self.prompts: list[str] = []
        self.written: list[str] = []

    def _next(self, request: Json) -> Sequence[Step]:
        number = len(self.written)
        self.prompts.append(self.dialect.render(request))
        self.written.append(self.dialect.write(self.turns[number]))
        return self.dialect.answer(self.written[-1], number)
