"""Random clients of a shim that stores: what the model sees is what a simple model of the store says; and a fuzz.

`REQUESTS=20000 pytest tests/asgi/test_any_state.py -k anything` sends more requests than a run of all tests does.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from tests.caller import Reply, payloads, request
from tests.oracle import check_error, check_stream
from tests.scripted import ScriptedHost, Step, text_answer
from tests.state import Client, texts

Json = dict[str, Any]

# Turns, forks, deletions ---------------------------------------------------------------------------------------------


@dataclass
class Known:
    """A response or a conversation: whose it is, the texts that the model is to see of it, what the API says of it."""

    owner: int
    id: str
    texts: list[str]
    shown: Json = field(default_factory=dict)
    items: list[str] = field(default_factory=list)
    there: bool = True


@dataclass(frozen=True)
class Operation:
    """What a client does. `target` chooses among what there is; `owner` is who does it."""

    kind: str
    owner: int
    target: int
    background: bool = False
    stream: bool = False
    store: bool = True


operations = st.lists(
    st.builds(
        Operation,
        st.sampled_from(
            ["turn"] * 4 + ["delete", "get", "refer", "converse", "say", "say", "add", "forget", "end", "list"]
        ),
        st.integers(0, 1),
        st.integers(0, 5),
        st.booleans(),
        st.booleans(),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=1,
    max_size=25,
)


class Play:
    """Plays operations against a shim, and on the model beside it."""

    def __init__(self) -> None:
        self.asked = 0
        self.host = ScriptedHost(self.answer)
        self.shim = ResponsesShim(self.host)
        self.clients = [Client(self.shim, "alice"), Client(self.shim, None)]
        self.responses: list[Known] = []
        self.conversations: list[Known] = []

    def answer(self, request: Json) -> list[Step]:
        return text_answer(f"a{len(self.host.requests)}")

    async def run(self, played: list[Operation]) -> None:
        async with self.shim.running():
            for operation in played:
                await getattr(self, operation.kind)(operation, self.clients[operation.owner])

    def chosen(self, among: list[Known], operation: Operation) -> Known | None:
        """What an operation is about: one in six is about nothing."""
        return among[operation.target % len(among)] if among and operation.target else None

    def found(self, known: Known | None, operation: Operation) -> bool:
        return known is not None and known.there and known.owner == operation.owner

    async def made(self, client: Client, operation: Operation, **fields: Any) -> tuple[Json, str, list[str]]:
        """A new response, its question, and all that the model has seen."""
        self.asked += 1
        question = f"q{self.asked}"
        items = [*fields.pop("items", []), {"role": "user", "content": question}]
        background = operation.background and operation.store
        response = await client.create(
            input=items, store=operation.store, stream=operation.stream, background=background, **fields
        )
        if background:
            response = await client.until(response["id"], "completed")
        seen = [text for message in self.host.requests[-1]["messages"] for text in message["content"].split("\n\n")]
        return response, question, seen

    # Responses -------------------------------------------------------------------------------------------------------

    async def turn(self, operation: Operation, client: Client) -> None:
        parent = self.chosen(self.responses, operation)
        if parent is not None and not self.found(parent, operation):
            error = await client.refused(previous_response_id=parent.id)
            assert error["code"] == "previous_response_not_found"
            return
        before = list(parent.texts) if parent is not None else []
        link = {"previous_response_id": parent.id} if parent is not None else {}
        response, question, seen = await self.made(client, operation, **link)
        assert seen == [*before, question]
        self.keep(operation, response, [*seen, texts(response["output"])[0]])

    def keep(self, operation: Operation, response: Json, seen: list[str]) -> None:
        items = [item["id"] for item in response["output"]]
        self.responses.append(Known(operation.owner, response["id"], seen, response, items, there=operation.store))

    async def delete(self, operation: Operation, client: Client) -> None:
        response = self.chosen(self.responses, operation)
        reply = await client.ask("DELETE", f"/responses/{response.id if response else 'resp_never'}")
        assert reply.status == (200 if self.found(response, operation) else 404)
        if response is not None and reply.status == 200:
            response.there = False

    async def get(self, operation: Operation, client: Client) -> None:
        response = self.chosen(self.responses, operation)
        reply = await client.ask("GET", f"/responses/{response.id if response else 'resp_never'}")
        if response is not None and self.found(response, operation):
            assert reply.json == response.shown
        else:
            assert reply.status == 404

    async def refer(self, operation: Operation, client: Client) -> None:
        response = self.chosen(self.responses, operation)
        if response is None:
            return
        reference = {"type": "item_reference", "id": response.items[0]}
        if response.owner != operation.owner:
            assert (await client.refused(input=[reference]))["code"] == "item_not_found"
        elif response.there:  # else the client may have the item in the input of another response
            made, question, seen = await self.made(client, operation, items=[reference])
            assert seen == [texts(response.shown["output"])[0], question]
            self.keep(operation, made, [*seen, texts(made["output"])[0]])

    # Conversations ---------------------------------------------------------------------------------------------------

    async def converse(self, operation: Operation, client: Client) -> None:
        self.conversations.append(Known(operation.owner, await client.conversation(), []))

    async def say(self, operation: Operation, client: Client) -> None:
        conversation = self.chosen(self.conversations, operation)
        if not self.found(conversation, operation) or conversation is None:
            id = conversation.id if conversation is not None else "conv_never"
            assert (await client.refused(conversation=id))["code"] == "conversation_not_found"
            return
        response, question, seen = await self.made(client, operation, conversation=conversation.id)
        assert seen == [*conversation.texts, question]
        if operation.store:
            conversation.texts += [question, texts(response["output"])[0]]
        if operation.background:
            await self.settled(client, conversation)

    async def settled(self, client: Client, conversation: Known) -> None:
        """A response in the background is added to its conversation, which is then free, just behind its end."""
        with anyio.fail_after(5):
            while texts(await client.items(conversation.id, "order=asc&limit=100")) != conversation.texts:
                await anyio.lowlevel.checkpoint()
            for _ in range(10):
                await anyio.lowlevel.checkpoint()

    async def add(self, operation: Operation, client: Client) -> None:
        conversation = self.chosen(self.conversations, operation)
        self.asked += 1
        item = {"role": "user", "content": f"q{self.asked}"}
        id = conversation.id if conversation is not None else "conv_never"
        reply = await client.ask("POST", f"/conversations/{id}/items", json={"items": [item]})
        assert reply.status == (200 if self.found(conversation, operation) else 404)
        if conversation is not None and reply.status == 200:
            conversation.texts.append(item["content"])

    async def forget(self, operation: Operation, client: Client) -> None:
        conversation = self.chosen(self.conversations, operation)
        if conversation is None or not self.found(conversation, operation) or not conversation.texts:
            return
        items = await client.items(conversation.id, "order=asc&limit=100")
        index = operation.target % len(items)
        await client.answer("DELETE", f"/conversations/{conversation.id}/items/{items[index]['id']}")
        del conversation.texts[index]

    async def end(self, operation: Operation, client: Client) -> None:
        conversation = self.chosen(self.conversations, operation)
        id = conversation.id if conversation is not None else "conv_never"
        reply = await client.ask("DELETE", f"/conversations/{id}")
        assert reply.status == (200 if self.found(conversation, operation) else 404)
        if conversation is not None and reply.status == 200:
            conversation.there = False

    async def list(self, operation: Operation, client: Client) -> None:
        conversation = self.chosen(self.conversations, operation)
        if conversation is None or not self.found(conversation, operation):
            return
        found: Any = []
        after = ""
        while True:
            path = f"/conversations/{conversation.id}/items"
            page = await client.answer("GET", path, query=f"order=asc&limit=2{after}")
            found += page["data"]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert texts(found) == conversation.texts


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(operations)
def test_whatever_clients_do_the_model_sees_what_it_should(played: list[Operation]) -> None:
    anyio.run(Play().run, played)


# Anything at all -----------------------------------------------------------------------------------------------------

REQUESTS = int(os.environ.get("REQUESTS", "1200"))
"""How many requests are sent, about."""

ids = st.one_of(
    st.sampled_from(["$response", "$run", "$conversation", "$item", "$input", "compact", "input_tokens", "resp_never"]),
    st.text(max_size=5),
    st.sampled_from(["a" * 128, "a" * 129, "..", ".", "%", "%2f", "é", "\x00", " "]),
)
paths = st.one_of(
    st.just("/responses"),
    st.builds("/responses/{}{}".format, ids, st.sampled_from(["", "/", "/cancel", "/input_items", "/more"])),
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
anything = st.tuples(st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"]), paths, queries, bodies, st.booleans())

# Requests that are mostly right, for what is behind the first checks.
plausible_ids: dict[str, st.SearchStrategy[str]] = {
    "response": st.sampled_from(["$response", "$run", "$response", "resp_never"]),
    "conversation": st.sampled_from(["$conversation", "$conversation", "$response"]),
    "item": st.sampled_from(["$item", "$input", "msg_never"]),
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


def route(method: str, path: str, body: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Any]:
    """Requests to one route; the names in its path are those of ids."""
    filled = st.fixed_dictionaries({name: id for name, id in plausible_ids.items() if f"{{{name}}}" in path})
    return st.tuples(
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
    route("POST", "/conversations", additions),
    route("GET", "/conversations/{conversation}"),
    route("POST", "/conversations/{conversation}", st.fixed_dictionaries({"metadata": data})),
    route("DELETE", "/conversations/{conversation}"),
    route("GET", "/conversations/{conversation}/items"),
    route("POST", "/conversations/{conversation}/items", additions),
    route("GET", "/conversations/{conversation}/items/{item}"),
    route("DELETE", "/conversations/{conversation}/items/{item}"),
)
requests = st.lists(anything | plausible, min_size=1, max_size=12)


async def send(shim: ResponsesShim, known: Json, sent: Any) -> Reply:
    """Send one request with the ids that are known in the place of their names."""
    method, path, query, body, keyed = sent
    text = json.dumps(body)
    for name, id in known.items():
        path, query, text = path.replace(name, id), query.replace(quote(name), id), text.replace(name, id)
    headers = {"authorization": "Bearer alice"} if keyed else {}
    return await request(
        shim,
        method,
        "/v1" + quote(path),
        query=query.encode("latin-1", "replace").decode("latin-1"),
        json=json.loads(text),
        headers=headers,
    )


def check_reply(reply: Reply) -> None:
    assert reply.status < 500, reply.body
    if reply.status >= 400:
        check_error(reply.json)
    elif reply.headers["content-type"].startswith("text/event-stream"):
        events = payloads(reply.events) if reply.body != b"data: [DONE]\n\n" else []
        if events and events[0]["sequence_number"] == 0:
            check_stream(events)
    elif reply.headers["content-type"] == "application/json":
        assert isinstance(reply.json, dict)


async def send_all(sent: list[Any]) -> None:
    shim = ResponsesShim(ScriptedHost())
    client = Client(shim)
    async with shim.running():
        made = await client.create()
        run = await client.create(background=True)
        conversation = await client.conversation({"role": "user", "content": "Hi"})
        await client.until(run["id"], "completed")
        known = {
            "$response": made["id"],
            "$run": run["id"],
            "$conversation": conversation,
            "$item": made["output"][0]["id"],
            "$input": (await client.items(conversation))[0]["id"],
        }
        for one in sent:
            check_reply(await send(shim, known, one))


@settings(max_examples=max(1, REQUESTS // 6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests)
def test_anything_sent_to_any_route_gets_an_answer_and_no_5xx(sent: list[Any]) -> None:
    anyio.run(send_all, sent)
