"""A store that is away: what needs it is a 503 before the model is called, and all else goes on without it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from responses_shim.runtime import background, history
from responses_shim.runtime.state import UNSTORED
from responses_shim.stores import opening
from responses_shim.stores.base import StoreUnavailable
from responses_shim.stores.memory import MemoryStore
from tests.caller import DEADLINE, payloads, settle
from tests.oracle import check_stream
from tests.scripted import Hold, Raise, ScriptedHost, Wait, chunk, text_answer
from tests.state import Client, next_event, prompts, texts

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

streaming = pytest.mark.parametrize("stream", [False, True], ids=["not streamed", "streamed"])

METHODS = frozenset(
    {"add", "append_items", "change", "delete", "expired", "find_items", "get", "history", "lease", "page"}
    | {"post", "read", "scan", "secret"}
)


ITS_OWN = object()


class FailingStore:
    """A store in memory of which some methods, or all, fail while they are told to."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.failing: frozenset[str] = frozenset()
        self.results: dict[str, list[Any]] = {}
        """What a method returns the next times in the place of its result; `ITS_OWN`: that."""
        self.error: Exception | None = StoreUnavailable()
        """What they raise. None: they never return."""

    @contextmanager
    def away(self, *methods: str) -> Iterator[None]:
        self.failing = frozenset(methods) or METHODS
        yield
        self.failing = frozenset()

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            if results := self.results.get(name):
                result = results.pop(0)
                return result if result is not ITS_OWN else await getattr(self.store, name)(*args, **options)
            if name not in self.failing:
                return await getattr(self.store, name)(*args, **options)
            if self.error is None:
                await anyio.sleep_forever()
            assert self.error is not None
            raise self.error

        return call


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FailingStore:
    failing = FailingStore()
    monkeypatch.setitem(opening._FACTORIES, "failing", lambda url, bounds: failing)
    return failing


@asynccontextmanager
async def running(*scripts: Any) -> AsyncIterator[tuple[Client, ScriptedHost]]:
    host = ScriptedHost(*scripts)
    shim = ResponsesShim(host, store="failing://")
    async with shim.running():
        yield Client(shim), host


NEEDING: list[dict[str, Any]] = [
    {"previous_response_id": "resp_1"},
    {"conversation": "conv_1"},
    {"conversation": "conv_1", "store": False},
    {"background": True},
    {"background": True, "stream": True},
    {"store": True},
    {"store": True, "stream": True},
    {"input": [{"type": "item_reference", "id": "msg_1"}], "store": False},
]
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/responses/resp_1", None),
    ("GET", "/responses/resp_1/input_items", None),
    ("DELETE", "/responses/resp_1", None),
    ("POST", "/responses/resp_1/cancel", None),
    ("POST", "/conversations", {}),
    ("GET", "/conversations/conv_1", None),
    ("POST", "/conversations/conv_1", {"metadata": {}}),
    ("DELETE", "/conversations/conv_1", None),
    ("GET", "/conversations/conv_1/items", None),
    ("POST", "/conversations/conv_1/items", {"items": []}),
    ("GET", "/conversations/conv_1/items/msg_1", None),
    ("DELETE", "/conversations/conv_1/items/msg_1", None),
]

used_before = pytest.mark.parametrize("used", [False, True], ids=["from the start", "later"])


def check_away(error: dict[str, Any]) -> None:
    assert (error["status"], error["type"], error["code"]) == (503, "server_error", "store_unavailable")


@used_before
@pytest.mark.parametrize("fields", NEEDING, ids=str)
async def test_what_needs_the_store_is_503_before_the_model_is_called(
    store: FailingStore, fields: dict[str, Any], used: bool
) -> None:
    async with running() as (client, host):
        if used:
            await client.create()
        calls = len(host.requests)
        with store.away():
            check_away(await client.refused(**fields))
        assert len(host.requests) == calls


@used_before
@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_the_routes_of_what_is_stored_are_503_and_never_404(
    store: FailingStore, method: str, path: str, body: Any, used: bool
) -> None:
    async with running() as (client, _):
        if used:
            await client.create()
        with store.away():
            check_away(await client.refusal(method, path, json=body))
            assert (await client.ask(method, path, json=body)).headers["retry-after"] == "1"


