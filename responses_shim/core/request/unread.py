"""Which fields of a request are read nowhere, at every depth: the report names them as dropped.

Unknown fields are accepted, since clients are often newer than their server. But nothing is dropped without a word, so
the request is compared with what is read of it, which the tables here say:

    {"model": "m", "input": [{"role": "user", "content": "Hi", "name": "Ann"}], "reasoning": {"max_tokens": 99}}

    ["input[0].name", "reasoning.max_tokens"]

A field that is null says nothing. Nor does one that no host could use, such as the id of an item, the annotations of a
past answer, or Codex's notes to OpenAI.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Union

from responses_shim.core.request.messages import SKIPPED_ITEMS, type_by_shape
from responses_shim.core.wire.requests import (
    CreateRequest,
    CustomTool,
    FunctionTool,
    JsonSchemaFormat,
    NamespaceTool,
    ReasoningConfig,
    ToolSearchTool,
)

MAX_PATHS = 200
"""How many paths are collected: far more than the report's header has room for."""

MAX_KEY = 200
"""How many characters of a key are collected, which the client has chosen."""

Shape = Union[Mapping[str, "Shape"], Callable[[dict[str, Any]], "Shape"], None]
"""What is read of a value: the fields of an object, or of each object in an array, with what is read of their values.

A function gives the shape of one object, by its type for example. None: all of it is read, or reported as a whole.
"""


def unread_fields(
    body: dict[str, Any], also_read: Collection[str] = (), tools: Sequence[str] | None = None
) -> list[str]:
    """The paths of a request's fields that are read nowhere, in its order; the first `MAX_PATHS` of them.

    `body` is a request that `prepare` has taken. Fields named in `also_read` count as read wherever they are. `tools`
    are the paths of such fields in the request's `tools`, if they are known.
    """
    paths: list[str] = []
    for name, value in body.items():
        if name == "tools" and tools is not None:
            paths += tools
        else:
            _collect({name: value}, _REQUEST, "", frozenset(also_read), paths)
    return paths[:MAX_PATHS]


def _collect(value: Any, shape: Shape, path: str, also_read: frozenset[str], paths: list[str]) -> None:
    if shape is None or len(paths) >= MAX_PATHS:
        return
    if isinstance(value, list):
        for index, entry in enumerate(value):
            if isinstance(entry, dict):  # an array within an array is none that is read, and may be nested deeply
                _collect(entry, shape, f"{path}[{index}]", also_read, paths)
    elif isinstance(value, dict):
        while callable(shape):
            shape = shape(value)
        if shape is None:
            return
        for key, inner in value.items():
            if key in shape:
                if shape[key] is not None:
                    _collect(inner, shape[key], f"{path}.{key}" if path else key, also_read, paths)
            elif inner is not None and key not in also_read and len(paths) < MAX_PATHS:
                key = key if len(key) <= MAX_KEY else f"{key[:MAX_KEY]}…"
                paths.append(f"{path}.{key}" if path else key)


def _fields(*names: str, **inner: Shape) -> dict[str, Shape]:
    """The fields of an object with a type: those of `names` are read as a whole."""
    return {**dict.fromkeys(("type", *names)), **inner}


def _item_fields(*names: str, **inner: Shape) -> dict[str, Shape]:
    """The same for an item, which also has what a server notes about it."""
    return _fields("id", "status", "created_by", *names, **inner)


def _by_type(shapes: Mapping[str, Shape]) -> Callable[[dict[str, Any]], Shape]:
    def shape_of(value: dict[str, Any]) -> Shape:
        kind = value.get("type")
        return shapes.get(kind) if isinstance(kind, str) else None

    return shape_of


# Content parts -------------------------------------------------------------------------------------------------------

_TEXT_PART = _fields("text", "annotations", "logprobs", "parsed")
_URL = _fields("url", "detail")

_part = _by_type(
    {
        **dict.fromkeys(("input_text", "output_text", "text", "summary_text", "reasoning_text"), _TEXT_PART),
        "refusal": _fields("refusal"),
        **dict.fromkeys(("input_image", "image_url"), _fields("detail", image_url=_URL)),
        **dict.fromkeys(("input_video", "video_url"), _fields("detail", video_url=_URL)),
        "audio_url": _fields("detail", audio_url=_URL),
        "input_audio": _fields(input_audio={"data": None, "format": None}),
        "input_file": _fields("filename", "file_data", "file_url", "file_id", "detail"),
    }
)

# Tools ---------------------------------------------------------------------------------------------------------------


