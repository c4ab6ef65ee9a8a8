"""Whose is it: what is stored is there for the credentials that it was made with, and for nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from tests.conformance.asking import WEATHER
from tests.guarded import CORS, GuardedHost
from tests.scripted import Hold, Raise, ScriptedHost, Start, call_then_text, chunk, text_answer
from tests.state import Client, prompts, store_of, texts
from tests.stores.redis_server import Server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left", "every_store")]

Json = dict[str, Any]
HELLO = {"role": "user", "content": "Hello"}

# Every route that touches the store: method, path and body. `{response}` and so on are ids.
ROUTES: list[tuple[str, str, Json | None]] = [
    ("GET", "/responses/{response}", None),
    ("GET", "/responses/{run}?stream=true", None),
    ("GET", "/responses/{run}?stream=true&starting_after=2", None),
    ("GET", "/responses/{response}/input_items", None),
    ("POST", "/responses/{response}/cancel", None),
    ("POST", "/responses/{run}/cancel", None),
    ("POST", "/responses/{waiting}/tool_outputs", {"tool_call_id": "call_1", "output": "sunny"}),
    ("POST", "/responses", {"previous_response_id": "{response}"}),
    ("POST", "/responses", {"previous_response_id": "{response}", "background": True}),
    ("POST", "/responses", {"previous_response_id": "{response}", "stream": True}),
    ("POST", "/responses", {"previous_response_id": "{response}", "tool_outputs": "wait"}),
    ("POST", "/responses", {"conversation": "{conversation}"}),
    ("POST", "/responses", {"conversation": "{conversation}", "background": True}),
    ("POST", "/responses", {"conversation": "{conversation}", "stream": True}),
    ("POST", "/responses", {"conversation": {"id": "{conversation}"}, "store": False}),
    ("POST", "/responses", {"input": [{"type": "item_reference", "id": "{item}"}]}),
    ("POST", "/responses", {"input": [{"type": "item_reference", "id": "{input}"}]}),
    ("POST", "/responses", {"input": [{"type": "item_reference", "id": "{item}"}], "background": True}),
    ("GET", "/conversations/{conversation}", None),
    ("POST", "/conversations/{conversation}", {"metadata": {"a": "b"}}),
    ("GET", "/conversations/{conversation}/items", None),
    ("POST", "/conversations/{conversation}/items", {"items": [HELLO]}),
    ("GET", "/conversations/{conversation}/items/{member}", None),
    ("DELETE", "/conversations/{conversation}/items/{member}", None),
    ("DELETE", "/conversations/{conversation}", None),
    ("DELETE", "/responses/{response}", None),
]
NEW: list[tuple[str, str, Json | None]] = [
    ("POST", "/conversations", {"items": [HELLO]}),
    ("POST", "/responses", {"background": True}),
    ("POST", "/responses", {"background": True, "stream": True}),
    ("POST", "/responses", {"tool_outputs": "wait"}),
]
"""Routes that make something."""

every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: " ".join(map(str, route)))
NEVER = {name: f"{name[:4]}_never" for name in ("response", "run", "waiting", "item", "input", "member")} | {
    "conversation": "conv_never"
}


async def stored(client: Client) -> dict[str, str]:
    """The ids of one of each that a client can store."""
    response = await client.create(input="Secret")
    run = await client.create(input="Secret", background=True)
    await client.until(run["id"], "completed")
    waiting = await client.create(input="Secret", background=True, tool_outputs="wait", tools=[WEATHER])
    conversation = await client.conversation({"role": "user", "content": "Secret"})
    return {
        "response": response["id"],
        "run": run["id"],
        "waiting": waiting["id"],
        "item": response["output"][0]["id"],
        "input": (await client.input_items(response["id"]))["first_id"],
        "conversation": conversation,
        "member": (await client.items(conversation))[0]["id"],
    }


async def use(client: Client, route: tuple[str, str, Json | None], ids: dict[str, str]) -> tuple[int, str]:
    """Use a route with these ids: the status, and the body with each id replaced by its name."""
    method, path, body = route
    path, _, query = filled(path, ids).partition("?")
    sent = json.loads(filled(json.dumps(body), ids)) if body is not None else None
    if path == "/responses" and sent is not None:
        sent = client.body(**sent)
    reply = await client.ask(method, path, query=query, json=sent)
    text = reply.body.decode()
    for name, id in ids.items():
        text = text.replace(id, f"<{name}>")
    return reply.status, text


def filled(text: str, ids: dict[str, str]) -> str:
    for name, id in ids.items():
        text = text.replace(f"{{{name}}}", id)
    return text


@asynccontextmanager
async def shim_over(host: Any, **settings: Any) -> AsyncIterator[ResponsesShim]:
    shim = ResponsesShim(host, **settings)
    async with shim.running():
        yield shim


# A host that lets everybody in ---------------------------------------------------------------------------------------


@every_route
@pytest.mark.parametrize(
    ("owner", "other"), [("alice", "bob"), ("alice", None), (None, "bob")], ids=["a key", "no key", "no owner"]
)
async def test_another_key_finds_nothing_just_as_if_it_never_was(
    route: tuple[str, str, Json | None], owner: str | None, other: str | None
) -> None:
    host = ScriptedHost(call_then_text)
    async with shim_over(host) as shim:
        await check_strange(Client(shim, owner), Client(shim, other), host, route)


async def check_strange(owner: Client, other: Client, host: ScriptedHost, route: tuple[str, str, Json | None]) -> None:
    """Check that a stranger gets a 404 for the owner's ids, as for any others, and the owner what is there."""
    ids = await stored(owner)
    calls = len(host.requests)
    foreign = await use(other, route, ids)
    never = await use(other, route, NEVER)
    assert foreign[0] == 404
    assert foreign == never
    assert len(host.requests) == calls
    status, _ = await use(owner, route, ids)
    assert status == (400 if route == ("POST", "/responses/{response}/cancel", None) else 200)


