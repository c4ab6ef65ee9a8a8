"""Random clients of a shim that stores: what the model sees is what a simple model of the store says.

Requests of any kind, to any route, are in `tests/fuzz/routes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from responses_shim import ResponsesShim
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