@used_before
@streaming
@pytest.mark.parametrize("fields", [{}, {"store": None}, {"store": False}], ids=str)
async def test_any_other_request_goes_on_and_says_that_it_is_not_stored(
    store: FailingStore, fields: dict[str, Any], stream: bool, used: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, unless the client did not want it to be stored."""
    async with running() as (client, _):
        if used:
            await client.create()
        with store.away():
            response = await client.create(stream=stream, **fields)
        assert (response["status"], response["store"]) == ("completed", False)
        assert (await client.refusal("GET", f"/responses/{response['id']}"))["status"] == 404
        assert isinstance(client.app, ResponsesShim)
        assert client.app._state is not None
        expected = fields.get("store", True) is not False
        assert client.app._state.unstored.count == expected
        assert (UNSTORED % 1 in caplog.messages) == expected


async def test_what_comes_back_works_again(store: FailingStore) -> None:
    async with running() as (client, host):
        with store.away():
            await client.create()
        made = await client.create(input="One", store=True)
        with store.away():
            check_away(await client.refusal("GET", f"/responses/{made['id']}"))
        assert await client.get(made["id"]) == made
        await client.create(input="Two", previous_response_id=made["id"])
        assert prompts(host)[-1] == ["user: One", "assistant: Hello world", "user: Two"]


# A response that cannot be kept when it has ended --------------------------------------------------------------------

broken = pytest.mark.parametrize(
    "error", [StoreUnavailable(), RuntimeError("a bug in a store"), None], ids=["away", "a bug", "it hangs"]
)


@broken
@streaming
async def test_a_response_that_was_to_be_stored_fails(
    store: FailingStore, error: Exception | None, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SAVE_SECONDS", 0.05)
    store.error = error
    async with running() as (client, host):
        with store.away("add"):
            if stream:
                response = (await client.stream(store=True))[-1]["response"]
                assert (response["status"], response["store"]) == ("failed", False)
                assert response["error"]["code"] == "server_error"
                assert "bug" not in response["error"]["message"]
            else:
                check_away(await client.refused(store=True))
        assert len(host.requests) == 1
        if stream:
            assert (await client.refusal("GET", f"/responses/{response['id']}"))["status"] == 404


@broken
@streaming
async def test_another_is_answered_and_says_that_it_is_not_stored(
    store: FailingStore, error: Exception | None, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SAVE_SECONDS", 0.05)
    store.error = error
    async with running() as (client, _):
        with store.away("add"):
            response = await client.create(stream=stream)
        assert (response["status"], response["store"]) == ("completed", False)


async def test_a_response_that_continues_one_fails_if_it_cannot_be_stored(store: FailingStore) -> None:
    async with running() as (client, _):
        made = await client.create()
        with store.away("add"):
            failed = await client.create(previous_response_id=made["id"], stream=True)
            kept_nowhere = await client.create(previous_response_id=made["id"], store=False)
        assert (failed["status"], failed["store"]) == ("failed", False)
        assert kept_nowhere["status"] == "completed"
        await client.create(previous_response_id=made["id"])


@pytest.mark.parametrize("method", ["add", "append_items"])
async def test_a_response_of_a_conversation_is_kept_in_both_or_in_neither(store: FailingStore, method: str) -> None:
    async with running() as (client, _):
        conversation = await client.conversation()
        with store.away(method):
            failed = await client.create(conversation=conversation, stream=True)
        assert (failed["status"], failed["store"]) == ("failed", False)
        assert await client.items(conversation) == []
        assert (await client.refusal("GET", f"/responses/{failed['id']}"))["status"] == 404
        await client.create(conversation=conversation, input="Again")
        assert texts(await client.items(conversation)) == ["Again", "Hello world"]


async def test_a_response_that_has_failed_says_why_though_it_cannot_be_stored(store: FailingStore) -> None:
    async with running([chunk("Half"), Raise(RuntimeError("out of memory"))]) as (client, _):
        with store.away("add"):
            failed = await client.create(stream=True, store=True)
        assert (failed["status"], failed["store"]) == ("failed", False)
        assert "stored" not in failed["error"]["message"]


async def test_a_response_that_is_too_large_for_the_store_is_not_kept() -> None:
    client = Client(ResponsesShim(ScriptedHost(text_answer("x" * 10_000)), store_size=5_000))
    assert (await client.create())["store"] is False
    assert (await client.create(store=True, stream=True))["status"] == "failed"


async def test_items_that_are_too_large_for_the_store_are_413() -> None:
    client = Client(ResponsesShim(ScriptedHost(), store_size=5_000))
    body = {"items": [{"role": "user", "content": "x" * 10_000}]}
    assert (await client.refusal("POST", "/conversations", json=body))["status"] == 413


# What is gone meanwhile ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "results"),
    [
        ("DELETE", "/responses/$response", None, {"delete": [None]}),
        ("GET", "/responses/$response/input_items", None, {"page": [None]}),
        ("POST", "/responses/$run/cancel", None, {"get": [ITS_OWN, None]}),
        ("POST", "/conversations/$conversation", {"metadata": {}}, {"change": [False]}),
        ("DELETE", "/conversations/$conversation", None, {"delete": [False]}),
        ("GET", "/conversations/$conversation/items", None, {"page": [None]}),
        ("POST", "/conversations/$conversation/items", {"items": []}, {"append_items": [None]}),
    ],
)
async def test_what_is_deleted_between_two_looks_is_not_found(
    store: FailingStore, method: str, path: str, body: Any, results: dict[str, list[Any]]
) -> None:
    async with running() as (client, _):
        run = await client.create(background=True)
        await client.until(run["id"], "completed")
        known = {
            "$response": (await client.create())["id"],
            "$run": run["id"],
            "$conversation": await client.conversation(),
        }
        for name, id in known.items():
            path = path.replace(name, id)
        store.results = {name: list(values) for name, values in results.items()}
        error = await client.refusal(method, path, json=body)
        assert error["status"] == 404
        assert error["code"] in ("response_not_found", "conversation_not_found")


async def test_a_run_whose_response_was_ended_by_others_stops_at_its_next_write(store: FailingStore) -> None:
    """Though it has not been woken: its lease is still its own."""
    go = anyio.Event()
    async with running([chunk("Half"), Wait(go), *text_answer(" done")]) as (client, host):
        id = (await client.create(background=True))["id"]
        async with client.following(id) as exchange:
            await next_event(exchange, "response.output_text.delta")
        store.results = {"change": [False]}
        go.set()
        with anyio.fail_after(DEADLINE):
            await host.finished.wait()
        failed = await client.until(id, "failed")
        assert failed["error"]["message"] == "The response could not be made, or not be stored."


async def test_a_run_whose_lease_is_anothers_stops(store: FailingStore) -> None:
    async with running([chunk("Half"), Hold()]) as (client, host):
        store.results = {"lease": [False]}
        id = (await client.create(background=True))["id"]
        with anyio.fail_after(DEADLINE):
            await host.finished.wait()
        await client.until(id, "failed")


# No store at all -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_without_a_store_its_routes_are_404(method: str, path: str, body: Any) -> None:
    error = await Client(ResponsesShim(ScriptedHost(), store="off")).refusal(method, path, json=body)
    assert (error["status"], error["code"], error["type"]) == (404, "not_found", "invalid_request_error")


async def test_without_a_store_the_shim_lives_and_dies_all_the_same() -> None:
    shim = ResponsesShim(ScriptedHost(), store="off")
    async with shim.running():
        assert (await Client(shim).create())["store"] is False


# A run in the background ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["add", "change"])
async def test_a_run_that_cannot_be_queued_is_503(store: FailingStore, method: str) -> None:
    async with running() as (client, host):
        with store.away(method):
            check_away(await client.refused(background=True))
        assert not host.requests


async def test_a_run_whose_log_cannot_be_written_stops_the_engine_and_fails(
    store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)
    go = anyio.Event()
    async with running([chunk("Half"), Wait(go), *text_answer(" done")]) as (client, host):
        id = (await client.create(background=True))["id"]
        async with client.following(id) as exchange:
            await next_event(exchange, "response.output_text.delta")
            store.failing = frozenset({"change"})
            go.set()
            with anyio.fail_after(DEADLINE):
                await host.finished.wait()
            store.failing = frozenset()
            events = payloads((await exchange.reply()).events)
    check_stream(events)
    assert events[-1]["response"]["status"] == "failed"


async def test_a_lease_that_cannot_be_renewed_for_a_moment_ends_no_run(
    store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)
    go = anyio.Event()
    async with running([chunk("Half"), Wait(go), *text_answer(" done")]) as (client, host):
        with store.away("lease"):
            id = (await client.create(background=True))["id"]
            async with client.following(id) as exchange:
                await next_event(exchange, "response.output_text.delta")
        go.set()
        assert (await client.until(id, "completed"))["status"] == "completed"
        assert not host.disconnected.is_set()


async def test_a_conversation_that_cannot_be_added_to_does_not_undo_the_run(
    store: FailingStore, caplog: pytest.LogCaptureFixture
) -> None:
    go = anyio.Event()
    async with running([Wait(go), *text_answer("Done")]) as (client, _):
        conversation = await client.conversation()
        made = await client.create(conversation=conversation, background=True)
        await client.answer("DELETE", f"/conversations/{conversation}")
        go.set()
        assert (await client.events(made["id"]))[-1]["type"] == "response.completed"
        await settle()
        assert "may not be in its conversation" in caplog.text
