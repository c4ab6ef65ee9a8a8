"""Requests of every form, mutated: each gets one valid answer, no 5xx, and an error names the field at fault."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

from responses_shim import RequestView, ResponsesShim
from responses_shim.core.tools.kinds import KINDS
from tests.caller import request
from tests.cuts import POSITIONS, cut
from tests.fuzz.fuzzer import Fuzzer
from tests.fuzz.grammar import HEADERS, QUERIES, bodies
from tests.fuzz.mutations import as_json, mutated, mutated_bytes
from tests.fuzz.routes import check_reply
from tests.scripted import ScriptedHost, call_then_text
from tests.state import Client

Json = dict[str, Any]


class CreateRequest(msgspec.Struct, frozen=True):
    """A request to `POST /v1/responses`. `$response` and `$conversation` in its body stand for what is in the store."""

    body: str
    """Its bytes, read as Latin-1, so that each is one character."""
    positions: list[int] = []
    """Where the body is cut into the messages in which it arrives. Without any, its length is in a header."""
    query: str = ""
    headers: list[tuple[str, str]] = []
    intercepted: bool = False
    """Whether an interceptor looks at the request."""


valid = bodies()
encoded = st.builds(as_json, mutated(valid, most=2), ascii_only=st.booleans())
examples = st.builds(
    CreateRequest,
    (encoded | encoded | encoded | mutated_bytes(encoded)).map(lambda body: body.decode("latin-1")),
    st.just([]) | POSITIONS,
    QUERIES,
    st.just([]) | HEADERS,
    st.booleans(),
)


READ_TOOLS = {*KINDS.by_tool_type, "namespace"}
MAX_DEPTH = 100
"""How many levels a body may have. One with more is refused as it is, before it has any fields."""
OF_THE_HOST = [("code", "token_ids_inconsistent"), ("param", "text.format")]
"""What errors have that are the scripted host's fault: it gives no token ids, and keeps to no format."""


async def look(view: RequestView, headers: Mapping[str, str]) -> None:
    """An interceptor that changes nothing: the request is translated for it and back all the same."""


async def check(example: CreateRequest) -> str:
    """Send the request to a shim that has a response and a conversation."""
    shim = ResponsesShim(ScriptedHost(call_then_text), interceptors=[look] if example.intercepted else [])
    client = Client(shim)
    body = example.body.encode("latin-1")
    async with shim.running():
        if b"$" in body:
            body = body.replace(b"$response", (await client.create())["id"].encode())
            body = body.replace(b"$conversation", (await client.conversation()).encode())
        headers = [*client.headers.items(), ("content-type", "application/json")]
        named = {name for name, _ in example.headers}
        reply = await request(
            shim,
            "POST",
            "/v1/responses",
            body=cut(body, example.positions) if example.positions else body,
            query=example.query,
            headers=[*[header for header in headers if header[0] not in named], *example.headers],
        )
    if reply.status == 502 and (fault := next((f for f in OF_THE_HOST if f in reply.json["error"].items()), None)):
        return f"502 {fault[1]}"
    check_reply(reply, without_hosted_tools)
    if reply.status < 400:
        kind = "stream" if reply.headers["content-type"].startswith("text/event-stream") else "response"
        return f"{reply.status}, a {kind}"
    error = reply.json["error"]
    if reply.status == 400 and not example.headers and is_object(body):
        assert error["param"] is not None, f"no field is named: {error}"
    return f"{reply.status} {error['code']}"


def without_hosted_tools(response: Json) -> Json:
    """The response without the hosted tools that it repeats: they are not read, so wrong ones come back too."""
    return {**response, "tools": _read(response["tools"])}


def _read(tools: list[Json]) -> list[Json]:
    """The tools that are read, of those in a namespace too."""
    read = [tool for tool in tools if tool.get("type") in READ_TOOLS]
    return [{**tool, "tools": _read(tool["tools"])} if tool["type"] == "namespace" else tool for tool in read]


def is_object(body: bytes) -> bool:
    """Whether the body is a JSON object that can be read, so that what is wrong with it is one of its fields."""
    try:
        value: Any = json.loads(body.decode(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and _depth(value) <= MAX_DEPTH


def _refuse(constant: str) -> None:
    """Raise ValueError for `NaN` and the like, which Python takes for JSON."""
    raise ValueError(constant)


def _finite(digits: str) -> float:
    """Read a number. Raises ValueError if no float is as large."""
    if math.isinf(number := float(digits)):
        raise ValueError(digits)
    return number


def _depth(value: Any) -> int:
    """How many levels of arrays and objects there are, counted as far as it matters."""
    level, depth = [value], 0
    while depth <= MAX_DEPTH and (level := [inner for inner in level if isinstance(inner, dict | list)]):
        level = [child for inner in level for child in (inner.values() if isinstance(inner, dict) else inner)]
        depth += 1
    return depth


REQUESTS = Fuzzer("requests", CreateRequest, examples, check, short=300)
