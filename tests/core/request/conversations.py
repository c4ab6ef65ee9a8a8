"""Input items in few words, and the chat messages that they become."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.request.messages import declared_tools, located, to_messages
from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.oracle import check_error

SEALS = {"ours": "Sealed.", "empty": ""}
OPENS = TranslationOptions(unseal=SEALS.get)
THINK = TranslationOptions(reasoning_replay="think", unseal=SEALS.get)
KEEP = TranslationOptions(system_messages="keep")
IN_TOOL = TranslationOptions(tool_images="tool")
GYM = TranslationOptions(replay_tokens=True)
AS_TEXT = TranslationOptions(invalid_arguments="keep")


def translated(
    items: Any, instructions: str | None = None, options: TranslationOptions = DEFAULT_OPTIONS, **more: Any
) -> tuple[Any, str]:
    """The messages, and the report."""
    report = Report()
    located_items = list(located(items))
    tools = ToolMap(more.pop("tools", None), None, None, report, declared_tools(located_items))
    return to_messages(instructions, located_items, tools, report, options, **more), report.header()


def messages(
    items: Any, instructions: str | None = None, options: TranslationOptions = DEFAULT_OPTIONS, **more: Any
) -> list[Json]:
    made: list[Json] = translated(items, instructions, options, **more)[0]
    return made


def refusal(*items: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        messages(list(items))
    check_error(caught.value.body())
    assert caught.value.status == 400
    return caught.value


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def assistant(content: Any, **fields: Any) -> Json:
    return {"type": "message", "role": "assistant", "content": content, **fields}


def developer(text: str) -> Json:
    return {"role": "developer", "content": text}


def text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def reasoning(text: str | None = None, **fields: Any) -> Json:
    content = {} if text is None else {"content": [{"type": "reasoning_text", "text": text}]}
    return {"type": "reasoning", "id": "rs_1", "summary": [], **content, **fields}


def summary(*texts: str) -> list[Json]:
    return [{"type": "summary_text", "text": text} for text in texts]


def called(call_id: str, name: str = "f", arguments: str = "{}", **fields: Any) -> Json:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **fields}


def result(call_id: str, output: Any = "4", **fields: Any) -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": output, **fields}


def chat_call(call_id: str, name: str = "f", arguments: Any = "{}") -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def answered(call_id: str, content: Any = "4") -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}
