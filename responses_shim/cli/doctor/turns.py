"""What a model's turn contains, read out of a chat answer or of a response, streamed or not, whatever a server sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from responses_shim.cli.doctor.connection import Answer
from responses_shim.cli.doctor.lookup import Json, at, decode, integer_at, object_at, objects_at, text_at
from responses_shim.core.wire.chat import REASONING, REASONING_KEYS
from responses_shim.core.wire.finish_reasons import end_of

TERMINAL = ("response.completed", "response.incomplete", "response.failed")
"""The events that end a response."""

ERROR_PATHS: tuple[tuple[str | int, ...], ...] = (
    *(("error", "message"), ("detail", "message"), ("detail", "error", "message"), ("message",)),
    *(("error",), ("detail",), ("detail", 0, "msg")),
)
"""Where servers put the reason of an error."""

_MARKUP = re.compile(
    r"<tool_call>|<function=|<invoke |\[TOOL_CALLS\]|<\|python_tag\|>|<\|tool_calls?[\w|]*>|<｜tool▁call|｜DSML｜"
)
"""How calls begin that a model has written in its text, in the forms that are in use."""
_THINK = re.compile(r"</?think(?:ing)?>")
_THOUGHT_KEY = re.compile(r"thought|think|reason")


@dataclass
class Call:
    """A call of a function. `position` is the `index` of a chat delta, where there is one."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    position: int | None = None

    @property
    def parsed(self) -> Any:
        """The arguments as JSON; None if they are none."""
        return decode(self.arguments)


