"""Hosts that render a chat template: what the model is shown is a string, as in every real engine.

The templates are in the style of those that Hermes, Qwen and others carry: ChatML, tools as JSON in the system message,
calls as JSON between `<tool_call>` tags, thoughts between `<think>` tags. They are rendered as transformers renders
them. What such a model writes for a turn is the text that the template shows that turn as, and the host's parser takes
it apart again: `Dialect` has both, and a turn written and read is the turn.

Templates in the wild that leave out the thoughts of earlier turns (Qwen 3, DeepSeek R1) break a cached prefix with
any client and any server between: what the model wrote is then not what it is shown again. These here keep them, as
newer ones do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
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
        THOUGHTS
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
        {{- raise_exception('There is no place for ' + message.role + ' here.') }}
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
    """Compiled as transformers does it, and those who render its templates. `field` is where it looks for thoughts."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    made.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    made.globals["raise_exception"] = raise_exception
    thoughts = IN_A_FIELD.replace("FIELD", field) if field is not None else ""
    return made.from_string(HEAD + BODY.replace("THOUGHTS", thoughts))


@dataclass(frozen=True)
class Call:
    """`arguments` is JSON as the model writes it."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True)
class Turn:
    """What the model writes in one go: thoughts, then text, then calls. `None` and `""` are nothing."""

    thought: str = ""
    text: str = ""
    calls: Sequence[Call] = ()


END = "<|im_end|>"
CALL = re.compile(
    r'\n?<tool_call>\n\{"name": "(?P<name>[^"]*)", "arguments": (?P<arguments>.*?)\}\n</tool_call>', re.DOTALL
)


@dataclass(frozen=True)
class Dialect:
    """How one host and its model speak.

    `field` is what the host calls thoughts, in what it says and in what its template reads; None if it leaves them in
    the text. `reads_json`: the template gets arguments as an object, as in vLLM and MLX, and not as a string.
    """

    field: str | None
    reads_json: bool
    developers: bool = False

    @property
    def thinks(self) -> tuple[str, str]:
        return ("<think>\n", "\n</think>\n\n") if self.field is not None else ("<think>", "</think>")

    def render(self, request: Json) -> str:
        """The prompt. Raises for messages that the template cannot take."""
        return template(self.field).render(
            messages=[self._read(message) for message in request["messages"]],
            tools=request.get("tools"),
            developers=self.developers,
            add_generation_prompt=True,
        )

    def _read(self, message: Json) -> Json:
        if not self.reads_json or "tool_calls" not in message:
            return message
        functions = [called["function"] for called in message["tool_calls"]]
        read = [{**function, "arguments": json.loads(function["arguments"])} for function in functions]
        return {**message, "tool_calls": [{"function": function} for function in read]}

    def write(self, turn: Turn) -> str:
        """The tokens of the turn as text, the one that ends it included."""
        begin, end = self.thinks
        said = f"{begin}{turn.thought}{end}{turn.text}" if turn.thought else turn.text
        alone = not (turn.text or (turn.thought and self.field is None))
        for number, called in enumerate(turn.calls):
            said += "" if alone and number == 0 else "\n"
            said += f'<tool_call>\n{{"name": "{called.name}", "arguments": {called.arguments}}}\n</tool_call>'
        return said + END

    def tell(self, written: str, number: int) -> list[Step]:
        """What the host says of its turn `number`: parsed, in pieces."""
        content = written.removesuffix(END)
        steps: list[Step] = [chunk("", role="assistant")]
        begin, end = self.thinks
        if self.field is not None and content.startswith(begin):
            thought, _, content = content.removeprefix(begin).partition(end)
            steps += [frame({"choices": [{"index": 0, "delta": {self.field: piece}}]}) for piece in pieces(thought)]
        calls = list(CALL.finditer(content))
        steps += [chunk(piece) for piece in pieces(content[: calls[0].start()] if calls else content)]
        for index, found in enumerate(calls):
            steps.append(chunk(tool_calls=[call(index, f"call_{number}_{index}", found["name"], "")]))
            steps += [chunk(tool_calls=[call(index, arguments=piece)]) for piece in pieces(found["arguments"])]
        return [*steps, chunk(finish_reason="tool_calls" if calls else "stop"), chunk(usage=usage(9, 9)), DONE]


def pieces(text: str) -> list[str]:
    return [text[place : place + 3] for place in range(0, len(text), 3)]


class TemplateHost(ScriptedHost):
    """A host whose model says one turn after the other. `prompts` are what it was shown, `written` what it wrote."""

    def __init__(self, dialect: Dialect, turns: Sequence[Turn]) -> None:
        super().__init__(self._next)
        self.dialect = dialect
        self.turns = turns
        self.prompts: list[str] = []
        self.written: list[str] = []

    def _next(self, request: Json) -> Sequence[Step]:
        number = len(self.written)
        self.prompts.append(self.dialect.render(request))
        self.written.append(self.dialect.write(self.turns[number]))
        return self.dialect.tell(self.written[-1], number)
