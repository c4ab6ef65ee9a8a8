"""The faults that doctor must find: where each is planted, the check that reports it, and how.

Most are planted in the chat server below a shim that is really mounted. Those that the shim does not have are planted
in front of it (`layers.Edited`): in what it sends, the fault is then that of another server of the API.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import ASGIApp

from responses_shim import ResponsesShim
from responses_shim.cli.doctor.connection import Limits
from responses_shim.cli.doctor.findings import Grade
from tests.cli.doctor.hosts import ChatHost
from tests.cli.doctor.layers import Collecting, Edited, Json, Limited, Rewritten, Routed, Workers, answering

KEY = "the-right-key"
LIMITS = Limits(answer=10.0, patience=5.0)


def shim(*faults: str, **options: Any) -> ASGIApp:
    """The shim on a chat server with these faults."""
    return ResponsesShim(ChatHost(*faults, **options))


def healthy(**settings: Any) -> ASGIApp:
    """The shim on a chat server without any."""
    return ResponsesShim(ChatHost(), **settings)


@dataclass(frozen=True)
class Fault:
    """A server with one fault.

    - `server`: makes it
    - `check`: the check that must report it, with this grade
    - `words`: what its reason or its advice must say
    - `key`: the key that doctor is given
    - `limits`: how long things may take: shorter where one takes for ever
    """

    name: str
    server: Callable[[], ASGIApp]
    check: str
    grade: Grade
    words: str
    key: str | None = None
    limits: Limits = LIMITS

    def __str__(self) -> str:
        return self.name


def host_fault(name: str, check: str, grade: Grade, words: str) -> Fault:
    """One in the chat server, by the name that it has there."""
    return Fault(name, lambda: shim(name), check, grade, words)


def events_fault(name: str, change: Callable[[list[Json]], list[Json]], check: str, words: str) -> Fault:
    """One in the events of a stream."""
    return Fault(name, lambda: Edited(healthy(), events=change), check, "broken", words)


def body_fault(
    name: str, change: Callable[[str, str, int, Any], tuple[int, Any]], check: str, grade: Grade, words: str
) -> Fault:
    """One in the JSON of an answer."""
    return Fault(name, lambda: Edited(healthy(), body=change), check, grade, words)


def changed_request(name: str, change: Callable[[Json], Json], check: str, words: str) -> Fault:
    """A field of the request that a server does not read."""
    return Fault(name, lambda: Rewritten(healthy(), change), check, "broken", words)


def without(*kinds: str) -> Callable[[list[Json]], list[Json]]:
    """The events but those of these types."""
    return lambda events: [event for event in events if event["type"] not in kinds]


def edited(kind: str, **values: Any) -> Callable[[list[Json]], list[Json]]:
    """The events of a type with other values."""
    return lambda events: [{**event, **values} if event["type"] == kind else event for event in events]


def repeated_numbers(events: list[Json]) -> list[Json]:
    return [{**event, "sequence_number": event["sequence_number"] // 2} for event in events]


def lost_delta(events: list[Json]) -> list[Json]:
    lost = next(event for event in events if event["type"] == "response.output_text.delta")
    return [event for event in events if event is not lost]


def completed_events(events: list[Json]) -> list[Json]:
    return [*events[:-1], {**events[-1], "type": "response.completed"}]


def renumbered(events: list[Json]) -> list[Json]:
    """Other numbers in each stream, which all ascend."""
    start = time.monotonic_ns()
    return [{**event, "sequence_number": event["sequence_number"] + start} for event in events]


def other_end(events: list[Json]) -> list[Json]:
    response = {**events[-1]["response"], "id": "resp_other"}
    return [*events[:-1], {**events[-1], "response": response}]


def other_output(events: list[Json]) -> list[Json]:
    response = {**events[-1]["response"], "output": events[-1]["response"]["output"][:-1]}
    return [*events[:-1], {**events[-1], "response": response}]


def overlapping_items(events: list[Json]) -> list[Json]:
    """All items are added at the beginning and done at the end."""
    ends = [event for event in events if event["type"] == "response.output_item.done"]
    return [event for event in events[:-1] if event not in ends] + ends + events[-1:]


def always_completed(method: str, path: str, status: int, body: Any) -> tuple[int, Any]:
    return status, {**body, "status": "completed", "incomplete_details": None} if "output" in body else body


def of(method: str, ending: str, status: int, body: Any) -> Callable[[str, str, int, Any], tuple[int, Any]]:
    """Another answer to requests of this method whose path has this in it."""
    return lambda m, path, s, b: (status, body) if (m, ending in path) == (method, True) else (s, b)


def stored_with(**values: Any) -> Callable[[str, str, int, Any], tuple[int, Any]]:
    """Stored responses with other values."""
    return lambda method, path, s, body: (s, {**body, **values}) if method == "GET" and s == 200 else (s, body)


def created_with(**values: Any) -> Callable[[str, str, int, Any], tuple[int, Any]]:
    """New responses with other values."""
    return lambda method, path, s, body: (s, {**body, **values}) if method == "POST" and "output" in body else (s, body)


def created_without(*keys: str) -> Callable[[str, str, int, Any], tuple[int, Any]]:
    """New responses without these keys."""
    return lambda method, path, s, body: (s, {key: value for key, value in body.items() if key not in keys})


def detail(method: str, path: str, status: int, body: Any) -> tuple[int, Any]:
    """Errors as FastAPI writes them."""
    return status, {"detail": body["error"]["message"]} if "error" in body and status >= 400 else body


def no_param(method: str, path: str, status: int, body: Any) -> tuple[int, Any]:
    return status, {"error": {**body["error"], "param": None}} if status >= 400 else body


def as_functions(method: str, path: str, status: int, body: Any) -> tuple[int, Any]:
    """Calls of custom tools come back as those of functions."""
    output = [
        {**item, "type": "function_call", "arguments": "{}"} if item["type"] == "custom_tool_call" else item
        for item in body.get("output") or ()
    ]
    return status, {**body, "output": output} if output else body


def dropped(*names: str) -> Callable[[Json], Json]:
    """The request without these fields."""
    return lambda body: {name: value for name, value in body.items() if name not in names}


def native(*, catalog: bool = False) -> ASGIApp:
    """A server with an endpoint of its own: the shim's answers, but not its refusals."""
    wrong_method = of("PUT", "/responses", 405, {"detail": "Method Not Allowed"})
    shim = healthy()
    own = Edited(shim, body=wrong_method)
    models = {"/v1/models": shim} if catalog else {}
    return Routed(ChatHost(), {"/v1/responses": own, **models})