async def test_what_a_stranger_does_changes_nothing() -> None:
    async with shim_over(ScriptedHost(call_then_text)) as shim:
        alice, bob = Client(shim), Client(shim, "bob")
        ids = await stored(alice)
        before = await alice.get(ids["response"]), await alice.items(ids["conversation"])
        for route in ROUTES:
            await use(bob, route, ids)
        assert before == (await alice.get(ids["response"]), await alice.items(ids["conversation"]))


async def test_two_clients_may_use_one_id() -> None:
    """Items have ids that clients choose."""
    async with shim_over(ScriptedHost()) as shim:
        item = {"role": "user", "id": "msg_1"}
        for key in ("alice", "bob"):
            await Client(shim, key).create(input=[{**item, "content": f"of {key}"}])
        host = ScriptedHost()
        shim.app = host
        await Client(shim, "bob").create(input=[{"id": "msg_1"}])
    assert prompts(host) == [["user: of bob"]]


async def test_a_stranger_cannot_evict_what_others_have() -> None:
    shim = ResponsesShim(ScriptedHost(), store_trees=3)
    alice, bob = Client(shim), Client(shim, "bob")
    mine = await alice.create()
    for _ in range(10):
        await bob.create(input="x" * 1_000)
    assert await alice.get(mine["id"]) == mine


async def test_a_response_stays_its_owners_when_the_keys_are_rotated() -> None:
    """It is found under the older key, and what continues it belongs to the same owner."""
    pytest.importorskip("cryptography")
    old, new = "an-older-secret-key", "a-newer-secret-key"
    before = ResponsesShim(ScriptedHost(), secret_keys=[old])
    after = ResponsesShim(ScriptedHost(text_answer("Hello")), secret_keys=[new, old])
    assert after._state is not None
    made = await Client(before).create(input="One")
    conversation = await Client(before).conversation(HELLO)
    after._state.store = store_of(Client(before))
    assert await Client(after).get(made["id"]) == made
    child = await Client(after).create(input="Two", previous_response_id=made["id"])
    assert await Client(after).get(child["id"]) == child
    await Client(after).create(input="Two", conversation=conversation)
    assert texts(await Client(after).items(conversation)) == ["Hello", "Two", "Hello"]
    assert (await Client(after, "bob").refusal("GET", f"/responses/{made['id']}"))["status"] == 404
    await Client(after).answer("DELETE", f"/responses/{made['id']}")


async def test_processes_agree_on_whose_it_is_after_the_store_has_lost_its_secret(redis_server: Server) -> None:
    """As a Redis that keeps nothing on disk does in a restart: a process that has started later knows the new one."""
    redis_server.clear()
    async with (
        shim_over(ScriptedHost(), store=redis_server.url) as older,
        shim_over(ScriptedHost(), store=redis_server.url) as newer,
    ):
        await Client(older).create()
        redis_server.clear()
        made = await Client(newer).create()
        assert (await Client(older).refusal("GET", f"/responses/{made['id']}"))["status"] == 404
        assert older._state is not None
        await older._state.renew_keys()  # as it does every few seconds
        assert await Client(older).get(made["id"]) == made


