"""Requests of any kind to any route of a shim that stores, each after the others: no exception and no 5xx."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from tests.caller import Reply, payloads, request
from tests.fuzz.fuzzer import Fuzzer
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import ScriptedHost, call_then_text
from tests.state import Client, next_event
from tests.waiting import F

Json = dict[str, Any]


class RouteRequest(msgspec.Struct, frozen=True):
    """A request to a route below `/v1`. Names such as `$response` stand for the ids of what is in the store."""

    method: str
    path: str
    query: str
    body: Any
    keyed: bool
    """Whether it has the credentials to which that belongs."""


class Requests(msgspec.Struct, frozen=True):
    """Requests that are sent one after the other, to a shim with a store of this kind."""

    requests: list[RouteRequest]
    store: Literal["memory", "sqlite"] = "memory"


# What is sent --------------------------------------------------------------------------------------------------------

ids = st.one_of(
    st.sampled_from(["$response", "$run", "$conversation", "$item", "$input", "compact", "input_tokens", "resp_never"]),
    st.text(max_size=5),
    st.sampled_from(["a" * 128, "a" * 129, "..", ".", "%", "%2f", "é", "\x00", " "]),
)
RESPONSE_PATHS = ["", "/", "/cancel", "/input_items", "/tool_outputs", "/more"]
paths = st.one_of(
    st.just("/responses"),
    st.builds("/responses/{}{}".format, ids, st.sampled_from(RESPONSE_PATHS)),
    st.just("/conversations"),
    st.builds("/conversations/{}{}".format, ids, st.sampled_from(["", "/", "/items", "/items/"])),
    st.builds("/conversations/{}/items/{}".format, ids, ids),
)
values = st.one_of(
    ids,
    st.integers(-2, 200).map(str),
    st.sampled_from(["true", "false", "asc", "desc", "", "NaN", "1e9", "9" * 40, "message.output_text.logprobs"]),
)
queries = st.one_of(
    st.lists(
        st.tuples(
            st.sampled_from(["stream", "starting_after", "limit", "order", "after", "before", "include", "unknown"]),
            values,
        ),
        max_size=3,
    ).map(urlencode),
    st.text(alphabet="=&%;+a1é\x00", max_size=8),
)
data = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 300) | ids,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["id", "type", "role", "content", "items", "metadata"]), inner, max_size=3)
    ),
    max_leaves=5,
)
items = st.one_of(
    data,
    st.fixed_dictionaries({"role": st.just("user"), "content": st.just("Hi")}, optional={"id": ids}),
    st.fixed_dictionaries({"type": st.just("item_reference"), "id": ids}),
    st.fixed_dictionaries({"type": st.just("function_call_output"), "call_id": ids, "output": st.just("4")}),
)
bodies = st.one_of(
    st.none(),
    data,
    st.fixed_dictionaries(
        {"model": st.just("m"), "input": st.just("Hi") | st.lists(items, max_size=3)},
        optional={
            "previous_response_id": ids | data,
            "conversation": ids | st.fixed_dictionaries({"id": ids}) | data,
            "store": st.booleans() | st.none(),
            "background": st.booleans() | st.none(),
            "stream": st.booleans(),
        },
    ),
    st.fixed_dictionaries({}, optional={"items": st.lists(items, max_size=3) | data, "metadata": data}),
)
anything = st.builds(
    RouteRequest, st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"]), paths, queries, bodies, st.booleans()
)

# Requests that are mostly right, for what is behind the first checks
plausible_ids: dict[str, st.SearchStrategy[str]] = {
    "response": st.sampled_from(["$response", "$run", "$response", "resp_never"]),
    "conversation": st.sampled_from(["$conversation", "$conversation", "$response"]),
    "item": st.sampled_from(["$item", "$input", "msg_never"]),
    "waiting": st.just("$waiting"),  # nowhere else: whoever follows its events waits for ever
}
references = st.builds(lambda id: {"type": "item_reference", "id": id}, plausible_ids["item"])
plausible_items = references | st.just({"role": "user", "content": "Hi"}) | items
creations = st.fixed_dictionaries(
    {"model": st.just("m"), "input": st.just("Hi") | st.lists(plausible_items, min_size=1, max_size=2)},
    optional={"store": st.booleans(), "background": st.booleans(), "stream": st.booleans()},
)
links: st.SearchStrategy[Json] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"previous_response_id": plausible_ids["response"]}),
    st.fixed_dictionaries({"conversation": plausible_ids["conversation"]}),
)
additions = st.fixed_dictionaries({"items": st.lists(plausible_items, max_size=3)})


outputs = st.fixed_dictionaries(
    {"tool_call_id": st.sampled_from(["call_1", "call_1", "call_1", "call_never"]) | ids},
    optional={
        "output": st.just("4") | st.just([{"type": "input_text", "text": "4"}]) | data,
        "status": st.sampled_from(["completed", "failed", "never"]),
    },
)


def route(method: str, path: str, body: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[RouteRequest]:
    """Requests to one route; the names in its path are those of ids."""
    filled = st.fixed_dictionaries({name: id for name, id in plausible_ids.items() if f"{{{name}}}" in path})
    return st.builds(
        RouteRequest,
        st.just(method),
        filled.map(lambda ids: path.format(**ids)),
        queries | st.just(""),
        st.none() if body is None else body,
        st.just(True) | st.booleans(),
    )


plausible = st.one_of(
    route("POST", "/responses", st.builds(lambda creation, link: {**creation, **link}, creations, links)),
    route("GET", "/responses/{response}"),
    route("DELETE", "/responses/{response}"),
    route("POST", "/responses/{response}/cancel"),
    route("GET", "/responses/{response}/input_items"),
    route("POST", "/responses/{waiting}/tool_outputs", outputs),
    route("POST", "/responses/{waiting}/tool_outputs", outputs),
    route("POST", "/responses/{waiting}/cancel"),
    route("DELETE", "/responses/{waiting}"),
    route("POST", "/conversations", additions),
    route("GET", "/conversations/{conversation}"),
    route("POST", "/conversations/{conversation}", st.fixed_dictionaries({"metadata": data})),
    route("DELETE", "/conversations/{conversation}"),
    route("GET", "/conversations/{conversation}/items"),
    route("POST", "/conversations/{conversation}/items", additions),
    route("GET", "/conversations/{conversation}/items/{item}"),
    route("DELETE", "/conversations/{conversation}/items/{item}"),
)
examples = st.builds(
    Requests, st.lists(anything | plausible, min_size=1, max_size=12), st.sampled_from(["memory"] * 4 + ["sqlite"])
)


# What must hold ------------------------------------------------------------------------------------------------------


async def send(shim: ResponsesShim, known: Json, sent: RouteRequest) -> Reply:
    """Send one request, with the ids that are known in the place of their names."""
    path, query, text = sent.path, sent.query, json.dumps(sent.body)
    for name, id in known.items():
        path, query, text = path.replace(name, id), query.replace(quote(name), id), text.replace(name, id)
    headers = {"authorization": "Bearer alice"} if sent.keyed else {}
    return await request(
        shim,
        sent.method,
        "/v1" + quote(path),
        query=query.encode("latin-1", "replace").decode("latin-1"),
        json=json.loads(text),
        headers=headers,
    )


def check_reply(reply: Reply, shown: Callable[[Json], Json] = dict) -> None:
    """Check that an answer is valid, whatever was asked, and no 5xx. `shown` is what of a response is checked."""
    assert reply.status < 500, reply.body
    if reply.status >= 400:
        check_error(reply.json)
    elif reply.headers["content-type"].startswith("text/event-stream"):
        events = payloads(reply.events) if reply.body != b"data: [DONE]\n\n" else []
        if events and events[0]["sequence_number"] == 0:
            check_stream([event | changed(event, shown) for event in events])
    elif reply.headers["content-type"] == "application/json":
        assert isinstance(reply.json, dict)
        if "output" in reply.json:
            check_response(shown(reply.json))


def changed(event: Json, shown: Callable[[Json], Json]) -> Json:
    """The key of an event that has a response, with what is checked of that."""
    return {"response": shown(event["response"])} if "response" in event else {}


async def check(sent: Requests) -> str:
    """Send the requests to a shim that has a response, one in the background, one that waits, and a conversation."""
    with TemporaryDirectory() if sent.store == "sqlite" else nullcontext() as directory:
        url = f"sqlite:///{directory}/store.db" if directory is not None else "memory://"
        shim = ResponsesShim(ScriptedHost(call_then_text), store=url)
        return f"{sent.store}: the last answer was a {await _send_all(shim, sent)}"


async def _send_all(shim: ResponsesShim, sent: Requests) -> int:
    """Send the requests one after the other, and check the answers. Returns the status of the last."""
    client = Client(shim)
    status = 0
    async with shim.running():
        made = await client.create()
        run = await client.create(background=True)
        conversation = await client.conversation({"role": "user", "content": "Hi"})
        await client.until(run["id"], "completed")
        waiting = await client.create(background=True, tools=[F], tool_outputs="wait")
        async with client.following(waiting["id"]) as events:
            await next_event(events, "response.output_item.done")  # its call
        known = {
            "$response": made["id"],
            "$run": run["id"],
            "$waiting": waiting["id"],
            "$conversation": conversation,
            "$item": made["output"][0]["id"],
            "$input": (await client.items(conversation))[0]["id"],
        }
        for one in sent.requests:
            reply = await send(shim, known, one)
            check_reply(reply)
            status = reply.status
    return status


ROUTES = Fuzzer("routes", Requests, examples, check, short=100)
