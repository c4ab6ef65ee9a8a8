"""The shapes of events, responses, items and errors: which keys each must have, and of which types.

They are the types of OpenAI's Python SDK, used strictly: no value is coerced, no required key is missing, and what a
type reads it writes again unchanged, which shows that it was the right member of every union. In addition come the
keys that Open Responses requires, and the keys of our own. Every check raises AssertionError. Tests import the checks
from `oracle.py`, which adds that of a stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, get_args

from openai.types.responses import Response, ResponseStreamEvent
from openai.types.shared import ErrorObject
from pydantic import BaseModel, TypeAdapter, ValidationError

Json = dict[str, Any]

EVENT_TYPES: dict[str, type[BaseModel]] = {
    name: member
    for member in get_args(get_args(ResponseStreamEvent)[0])
    for name in get_args(member.model_fields["type"].annotation)
}

FAILURE_CODES = frozenset(
    {
        "context_length_exceeded",
        "cyber_policy",
        "insufficient_quota",
        "server_is_overloaded",
        "slow_down",
        "usage_not_included",
    }
)
"""Codes of `response.error` that clients know, Codex above all, and that the SDK's type does not list."""

TOKENS = {"prompt_token_ids", "generation_token_ids", "generation_log_probs", "routed_experts"}
"""The keys of an item that carries token ids. A delta may have the two of them that begin with `generation`."""

EXTRA_KEYS = {
    "Response": {"frequency_penalty", "presence_penalty", "store", "tool_outputs"},
    "ResponseErrorEvent": {"error"},
    "ResponseFunctionCallArgumentsDoneEvent": {"name"},
    "ResponseCustomToolCall": {"status"},  # its type for stored items has it
    "Logprob": {"bytes"},
    "LogprobTopLogprob": {"bytes"},
}
"""Keys that the SDK's types lack and a specification, or the client, asks for. Any other that they lack is an error."""

ITEM_SHAPES = {
    "ResponseOutputMessage",
    "ResponseReasoningItem",
    "ResponseFunctionToolCall",
    "ResponseCustomToolCall",
    "ResponseToolSearchCall",
    "ResponseFunctionShellToolCall",
    "ResponseApplyPatchToolCall",
    "LocalShellCall",
}
"""The SDK's types of the items that the shim puts out."""

# The keys of a response that Open Responses requires: those that may not be null, and those that may.
NEVER_NULL = frozenset(
    {
        "id",
        "object",
        "created_at",
        "status",
        "model",
        "output",
        "tools",
        "tool_choice",
        "truncation",
        "parallel_tool_calls",
        "text",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "top_logprobs",
        "temperature",
        "store",
        "background",
        "service_tier",
    }
)
NULLABLE = frozenset(
    {
        "completed_at",
        "incomplete_details",
        "previous_response_id",
        "instructions",
        "error",
        "reasoning",
        "usage",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
    }
)

ID_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
    "tool_search_call": "tsc_",
    "local_shell_call": "lsh_",
    "shell_call": "sh_",
    "apply_patch_call": "apc_",
}
ITEM_STATUSES = {"in_progress", "completed", "incomplete"}


def check_event(event: Json) -> None:
    """Check one event by itself."""
    name = event.get("type")
    if name == "error":
        _check_error_event(event)
    else:
        assert "error" not in event, f"{name}: a top-level error makes the SDK raise and hide what follows"
    _check_tokens(event, str(name))
    if name == "response.ping":
        assert type(event.get("sequence_number")) is int, f"response.ping: no number in {event}"
        return
    assert name in EVENT_TYPES, f"no such event type: {name!r}"
    snapshot = event.get("response")
    if isinstance(snapshot, dict):
        check_response(snapshot)
        event = {**event, "response": _response_for_sdk(snapshot)}
    if isinstance(event.get("item"), dict):
        event = {**event, "item": _item_for_sdk(event["item"])}
    _check_shape(event, EVENT_TYPES[name], name)


def _check_error_event(event: Json) -> None:
    """An `error` event has the flat and the nested form of one error, and the HTTP status in the latter."""
    assert {"code", "message", "param", "error"} <= event.keys(), f"error: its keys are {sorted(event)}"
    nested = event["error"]
    inner = {"type", "code", "message", "param", "status"}
    assert nested.keys() == inner, f"error: the inner keys are {sorted(nested)}"
    status = nested["status"]
    assert type(status) is int, f"error: status {status!r}"
    assert 400 <= status <= 599, f"error: status {status}"
    for key in ("message", "param"):
        assert nested[key] == event[key], f"error: {key} is {event[key]!r} and {nested[key]!r}"
    assert nested["code"], "error: no code"
    check_error({"error": {key: nested[key] for key in inner - {"status"}}})


def check_response(response: Json) -> None:
    """Check a response object, by itself or from an event, in any status."""
    _check_shape(_response_for_sdk(response), Response, "response")
    missing = (NEVER_NULL | NULLABLE) - response.keys()
    assert not missing, f"response: Open Responses requires {sorted(missing)}"
    null = {key for key in NEVER_NULL if response[key] is None}
    assert not null, f"response: null where Open Responses allows none: {sorted(null)}"
    assert response["id"].startswith("resp_"), f"response: id is {response['id']!r}"
    assert type(response["created_at"]) is int, f"response: created_at is {response['created_at']!r}"
    for tool in response["tools"]:
        absent = {"name", "description", "parameters", "strict"} - tool.keys()
        assert tool["type"] != "function" or not absent, f"response: a function tool lacks {sorted(absent)}"
    for item in response["output"]:
        check_item(item)
    _check_status(response)


