"""A request body as a checked CreateRequest, or one 4xx that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.validation import (
    MAX_STRING,
    array_too_long,
    check_objects,
    convert,
    missing,
    too_long,
    unsupported,
)
from responses_shim.errors import InvalidRequest

STATE = {
    "background": "responses are not stored here, so none can run in the background; leave it out or send false.",
    "previous_response_id": "responses are not stored here; send the whole conversation in 'input'.",
    "conversation": "conversations are not stored here; send the whole conversation in 'input'.",
    "tool_outputs": "responses are not stored here, so none can wait; send the outputs in the next request's 'input'.",
}
"""Request fields that a server without a store cannot honour, and what to do instead."""

UNSUPPORTED = {
    "prompt": "there are no stored prompts here; send 'instructions' and 'input'.",
    "context_management": "there is no server-side compaction here; leave it out.",
    "moderation": "there is no moderation here; leave it out.",
}
"""Request fields that this server cannot honour, and what to do instead.

They are refused, because ignoring them would change the answer.
"""

_DATA_FIELDS = ("input", "metadata")  # images, and NeMo Gym's audio

MAX_STOP = 1000
"""How many entries `stop` may have. OpenAI takes four; a host looks for each of them in every piece of the answer."""

MAX_FIELDS = 1000
"""How many fields a request may have. The API and the hosts together know about a hundred."""

WARM_UP = "a request cannot fill the prompt cache without an answer here; leave it out."
"""Why a request that only fills the prompt cache is refused: it would be answered, and paid for."""


def too_many_fields() -> InvalidRequest:
    """The error for a request of more than `MAX_FIELDS` fields."""
    return InvalidRequest(
        f"Invalid 'body': too many properties. Expected an object with at most {MAX_FIELDS} properties.",
        code="object_above_max_properties",
    )


def check_strings(body: Any) -> None:
    """Refuse a request with a string longer than `MAX_STRING` in a field that is for words, not for data.

    This is for bodies that are so large that they may have one: a value that is not in an enumeration would be copied
    three times, character by character, for the message that says so. Raises InvalidRequest that names the field.
    """
    if not isinstance(body, dict):
        return
    for name in CreateRequest.__struct_fields__:
        if name not in _DATA_FIELDS:
            _check_strings(body.get(name), name)
    items = body.get("input")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and "tools" in item:
            _check_strings(item["tools"], f"input[{index}].tools")


def _check_strings(value: Any, path: str) -> None:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if len(value) > MAX_STRING:
                raise too_long(path, len(value), MAX_STRING)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def parse_request(body: Any) -> CreateRequest:
    """A request body (JSON data) as a checked request. Raises InvalidRequest that names the first field that is wrong.

    Input items and tools are checked later, when they are translated (`prepare`).
    """
    if isinstance(body, dict) and len(body) > MAX_FIELDS:
        raise too_many_fields()
    request: CreateRequest = convert(body, CreateRequest)
    if not request.model:
        raise missing("model")
    if not isinstance(request.input, str):
        check_objects(request.input, "input")
    check_objects(request.tools or [], "tools")
    if isinstance(request.stop, list) and len(request.stop) > MAX_STOP:
        raise array_too_long("stop", MAX_STOP)
    _refuse(request, UNSUPPORTED)
    for name, wanted in (("background", request.background), ("tool_outputs", request.tool_outputs == "wait")):
        if wanted and request.store is False:
            raise InvalidRequest(f"'{name}' can only be used when 'store' is true.", param=name, code="invalid_value")
    cache = request.prompt_cache_options
    if request.generate is False or (cache is not None and cache.prewarm):
        name = "generate" if request.generate is False else "prompt_cache_options.prewarm"
        raise unsupported(name, f"'{name}': {WARM_UP}")
    return request


def refuse_state(request: CreateRequest) -> None:
    """Raise InvalidRequest if a request needs a store: there is none."""
    _refuse(request, STATE)


def _refuse(request: CreateRequest, fields: Mapping[str, str]) -> None:
    for name, instead in fields.items():
        if getattr(request, name) not in (None, False, [], "end"):  # "end" of `tool_outputs`: nothing is asked for
            raise unsupported(name, f"'{name}': {instead}")