@dataclass
class Turn:
    """One turn of a model, as far as it was sent.

    - `finish`: chat's finish_reason, or the status of the response
    - `error`: the message of an error in a stream or in a failed response
    - `reasoning_field`: where the reasoning was; `content` for think tags in the text
    - `usage`: tokens of the prompt and of the answer; None where they were not given
    - `logprobs`, `token_ids`, `prompt_token_ids`: whether there were any
    - `done`: whether `[DONE]` came
    - `merged`: whether two calls with two ids had one index
    - `item_types`: of a response, the types of its output items
    """

    answer: Answer
    text: str = ""
    reasoning: str = ""
    reasoning_field: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    error: str = ""
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    logprobs: bool = False
    token_ids: bool = False
    prompt_token_ids: bool = False
    done: bool = False
    merged: bool = False
    item_types: list[str] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether the answer has status 200, is complete, and has no error in it."""
        return self.answer.status == 200 and not self.answer.problem and not self.error

    @property
    def was_cut(self) -> bool:
        """Whether the token limit ended it."""
        return self.finish == "incomplete" or end_of(self.finish) == "max_output_tokens"

    @property
    def has_call_markup(self) -> bool:
        """Whether the text contains what models write where they call a tool."""
        return _MARKUP.search(self.text) is not None

    @property
    def has_think_tags(self) -> bool:
        """Whether the text contains tags around thinking."""
        return _THINK.search(self.text) is not None

    @property
    def problem(self) -> str:
        """What went wrong, as the end of a sentence that begins with "the answer"; empty if nothing did."""
        if self.succeeded:
            return ""
        if self.answer.problem:
            return self.answer.problem
        reason = (self.error or error_message(self.answer)).rstrip(".")
        status = "" if self.answer.status == 200 else f" with status {self.answer.status}"
        return f"is an error{status}: {reason}"


def described(answer: Answer) -> str:
    """What an answer is that is not the one that was hoped for: `one that broke off: …`, `status 404: Not Found`."""
    return f"one that {answer.problem}" if answer.problem else f"status {answer.status}: {error_message(answer)}"


def error_message(answer: Answer) -> str:
    """The reason in an error answer, in any of the shapes in use, in one line."""
    for path in ERROR_PATHS:
        if found := text_at(answer.json, *path):
            return one_line(found)
    return one_line(answer.body[:300].decode("utf-8", "replace")) or "no reason given"


def one_line(text: str, limit: int = 200) -> str:
    """The text without line ends, shortened."""
    line = " ".join(text[: limit * 4].split())
    return line if len(line) <= limit else f"{line[:limit]}…"


# Chat ------------------------------------------------------------------------------------------------------------


def read_chat(answer: Answer) -> Turn:
    """The turn in the answer to a chat request."""
    turn = Turn(answer)
    if not answer.is_stream:
        _read_chunk(turn, answer.json, "message")
        return turn
    turn.done = b"[DONE]" in answer.frames
    for chunk in answer.events:
        _read_chunk(turn, chunk, "delta")
    return turn


def _read_chunk(turn: Turn, chunk: Any, key: str) -> None:
    choice = at(chunk, "choices", 0)
    delta = object_at(choice, key) or object_at(choice, "message")
    turn.text += text_at(delta, "content")
    turn.finish = text_at(choice, "finish_reason") or turn.finish
    if error := at(chunk, "error"):
        turn.error = turn.error or one_line(text_at(error, "message") or str(error)[:500])
    _read_reasoning(turn, delta)
    for call in objects_at(delta, "tool_calls"):
        _read_call(turn, call)
    usage = object_at(chunk, "usage")
    if usage:
        turn.prompt_tokens = integer_at(usage, "prompt_tokens")
        turn.answer_tokens = integer_at(usage, "completion_tokens")
    turn.logprobs = turn.logprobs or bool(objects_at(choice, "logprobs", "content"))
    turn.token_ids = turn.token_ids or bool(at(choice, "token_ids"))
    turn.prompt_token_ids = turn.prompt_token_ids or bool(at(chunk, "prompt_token_ids"))


def _read_reasoning(turn: Turn, delta: Json) -> None:
    for key, value in delta.items():
        if key not in REASONING and not _THOUGHT_KEY.search(key):
            continue
        text = value if isinstance(value, str) else "".join(_texts_of(value))
        if text and turn.reasoning_field in ("", key):  # some servers send it in two fields at once
            turn.reasoning += text
            turn.reasoning_field = key


def _texts_of(value: Any) -> Iterator[str]:
    for part in value if isinstance(value, list) else [value]:
        yield next((text for key in REASONING_KEYS if (text := text_at(part, key))), "")


def _read_call(turn: Turn, delta: Json) -> None:
    position, call_id = integer_at(delta, "index"), text_at(delta, "id")
    name, arguments = text_at(delta, "function", "name"), text_at(delta, "function", "arguments")
    same = [call for call in turn.calls if call.position == position] if position is not None else turn.calls[-1:]
    call = same[-1] if same else None
    if call is not None and call_id and call.id and call_id != call.id:
        turn.merged = turn.merged or position is not None
        call = None
    if call is None:
        call = Call(position=position)
        turn.calls.append(call)
    call.id = call.id or call_id
    call.name = call.name or name
    call.arguments += arguments


# Responses -------------------------------------------------------------------------------------------------------


def read_response(answer: Answer) -> Turn:
    """The turn in the answer to a create request of the Responses API."""
    turn = Turn(answer)
    if not answer.is_stream:
        _read_response_object(turn, answer.json)
        return turn
    turn.done = b"[DONE]" in answer.frames
    for event in answer.events:
        if event.get("type") == "error":
            turn.error = turn.error or one_line(text_at(event, "message") or text_at(event, "error", "message"))
    _read_response_object(turn, terminal_response(answer.events))
    return turn


def terminal_response(events: Sequence[Json]) -> Json:
    """The response in the terminal event; empty if there is none."""
    return next((object_at(event, "response") for event in reversed(events) if event.get("type") in TERMINAL), {})


def _read_response_object(turn: Turn, response: Any) -> None:
    turn.finish = text_at(response, "status")
    turn.error = turn.error or one_line(text_at(response, "error", "message"))
    turn.prompt_tokens = integer_at(response, "usage", "input_tokens")
    turn.answer_tokens = integer_at(response, "usage", "output_tokens")
    for item in objects_at(response, "output"):
        turn.item_types.append(text_at(item, "type"))
        for part in objects_at(item, "content"):
            if item.get("type") == "message":
                turn.text += text_at(part, "text")
            turn.logprobs = turn.logprobs or bool(objects_at(part, "logprobs"))
        if item.get("type") == "reasoning":
            parts = [*objects_at(item, "summary"), *objects_at(item, "content")]
            turn.reasoning += "".join(text_at(part, "text") for part in parts)
            turn.reasoning_field = "reasoning"
        elif item.get("type") == "function_call":
            turn.calls.append(Call(text_at(item, "call_id"), text_at(item, "name"), text_at(item, "arguments")))
        turn.token_ids = turn.token_ids or bool(at(item, "generation_token_ids"))