async def test_the_owner_header_tells_the_users_of_one_key_apart() -> None:
    shim = ResponsesShim(ScriptedHost(), owner_header="x-user")

    class User(Client):
        @property
        def headers(self) -> dict[str, str]:
            return {"authorization": "Bearer shared", "x-user": str(self.key)}

    made = await User(shim, "alice").create()
    assert await User(shim, "alice").get(made["id"]) == made
    assert (await User(shim, "bob").refusal("GET", f"/responses/{made['id']}"))["status"] == 404
    assert (await Client(shim, "shared").refusal("GET", f"/responses/{made['id']}"))["status"] == 404


async def test_a_scheme_is_read_without_regard_to_case() -> None:
    shim = ResponsesShim(ScriptedHost())
    made = await Client(shim).create()
    reply = await Client(shim).ask("GET", f"/responses/{made['id']}")

    class Lower(Client):
        @property
        def headers(self) -> dict[str, str]:
            return {"authorization": f"bearer {self.key}"}

    assert (await Lower(shim).ask("GET", f"/responses/{made['id']}")).body == reply.body


# A host that asks for keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES + NEW, ids=lambda route: " ".join(map(str, route)))
@pytest.mark.parametrize("key", ["wrong", "", None])
async def test_a_bad_key_is_401_first_whether_or_not_the_id_is_there(
    route: tuple[str, str, Json | None], key: str | None
) -> None:
    host = GuardedHost(chat=call_then_text)
    async with shim_over(host) as shim:
        right = Client(shim, "right")
        ids = await stored(right)
        before = len(await store_of(right).scan())
        calls = len(host.chat.requests)
        for known in (ids, NEVER):
            method, path, body = route
            path, _, query = filled(path, known).partition("?")
            sent = json.loads(filled(json.dumps(body), known)) if body is not None else None
            reply = await Client(shim, key).ask(
                method, path, query=query, json=Client.body(**sent) if path == "/responses" and sent else sent
            )
            assert reply.status == 401
            assert reply.headers["www-authenticate"] == "Bearer"
            assert "never" not in reply.body.decode()
        assert len(host.chat.requests) == calls
        assert len(await store_of(right).scan()) == before
        assert (await use(right, route, ids))[0] in (200, 400)


@every_route
async def test_another_key_that_is_right_too_finds_nothing(route: tuple[str, str, Json | None]) -> None:
    host = GuardedHost(chat=call_then_text, keys=["right", "right too"])
    async with shim_over(host) as shim:
        await check_strange(Client(shim, "right"), Client(shim, "right too"), host.chat, route)


@every_route
async def test_a_host_that_does_not_say_who_is_let_in_is_503(route: tuple[str, str, Json | None]) -> None:
    host = GuardedHost(models=Raise(RuntimeError("no")))
    async with shim_over(host) as shim:
        assert (await use(Client(shim, "right"), route, NEVER))[0] == 503


async def test_the_answers_have_the_cors_headers_of_the_host() -> None:
    host = GuardedHost()
    async with shim_over(host) as shim:
        right = Client(shim, "right")
        made = await right.stream(background=True)
        id = made[0]["response"]["id"]
        allowed = CORS[0][1].decode()
        for query in ("", "stream=true", "limit=0&stream=maybe"):
            reply = await right.ask("GET", f"/responses/{id}", query=query)
            assert reply.headers["access-control-allow-origin"] == allowed


async def test_what_is_stored_is_there_while_the_engine_is_down() -> None:
    host = ScriptedHost(text_answer("Hello"), [Start(503), Raise(RuntimeError("down"))])
    client = Client(ResponsesShim(host))
    made = await client.create()
    assert await client.get(made["id"]) == made
    assert len(host.requests) == 1


async def test_without_a_key_all_who_have_none_share_what_is_stored() -> None:
    shim = ResponsesShim(ScriptedHost())
    made = await Client(shim, None).create()
    assert await Client(shim, None).get(made["id"]) == made


async def test_a_run_has_the_credentials_of_its_maker() -> None:
    """Not those of whoever looks at it."""
    host = ScriptedHost([chunk("Half"), Hold()], text_answer("Hello"))
    async with shim_over(host) as shim:
        run = await Client(shim, "alice").create(background=True)
        with anyio.fail_after(5):
            await host.called.wait()
        await Client(shim, "bob").create()
        await Client(shim, "alice").cancel(run["id"])
    assert [headers["authorization"] for headers in host.headers] == ["Bearer alice", "Bearer bob"]