def _declared(name: str, flat: Mapping[str, Shape]) -> Callable[[dict[str, Any]], Shape]:
    """The shape of a declaration that clients may nest under its type, as chat completions does."""
    return lambda tool: _fields(**{name: flat}) if isinstance(tool.get(name), dict) else flat


def _environment(environment: dict[str, Any]) -> Shape:
    return {"type": None} if environment.get("type") == "local" else None  # with another one the shell is left out


def _tool(tool: dict[str, Any]) -> Shape:
    return _any_tool(tool)


_any_tool = _by_type(
    {
        "function": _declared("function", _fields(*FunctionTool.__struct_fields__)),
        "custom": _declared(
            "custom", {**_fields(*CustomTool.__struct_fields__), "format": _fields("syntax", "definition")}
        ),
        "namespace": {**_fields(*NamespaceTool.__struct_fields__), "tools": _tool},
        "tool_search": _fields(*ToolSearchTool.__struct_fields__),
        "shell": _fields("allowed_callers", environment=_environment),
        **dict.fromkeys(("local_shell", "apply_patch"), _fields("allowed_callers")),
    }
)

_CHOSEN = {"name": None, "namespace": None}
_ALLOWED = {"mode": None, "tools": None}
_CHOICE = {**_fields(function=_CHOSEN, custom=_CHOSEN, allowed_tools=_ALLOWED), **_CHOSEN, **_ALLOWED}

# Items ---------------------------------------------------------------------------------------------------------------

_MESSAGE = _item_fields("role", content=_part)
_MESSAGES: dict[str, Shape] = {
    **dict.fromkeys(("user", "system", "developer"), _MESSAGE),
    "assistant": {
        **_MESSAGE,
        **dict.fromkeys(("phase", "refusal", "reasoning", "reasoning_content")),
        "tool_calls": _fields("id", "index", function={"name": None, "arguments": None}),
    },
    "tool": {**_MESSAGE, "tool_call_id": None, "name": None},
}
_TOOL_OUTPUT = _item_fields("call_id", "name", "namespace", output=_part)
_ITEMS: dict[str, Shape] = {
    "function_call": _item_fields("call_id", "name", "namespace", "arguments", "parsed_arguments"),
    "function_call_output": _TOOL_OUTPUT,
    "custom_tool_call": _item_fields("call_id", "name", "namespace", "input"),
    "custom_tool_call_output": _TOOL_OUTPUT,
    "reasoning": _item_fields("encrypted_content", content=_part, summary=_part),
    "local_shell_call": _item_fields(
        "call_id", action=_fields("command", "env", "timeout_ms", "user", "working_directory")
    ),
    "local_shell_call_output": _item_fields("call_id", "output"),
    "shell_call": _item_fields("call_id", "environment", action=_fields("commands", "timeout_ms", "max_output_length")),
    "shell_call_output": _item_fields(
        "call_id",
        "max_output_length",
        output=_fields("stdout", "stderr", "created_by", outcome=_fields("exit_code")),
    ),
    "apply_patch_call": _item_fields("call_id", operation=_fields("path", "diff")),
    "apply_patch_call_output": _item_fields("call_id", "output"),
    "tool_search_call": _item_fields("call_id", "execution", "arguments"),
    "tool_search_output": _item_fields("call_id", "execution", tools=_tool),
    "additional_tools": _item_fields("role", tools=_tool),
    "agent_message": _item_fields("role", "author", "recipient", content=_part),
}


def _item(item: dict[str, Any]) -> Shape:
    kind = item.get("type")
    if kind in _ITEMS:
        return _ITEMS[kind]
    if kind in SKIPPED_ITEMS:
        return None
    if kind != "message":
        kind = "message" if kind is None and "role" in item else type_by_shape(item)
    return _MESSAGES.get(item["role"]) if kind == "message" else _ITEMS.get(kind or "")


# The request ---------------------------------------------------------------------------------------------------------

_REQUEST: Shape = {
    **dict.fromkeys(CreateRequest.__struct_fields__),
    **dict.fromkeys(("access_programs", "image", "client_metadata")),  # a server's grants; Codex's notes to OpenAI
    "input": _item,
    "tools": _tool,
    "tool_choice": _CHOICE,
    "reasoning": dict.fromkeys(ReasoningConfig.__struct_fields__),
    "stream_options": dict.fromkeys(("include_obfuscation", "include_usage")),  # the usage always comes
    "text": {
        "verbosity": None,
        "format": _by_type(
            {
                **dict.fromkeys(("text", "json_object"), _fields()),
                "json_schema": _fields(*JsonSchemaFormat.__struct_fields__),
            }
        ),
    },
}