def _check_status(response: Json) -> None:
    """The status agrees with the keys that explain it."""
    status = response["status"]
    only_with = {
        "completed_at": "completed",
        "error": "failed",
        "incomplete_details": "incomplete",
    }
    for key, needed in only_with.items():
        given = response[key] is not None
        assert given == (status == needed), f"response: {status}, but {key} is {response[key]!r}"
    if status == "completed":
        assert type(response["completed_at"]) is int
        assert response["completed_at"] >= response["created_at"]
    output = response["output"]
    unfinished = [index for index, item in enumerate(output) if item["status"] == "incomplete"]
    if unfinished:
        assert status != "completed", "response: completed, with an incomplete item"
        last = len(output) - 1
        misplaced = [index for index in unfinished if index != last and not output[index]["type"].endswith("_call")]
        assert not misplaced, f"response: incomplete items at {misplaced}"


def check_item(item: Json) -> None:
    """Check what output items of all types have in common."""
    kind = item.get("type")
    assert isinstance(kind, str), f"an item without a type: {item}"
    assert kind in ID_PREFIXES, f"no item that is put out here: {kind}"
    prefix = ID_PREFIXES[kind]
    rest = str(item.get("id", "")).removeprefix(prefix)
    assert rest, f"{kind}: id {item.get('id')!r}"
    assert item["id"] == prefix + rest, f"{kind}: id {item['id']!r} does not begin with {prefix}"
    assert item.get("status") in ITEM_STATUSES, f"{kind}: status {item.get('status')!r}"
    for key in ("encrypted_content", "namespace", *TOKENS - {"routed_experts"}):
        assert item.get(key, "") is not None, f"{kind}: {key} is null, not absent"
    assert item.get("call_id", "there") != "", f"{kind}: the call_id is empty"
    _check_tokens(item, kind)


def _check_tokens(holder: Json, what: str) -> None:
    """There are token ids and log-probabilities, as many of one as of the other, or neither."""
    ids, logprobs = holder.get("generation_token_ids"), holder.get("generation_log_probs")
    assert (ids is None) == (logprobs is None), f"{what}: token ids without log-probabilities, or the other way round"
    assert ids is None or len(ids) == len(logprobs or ()), f"{what}: {len(ids)} token ids, {len(logprobs or ())} others"


def check_error(body: Json) -> None:
    """Check the body of an HTTP error: `error` with its four keys, and a message."""
    assert body.keys() == {"error"}, f"error: the body's keys are {sorted(body)}"
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}, f"error: its keys are {sorted(error)}"
    _check_shape(error, ErrorObject, "error")
    assert error["message"].strip(), "error: the message is empty"
    assert error["type"], "error: the type is empty"


@cache
def _adapter(shape: type[BaseModel]) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


# What differs between two runs of the same test, and does not matter for a shape: ids and times
_VARYING = re.compile(r'(?<=_)[0-9a-f]{32}(?=")|(?<=_at": )[0-9]{10}(?=[,}])')


def _check_shape(data: Json, shape: type[BaseModel], name: str) -> None:
    _check_text(_VARYING.sub("0", json.dumps(data)), shape, name)


@lru_cache(maxsize=4096)  # the fuzzers see the same events again and again
def _check_text(text: str, shape: type[BaseModel], name: str) -> None:
    """Check an object as JSON. Raises AssertionError if it is not of the shape."""
    adapter, data = _adapter(shape), json.loads(text)
    try:
        value = adapter.validate_json(text, strict=True)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise AssertionError(f"{name}: not a {shape.__name__}: {'; '.join(problems)}") from None
    again = adapter.dump_python(value, mode="json", by_alias=True, exclude_unset=True)
    changed = difference(data, again, name)
    assert changed is None, f"{changed} (as read by {shape.__name__})"
    unknown = sorted(_unknown_keys(value, name))
    assert not unknown, f"unknown keys: {unknown}"


def difference(ours: Any, theirs: Any, path: str) -> str | None:
    """Where two JSON values first differ, in words; None if they are equal."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            return f"{path}: keys {sorted(ours.keys() ^ theirs.keys())} are lost or added"
        pairs = [(ours[key], theirs[key], f"{path}.{key}") for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(a, b, f"{path}[{index}]") for index, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    else:
        same = ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)
        return None if same else f"{path}: {ours!r} becomes {theirs!r}"
    return next((found for pair in pairs if (found := difference(*pair)) is not None), None)


def _unknown_keys(value: Any, path: str) -> Iterator[str]:
    """The keys that no type has: `extra="allow"` let them in. Tools repeat the request's and may hold anything."""
    if isinstance(value, BaseModel):
        shape = type(value).__name__
        allowed = EXTRA_KEYS.get(shape, set()) | (TOKENS if shape in ITEM_SHAPES else set())
        if shape.endswith("DeltaEvent"):
            allowed = allowed | {"obfuscation", "generation_token_ids", "generation_log_probs"}
        yield from (f"{path}.{key}" for key in (value.model_extra or {}).keys() - allowed)
        for key in type(value).model_fields.keys() - {"tools"}:
            yield from _unknown_keys(getattr(value, key), f"{path}.{key}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _unknown_keys(entry, f"{path}[{index}]")


def _response_for_sdk(response: Json) -> Json:
    """The same response with words that the SDK's types have, in place of those that they are known to lack."""
    error = response.get("error")
    if isinstance(error, dict) and error.get("code") in FAILURE_CODES:
        response = {**response, "error": {**error, "code": "server_error"}}
    if isinstance(response.get("output"), list):
        response = {**response, "output": [_item_for_sdk(item) for item in response["output"]]}
    return response


def _item_for_sdk(item: Json) -> Json:
    """The item with a status that the SDK's type has: it lacks `incomplete` for a patch that was cut."""
    if item.get("type") == "apply_patch_call" and item.get("status") == "incomplete":
        return {**item, "status": "completed"}
    return item
