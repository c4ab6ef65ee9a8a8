"""One client of a shim that stores: asks by raw HTTP in this process, and checks each answer before a test sees it.

alice = Client(ResponsesShim(ScriptedHost()), "alice")
first = await alice.create(input="Hi")
second = await alice.create(input="And?", previous_response_id=first["id"])
assert await alice.get(second["id"]) == second
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
from starlette.types import ASGIApp

from responses_shim import ResponsesShim
from responses_shim.stores.base import Store
from tests.caller import DEADLINE, Exchange, Reply, call, payloads, request, settle
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import ScriptedHost

Json = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """A client with a key; without one it sends no credentials."""

    app: ASGIApp
    key: str | None = "alice"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"} if self.key is not None else {}

    async def ask(self, method: str, path: str, *, query: str = "", json: Any = None) -> Reply:
        """The answer to any request, below `/v1`."""
        return await request(self.app, method, f"/v1{path}", query=query, json=json, headers=self.headers)

    async def answer(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer with status 200."""
        reply = await self.ask(method, path, **options)
        assert reply.status == 200, reply.body
        return reply.json

    async def refusal(self, method: str, path: str, **options: Any) -> Json:
        """The error of a request that is refused, with its HTTP status as `status`."""
        reply = await self.ask(method, path, **options)
        assert reply.status >= 400, reply.body
        check_error(reply.json)
        return {"status": reply.status, **reply.json["error"]}

    # Responses -------------------------------------------------------------------------------------------------------

    async def create(self, *, stream: bool = False, **fields: Any) -> Json:
        """The response to a request, streamed or not. It is valid."""
        if stream:
            response: Json = (await self.stream(**fields))[-1]["response"]
            return response
        response = await self.answer("POST", "/responses", json=self.body(**fields))
        check_response(response)
        return response

    async def stream(self, **fields: Any) -> list[Json]:
        """The events of the response to a request. They are valid."""
        reply = await self.ask("POST", "/responses", json=self.body(**fields, stream=True))
        assert reply.status == 200, reply.body
        events = payloads(reply.events)
        check_stream(events)
        return events

    async def refused(self, **fields: Any) -> Json:
        """The error of a create request that is refused, with its HTTP status as `status`."""
        return await self.refusal("POST", "/responses", json=self.body(**fields))

    def creating(self, **fields: Any) -> Any:
        """A create request whose answer is watched message by message, see `caller.call`."""
        return call(self.app, "POST", "/v1/responses", json=self.body(**fields), headers=self.headers)

    async def get(self, id: str) -> Json:
        """A stored response. It is valid."""
        response: Json = await self.answer("GET", f"/responses/{id}")
        check_response(response)
        return response

    async def events(self, id: str, after: int | None = None) -> list[Json]:
        """The events of a response in the background behind number `after`, to its end. They are not checked."""
        query = "stream=true" + (f"&starting_after={after}" if after is not None else "")
        reply = await self.ask("GET", f"/responses/{id}", query=query)
        assert reply.status == 200, reply.body
        return payloads(reply.events)

    def following(self, id: str) -> Any:
        """The events of a response in the background, watched message by message."""
        return call(self.app, "GET", f"/v1/responses/{id}", query="stream=true", headers=self.headers)

    async def cancel(self, id: str) -> Json:
        """The response after it was cancelled. It is valid."""
        response: Json = await self.answer("POST", f"/responses/{id}/cancel")
        check_response(response)
        return response

    async def until(self, id: str, *statuses: str) -> Json:
        """The response once it has one of these statuses."""
        with anyio.fail_after(DEADLINE):
            while (response := await self.get(id))["status"] not in statuses:
                await settle()
        return response

    async def input_items(self, id: str, query: str = "order=asc") -> Json:
        """A page of the input of a response."""
        page: Json = await self.answer("GET", f"/responses/{id}/input_items", query=query)
        check_page(page)
        return page

    # Conversations ---------------------------------------------------------------------------------------------------

    async def conversation(self, *items: Json, **fields: Any) -> str:
        """The id of a new conversation with these items."""
        id: str = (await self.answer("POST", "/conversations", json={"items": list(items), **fields}))["id"]
        return id

    async def items(self, conversation: str, query: str = "order=asc") -> list[Json]:
        """The items of a conversation that are on one page."""
        page: Json = await self.answer("GET", f"/conversations/{conversation}/items", query=query)
        check_page(page)
        data: list[Json] = page["data"]
        return data

    @staticmethod
    def body(**fields: Any) -> Json:
        return {"model": "scripted", "input": "Hi", **fields}


def store_of(client: Client) -> Store:
    """The store of the client's shim."""
    assert isinstance(client.app, ResponsesShim)
    assert client.app._state is not None
    return client.app._state.store


def check_page(page: Json) -> None:
    """Check a list of items: its keys, and that its ends are named."""
    assert page.keys() == {"object", "data", "first_id", "last_id", "has_more"}
    assert page["object"] == "list"
    ids = [item["id"] for item in page["data"]]
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    assert type(page["has_more"]) is bool


def texts(items: list[Json]) -> list[str]:
    """The text of each message among items, and the type of each other item."""
    return [
        "".join(part["text"] for part in item["content"]) if item["type"] == "message" else item["type"]
        for item in items
    ]


def prompts(host: ScriptedHost) -> list[list[str]]:
    """What the model was given in each call: the role and the text of each message."""
    return [[f"{message['role']}: {message['content']}" for message in chat["messages"]] for chat in host.requests]


async def next_event(exchange: Exchange, kind: str) -> Json:
    """The next event of this type."""
    while (event := await exchange.next_event()) is not None:
        if event.name == kind:
            data: Json = event.data
            return data
    raise AssertionError(f"no {kind}")
