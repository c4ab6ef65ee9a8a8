"""A store of somebody else's that raises what it likes: no request gets a 500, and nothing reaches the host."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import anyio
import pytest

from responses_shim import ConfigurationError, ResponsesShim
from responses_shim.stores import opening
from responses_shim.stores.base import Store, StoreUnavailable
from responses_shim.stores.guarded import guarded
from responses_shim.stores.memory import MemoryStore
from responses_shim.stores.opening import BoundsSettings, open_store
from responses_shim.stores.suite import StoreSuite
from responses_shim.stores.suite.base import A, add_turn
from tests.caller import DEADLINE, payloads
from tests.oracle import check_stream
from tests.scripted import ScriptedHost, Wait, chunk, text_answer
from tests.state import Client, next_event

pytestmark = pytest.mark.anyio

METHODS = [name for name in vars(Store) if not name.startswith("_") and callable(getattr(Store, name))]


class Faulty(MemoryStore):
    """Raises `error` in those of its methods that are `failing`."""

    failing: frozenset[str] = frozenset()
    error: Exception = ZeroDivisionError("a fault")

    def __getattribute__(self, name: str) -> Any:
        if name in ("failing", "error") or name not in self.failing:
            return super().__getattribute__(name)

        async def fail(*_: Any, **__: Any) -> None:
            raise self.error

        return fail

    async def vacuum(self) -> int:
        return 7


class TestGuarded(StoreSuite):
    """It does all that it did."""

    shared = False

    async def open(self, bounds: Any, now: Any) -> Store:
        return guarded(MemoryStore(bounds, now), "own://")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    store = Faulty()
    monkeypatch.setattr(opening, "entry_points", lambda *, group: [EntryPoint("own", f"{__name__}:made", group)])
    monkeypatch.setattr(f"{__name__}.made", lambda url, bounds: store)
    monkeypatch.setenv("RESPONSES_SHIM_STORE", "own://here")
    yield store
    store.failing = frozenset()


def made(url: str, bounds: BoundsSettings) -> Any:
    raise RuntimeError(f"no connection to {url}")


async def test_whatever_a_method_raises_is_an_outage_and_is_logged_once(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    ours = open_store("own://here", BoundsSettings())
    assert await add_turn(ours, "r1")
    store.failing = frozenset({"get"})
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as raised:
            await ours.get(A, "r1")
        assert raised.value.__cause__ is store.error
    assert [entry.getMessage() for entry in caplog.records] == ["get of the store own:// has failed"]
    store.failing = frozenset()
    assert await ours.get(A, "r1") is not None


async def test_what_the_contract_mentions_passes_and_so_do_cancellation_and_optional_methods(store: Faulty) -> None:
    ours: Any = open_store("own://here", BoundsSettings())
    await add_turn(ours, "r1")
    with pytest.raises(KeyError):
        await ours.page(A, "r1", outputs=True, after="x", limit=1, newest_first=False)
    store.failing, store.error = frozenset({"get"}), StoreUnavailable("Come back later.")
    with pytest.raises(StoreUnavailable, match="later"):
        await ours.get(A, "r1")
    with anyio.move_on_after(0.01) as scope:
        await ours.add(*_running())
        await ours.read(A, "run", "events", after=-1, wait=DEADLINE)
    assert scope.cancelled_caught
    assert await ours.vacuum() == 7
    assert await ours.evicted() == 0
    assert not hasattr(ours, "anything_else")


def _running() -> tuple[Any]:
    from responses_shim.stores.suite.base import record

    return (record("run", status="in_progress"),)


def test_a_package_that_fails_stops_the_start_with_one_line_without_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "entry_points", lambda *, group: [EntryPoint("own", f"{__name__}:made", group)])
    with pytest.raises(ConfigurationError) as raised:
        open_store("own://user:secret@host", BoundsSettings())
    assert str(raised.value) == f"store: {__name__}:made, which is registered for own://, has raised RuntimeError"


@pytest.mark.usefixtures("no_task_left")
@pytest.mark.parametrize("method", METHODS)
async def test_no_route_answers_with_500_whatever_fails(store: Faulty, method: str) -> None:
    """And nothing is raised into the host, which `Client` would see."""
    shim = ResponsesShim(ScriptedHost(text_answer("Hello")))
    client = Client(shim)
    async with shim.running():
        first = await client.create()
        conversation = await client.conversation({"type": "message", "role": "user", "content": "Hi", "id": "msg_1"})
        store.failing = frozenset({method})
        id, items = f"/responses/{first['id']}", f"/conversations/{conversation}/items"
        asked: list[tuple[str, str, Any]] = [
            ("GET", id, None),
            ("GET", f"{id}/input_items", None),
            ("POST", f"{id}/cancel", None),
            ("POST", f"{id}/tool_outputs", {"tool_call_id": "c", "output": "x"}),
            ("GET", f"/conversations/{conversation}", None),
            ("POST", f"/conversations/{conversation}", {"metadata": {}}),
            ("GET", items, None),
            ("GET", f"{items}/msg_1", None),
            ("POST", items, {"items": [{"type": "message", "role": "user", "content": "Hi"}]}),
            ("DELETE", f"{items}/msg_1", None),
            ("POST", "/conversations", {}),
            ("POST", "/responses", client.body()),
            ("POST", "/responses", client.body(stream=True)),
            ("POST", "/responses", client.body(store=True)),
            ("POST", "/responses", client.body(previous_response_id=first["id"])),
            ("POST", "/responses", client.body(conversation=conversation)),
            ("POST", "/responses", client.body(input=[{"type": "item_reference", "id": "msg_1"}])),
            ("POST", "/responses", client.body(background=True)),
            ("DELETE", id, None),
            ("DELETE", f"/conversations/{conversation}", None),
        ]
        with anyio.fail_after(4 * DEADLINE):
            statuses = [(await client.ask(verb, path, json=body)).status for verb, path, body in asked]
        store.failing = frozenset()
    assert set(statuses) <= {200, 400, 404, 409, 413, 502, 503}
    assert method in ("close", "secret", "scan", "expired", "post", "read") or 503 in statuses or 502 in statuses


@pytest.mark.usefixtures("no_task_left")
async def test_a_run_whose_store_raises_ends_and_so_do_its_followers(
    store: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = anyio.Event()
    shim = ResponsesShim(ScriptedHost([chunk("Half"), Wait(go), *text_answer(" done")]))
    client = Client(shim)
    monkeypatch.setattr("responses_shim.runtime.background.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("responses_shim.runtime.live_log.RETRY_SECONDS", 0.01)
    async with shim.running():
        id = (await client.create(background=True))["id"]
        async with client.following(id) as exchange:
            await next_event(exchange, "response.output_text.delta")
            store.failing = frozenset({"change", "read"})
            go.set()
            await anyio.wait_all_tasks_blocked()
            store.failing = frozenset()
            with anyio.fail_after(DEADLINE):
                events = payloads((await exchange.reply()).events)
    check_stream(events)
    assert events[-1]["type"] == "response.failed"