FAULTS = (
    # the chat server
    Fault("no_chat", lambda: shim("no_chat"), "chat.answer", "broken", "--model"),
    host_fault("no_stream", "chat.stream", "broken", "application/json"),
    host_fault("content_type", "chat.stream", "broken", "text/plain"),
    host_fault("bad_frames", "chat.stream", "broken", "not JSON"),
    host_fault("cut", "chat.end", "broken", "finish_reason"),
    Fault("cut, as clients see it", lambda: shim("cut"), "responses.stream", "broken", "fails"),
    host_fault("no_usage", "chat.usage", "missing", "include_usage"),
    host_fault("no_limit", "chat.limit", "missing", "no effect"),
    host_fault("limit_is_stop", "chat.limit", "missing", "'stop'"),
    Fault("limit_is_stop, as clients see it", lambda: shim("limit_is_stop"), "responses.limit", "broken", "completed"),
    host_fault("calls_as_text", "chat.tools", "missing", "RESPONSES_SHIM_TOOL_MARKUP=detect"),
    Fault("calls_as_text, as clients see it", lambda: shim("calls_as_text"), "responses.tools", "broken", "as text"),
    host_fault("no_tools", "chat.tools", "missing", "no tools here"),
    host_fault("bad_arguments", "chat.tools", "broken", "no JSON object"),
    host_fault("no_ids", "chat.call_ids", "missing", "no id"),
    host_fault("same_ids", "chat.call_ids", "missing", "same id"),
    host_fault("no_required", "chat.tools_required", "missing", "not enforced"),
    Fault(
        "no_required, as clients see it", lambda: shim("no_required"), "responses.tools_required", "missing", "no call"
    ),
    host_fault("no_named", "chat.tools_named", "missing", "get_weather called"),
    host_fault("one_index", "chat.tools_parallel", "missing", "same index"),
    host_fault("think_tags", "chat.reasoning", "missing", "RESPONSES_SHIM_THINK_TAGS"),
    Fault("think_tags, as clients see it", lambda: shim("think_tags"), "responses.reasoning", "broken", "think_tags"),
    host_fault("other_field", "chat.reasoning", "missing", "'thought'"),
    Fault("other_field, as clients see it", lambda: shim("other_field"), "responses.reasoning", "broken", "thought"),
    host_fault("no_replay", "chat.replay", "missing", "RESPONSES_SHIM_REASONING_REPLAY"),
    Fault("no_replay, as clients see it", lambda: shim("no_replay"), "responses.replay", "missing", "does not reach"),
    host_fault("tags_replay", "chat.replay", "missing", "RESPONSES_SHIM_REASONING_REPLAY=think"),
    host_fault("no_schema", "chat.json_schema", "missing", "ignored"),
    host_fault("schema_refused", "chat.json_schema", "missing", "no response_format here"),
    Fault("no_schema, as clients see it", lambda: shim("no_schema"), "responses.json_schema", "missing", "text.format"),
    host_fault("no_logprobs", "chat.logprobs", "missing", "none in its answer"),
    Fault("no_logprobs, as clients see it", lambda: shim("no_logprobs"), "responses.logprobs", "missing", "none"),
    host_fault("no_token_ids", "chat.token_ids", "missing", "return_token_ids"),
    host_fault("images_refused", "chat.images", "missing", "no multimodal model"),
    host_fault("images_dropped", "chat.images", "missing", "in silence"),
    host_fault("no_models", "host.models", "missing", "auth_probe"),
    # keys
    Fault("a key is given, and none asked for", shim, "access.key", "broken", "127.0.0.1", KEY),
    Fault("no key is asked for", shim, "access.key", "missing", "No key"),
    Fault("any key is right", lambda: shim("any_key", key=KEY), "access.wrong_key", "broken", "wrong key", KEY),
    Fault(
        "any key, as clients see it", lambda: shim("any_key", key=KEY), "access.responses", "broken", "wrong key", KEY
    ),
    Fault("the probe is open", lambda: shim("open_models", key=KEY), "access.probe", "broken", "/models is open", KEY),
    Fault("the probe fails", lambda: shim("models_fail", key=KEY), "access.probe", "broken", "auth_probe", KEY),
    Fault(
        "the Responses API asks for no key",
        lambda: Routed(ChatHost(key=KEY), {"/v1/responses": healthy()}),
        "access.responses",
        "broken",
        "without a key",
        KEY,
    ),
    # two requests, and one whose client leaves
    host_fault("cuts_others", "load.second", "broken", "queue requests"),
    Fault("cuts_others, in chat", lambda: ChatHost("cuts_others"), "load.second", "broken", "queue requests"),
    host_fault("busy", "load.second", "missing", "refused"),
    replace(
        host_fault("goes_on", "load.disconnect", "broken", "not answered within"),
        limits=Limits(answer=10.0, patience=0.3),
    ),
    # what is mounted, and what is in front of it
    Fault("no shim", ChatHost, "host.mount", "broken", "responses-shim run"),
    Fault("the server's own endpoint", native, "host.mount", "missing", "RESPONSES_SHIM_NATIVE"),
    Fault("not enabled", lambda: healthy(enabled=False), "host.mount", "broken", "RESPONSES_SHIM_ENABLED"),
    Fault(
        "a page in the place of the API",
        lambda: Routed(ChatHost(), {"/v1/responses": answering(200, b"<html>It works!</html>")}),
        "host.mount",
        "broken",
        "text/html",
    ),
    Fault("a proxy collects the stream", lambda: Collecting(healthy()), "responses.pace", "broken", "proxy_buffering"),
    Fault("the same, in chat", lambda: Collecting(healthy()), "chat.pace", "broken", "proxy_buffering"),
    Fault(
        "workers without a store",
        lambda: Workers(healthy(), healthy()),
        "state.workers",
        "broken",
        "sqlite:////",
    ),
    Fault("a rate limit", lambda: Limited(healthy(), 4), "chat.limit", "untested", "429"),
    # the events of another server
    events_fault("no created", without("response.created"), "responses.beginning", "first events"),
    events_fault("repeated numbers", repeated_numbers, "responses.numbers", "sequence_number"),
    events_fault(
        "no numbers", edited("response.created", sequence_number=None), "responses.numbers", "no sequence_number"
    ),
    events_fault("no item.done", without("response.output_item.done"), "responses.items", "is done"),
    events_fault("overlapping items", overlapping_items, "responses.items", "before item 0 is done"),
    events_fault("no text.done", without("response.output_text.done"), "responses.done_events", "output_text.done"),
    events_fault("no part.done", without("response.content_part.done"), "responses.done_events", "content_part.done"),
    events_fault("lost deltas", lost_delta, "responses.deltas", "deltas"),
    events_fault("another text", edited("response.output_text.done", text="x"), "responses.deltas", "its .done has"),
    events_fault("an item is missing at the end", other_output, "responses.snapshot", "differ"),
    events_fault(
        "an item changes its id", edited("response.output_item.done", item={"id": "msg_2"}), "responses.item_ids", "ids"
    ),
    events_fault("the response changes its id", other_end, "responses.response_id", "resp_other"),
    events_fault("completed when cut", completed_events, "responses.limit", "ends with a response.completed"),
    events_fault("other numbers each time", renumbered, "state.replay", "others"),
    events_fault("no end", lambda events: events[:-1], "responses.terminal", "there is no"),
    events_fault("two ends", lambda events: [*events, events[-1]], "responses.terminal", "2 terminal"),
    events_fault(
        "more after the end", lambda events: [*events[:-2], *reversed(events[-2:])], "responses.terminal", "follows"
    ),
    Fault(
        "another content type",
        lambda: Edited(healthy(), content_type=b"application/x-ndjson"),
        "responses.stream",
        "broken",
        "x-ndjson",
    ),
    Fault("no [DONE]", lambda: Edited(healthy(), done=False), "responses.end_marker", "missing", "[DONE]"),
    # the answers of another server
    body_fault(
        "a response without keys", created_without("usage", "error"), "responses.create", "broken", "usage, error"
    ),
    body_fault("a response without an id", created_without("id"), "responses.ids", "broken", "no id"),
    body_fault("milliseconds", created_with(created_at=1_700_000_000_000), "responses.created_at", "broken", "Unix"),
    body_fault("always completed", always_completed, "responses.limit", "broken", "completed"),
    body_fault("custom tools are functions", as_functions, "responses.custom_tool", "broken", "function_call"),
    body_fault("errors of FastAPI", detail, "errors.type", "broken", "OpenAI's form"),
    body_fault("no field at fault", no_param, "errors.range", "missing", "top_p"),
    body_fault(
        "an empty message",
        of("POST", "/responses", 400, {"error": dict.fromkeys(("message", "type", "param", "code"))}),
        "errors.input",
        "broken",
        "no message",
    ),
    body_fault(
        "a failure for a bad request", of("POST", "/responses", 500, {"detail": "oops"}), "errors.json", "broken", "500"
    ),
    body_fault(
        "any id is there",
        of("GET", "/responses", 200, {"id": "x"}),
        "errors.unknown_id",
        "broken",
        "nothing were wrong",
    ),
    changed_request("top_p is not read", dropped("top_p"), "errors.range", "nothing were wrong"),
    # what another server keeps
    Fault("no store", lambda: healthy(store="off"), "state.get", "missing", "RESPONSES_SHIM_STORE"),
    body_fault("another response is stored", stored_with(output=[]), "state.get", "broken", "output"),
    body_fault(
        "no route of stored responses",
        of("GET", "/responses", 404, {"detail": "Not Found"}),
        "state.get",
        "missing",
        "404",
    ),
    body_fault(
        "no input items", of("GET", "input_items", 404, {"detail": "Not Found"}), "state.input_items", "missing", "404"
    ),
    body_fault(
        "other input items",
        of("GET", "input_items", 200, {"object": "list", "data": []}),
        "state.input_items",
        "broken",
        "not those",
    ),
    changed_request("previous is not read", dropped("previous_response_id"), "state.previous", "ignored in silence"),
    changed_request(
        "unknown previous", dropped("previous_response_id"), "state.previous_unknown", "ignored in silence"
    ),
    body_fault(
        "no conversations",
        of("POST", "/conversations", 404, {"detail": "Not Found"}),
        "state.conversation",
        "missing",
        "404",
    ),
    changed_request("conversation is not read", dropped("conversation"), "state.conversation", "messages"),
    body_fault(
        "no background",
        of("POST", "/responses", 400, {"detail": "no background"}),
        "state.background",
        "missing",
        "lifespan",
    ),
    replace(
        body_fault("the background never ends", stored_with(status="queued"), "state.background", "broken", "queued"),
        limits=Limits(answer=3.0),
    ),
    body_fault("no cancel", of("POST", "/cancel", 404, {"detail": "Not Found"}), "state.cancel", "missing", "404"),
    body_fault("cancel fails", of("POST", "/cancel", 500, {"detail": "oops"}), "state.cancel", "broken", "500"),
    body_fault(
        "no delete", of("DELETE", "/responses", 405, {"detail": "Method Not Allowed"}), "state.delete", "missing", "405"
    ),
    body_fault("delete does nothing", of("GET", "/responses", 200, {}), "state.delete", "broken", "can still be read"),
)
"""Every fault."""
