"""Responses in the background: polled, followed, resumed, cancelled, and ended when their process ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from responses_shim import RequestView, ResponsesShim, ResponseView
from responses_shim.core.wire.sse import COMMENT
from responses_shim.runtime import background, live_log
from responses_shim.runtime.background import Runs, end_run
from responses_shim.runtime.history import Turn
from responses_shim.stores import memory, trees
from responses_shim.stores.base import RUNNING, Record, StoreUnavailable
from tests.caller import DEADLINE, payloads, settle
from tests.conformance.asking import WEATHER, result_of
from tests.oracle import check_response, check_resumed, check_stream
from tests.scripted import Hold, Json, Raise, ScriptedHost, Step, Wait, call_answer, chunk, text_answer
from tests.state import Client, next_event, prompts, store_of, texts

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left", "every_store")]


def counting(request: dict[str, Any]) -> list[Step]:
    """A model that answers with the number of messages that it was given."""
    return text_answer(f"Answer {len(request['messages'])}")


@asynccontextmanager
async def running(*scripts: Any, **settings: Any) -> AsyncIterator[tuple[Client, ScriptedHost]]:
    """A client of a shim that takes runs, over a host with these scripts."""
    host = ScriptedHost(*(scripts or (counting,)))
    shim = ResponsesShim(host, **settings)
    async with shim.running():
        yield Client(shim), host


def held(event: anyio.Event, *pieces: str) -> list[Step]:
    """An answer that begins with `Half` and goes on when the event is set."""
    return [chunk("Half"), Wait(event), *text_answer(*(pieces or (" done",)))]


NEVER: list[Step] = [chunk("Half"), Hold()]


async def called(host: ScriptedHost) -> None:
    with anyio.fail_after(DEADLINE):
        await host.called.wait()


# From queued to its end ----------------------------------------------------------------------------------------------


async def test_it_is_answered_at_once_as_queued_and_polled_to_its_end() -> None:
    go = anyio.Event()
    async with running(held(go)) as (client, host):
        made = await client.create(background=True, metadata={"a": "b"})
        assert (made["status"], made["output"], made["background"], made["store"]) == ("queued", [], True, True)
        assert (made["completed_at"], made["usage"], made["metadata"]) == (None, None, {"a": "b"})
        running_now = await client.until(made["id"], "in_progress")
        assert running_now == {**made, "status": "in_progress"}
        go.set()
        done = await client.until(made["id"], "completed")
        assert done["output"][0]["content"][0]["text"] == "Half done"
        assert (done["background"], done["usage"]["total_tokens"]) == (True, 8)
        assert texts((await client.input_items(made["id"]))["data"]) == ["Hi"]
        assert len(host.requests) == 1


async def test_its_stream_is_complete_and_its_end_is_what_is_got() -> None:
    async with running([chunk(reasoning="Hm."), *text_answer("Hello", " you")]) as (client, _):
        events = await client.stream(background=True)
        assert [event["type"] for event in events[:3]] == [
            "response.created",
            "response.queued",
            "response.in_progress",
        ]
        assert events[-1]["type"] == "response.completed"
        assert await client.get(events[0]["response"]["id"]) == events[-1]["response"]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))


async def test_its_stream_is_that_of_the_foreground_but_for_being_queued() -> None:
    """The same line, with another sink."""

    def without_ids(value: Any) -> Any:
        if isinstance(value, dict):
            own = {"id", "item_id", "created_at", "completed_at", "sequence_number", "background"}
            return {key: without_ids(inner) for key, inner in value.items() if key not in own}
        return [without_ids(inner) for inner in value] if isinstance(value, list) else value

    script = [chunk(reasoning="Hm."), *call_answer(("call_1", "get_weather", '{"city": "Paris"}'))]
    async with running(script) as (client, _):
        foreground = await client.stream(tools=[WEATHER])
        in_background = await client.stream(tools=[WEATHER], background=True)
    assert without_ids(foreground)[2:] == without_ids(in_background)[3:]


@pytest.mark.parametrize("store", [None, True])
async def test_store_may_be_null_or_true(store: bool | None) -> None:
    async with running() as (client, _):
        assert (await client.create(background=True, store=store))["store"] is True


async def test_what_is_in_the_background_must_be_stored() -> None:
    async with running() as (client, host):
        error = await client.refused(background=True, store=False)
        assert (error["status"], error["param"], error["code"]) == (400, "background", "invalid_value")
        assert "store" in error["message"]
        assert not host.requests


@pytest.mark.parametrize("background", [False, None])
async def test_a_response_in_the_foreground_says_so(background: bool | None) -> None:
    async with running() as (client, _):
        assert (await client.create(background=background))["background"] is False


async def test_a_request_that_is_wrong_is_refused_before_it_is_queued() -> None:
    async with running() as (client, _):
        error = await client.refused(background=True, tools=[{"type": "mcp"}])
        assert (error["status"], error["param"]) == (400, "tools[0].type")
        assert await store_of(client).scan() == []


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ([Json(429, {"error": {"message": "Later."}})], "failed", "rate_limit_exceeded"),
        ([Json(400, {"error": {"message": "Bad."}})], "failed", "invalid_prompt"),
        ([Raise(RuntimeError("no"))], "failed", "server_error"),
        ([chunk("Half"), Raise(RuntimeError("no"))], "failed", "server_error"),
        (text_answer("Half", finish_reason="length"), "incomplete", None),
    ],
    ids=["429", "400", "raised", "in the middle", "incomplete"],
)
async def test_however_it_ends_its_log_and_its_response_say_the_same(
    script: list[Step], status: str, code: str | None
) -> None:
    async with running(script) as (client, _):
        events = await client.stream(background=True)
        response = events[-1]["response"]
        assert response["status"] == status
        assert (response["error"] or {}).get("code") == code
        assert await client.get(response["id"]) == response
        assert await client.events(response["id"]) == events


async def test_it_is_continued_when_it_has_ended_and_is_409_before() -> None:
    go = anyio.Event()
    async with running(held(go), counting, counting) as (client, host):
        made = await client.create(input="One", background=True)
        await called(host)
        error = await client.refused(input="Two", previous_response_id=made["id"])
        assert (error["status"], error["param"]) == (409, "previous_response_id")
        go.set()
        await client.until(made["id"], "completed")
        child = await client.create(input="Two", previous_response_id=made["id"], background=True)
        await client.until(child["id"], "completed")
        await client.create(input="Three", previous_response_id=child["id"])
        assert prompts(host)[2] == [
            "user: One",
            "assistant: Half done",
            "user: Two",
            "assistant: Answer 3",
            "user: Three",
        ]


async def test_a_call_that_it_made_is_answered_in_the_next_turn() -> None:
    async with running(call_answer(("call_1", "get_weather", "{}")), counting) as (client, host):
        made = await client.stream(tools=[WEATHER], background=True)
        [item] = made[-1]["response"]["output"]
        id = made[-1]["response"]["id"]
        await client.stream(input=[result_of(item)], previous_response_id=id, background=True)
        assert [message["role"] for message in host.requests[1]["messages"]] == ["user", "assistant", "tool"]


async def test_it_outlives_its_client() -> None:
    go = anyio.Event()
    async with running(held(go)) as (client, host):
        async with client.creating(background=True, stream=True) as exchange:
            id = (await next_event(exchange, "response.created"))["response"]["id"]
            await next_event(exchange, "response.output_text.delta")
        go.set()
        assert (await client.until(id, "completed"))["output"][0]["content"][0]["text"] == "Half done"
        assert not host.disconnected.is_set()


# Followers -----------------------------------------------------------------------------------------------------------


async def test_several_follow_it_live_and_see_the_same() -> None:
    go = anyio.Event()
    async with running(held(go, " done", ".")) as (client, host):
        id = (await client.create(background=True))["id"]
        async with client.following(id) as one, client.following(id) as other:
            for exchange in (one, other):
                assert (await next_event(exchange, "response.output_text.delta"))["delta"] == "Half"
            assert not host.finished.is_set()
            go.set()
            streams = [payloads((await exchange.reply()).events) for exchange in (one, other)]
        complete = await client.events(id)
    check_stream(complete)
    assert streams == [complete, complete]


@pytest.mark.parametrize("after", [-1, 0, 1, 4, 7])
async def test_who_left_off_at_a_number_gets_the_rest(after: int) -> None:
    async with running(text_answer("Hello", " you")) as (client, _):
        complete = await client.stream(background=True)
        id = complete[0]["response"]["id"]
        check_resumed(await client.events(id, after), after, complete)


async def test_who_left_off_in_the_middle_gets_what_is_there_and_what_comes() -> None:
    go = anyio.Event()
    async with running(held(go)) as (client, _):
        id = (await client.create(background=True))["id"]
        async with client.following(id) as exchange:
            await next_event(exchange, "response.output_text.delta")
        async with anyio.create_task_group() as group:
            resumed: list[Any] = []

            async def resume() -> None:
                resumed.extend(await client.events(id, 4))

            group.start_soon(resume)
            await settle()
            go.set()
        check_resumed(resumed, 4, await client.events(id))


async def test_who_has_everything_gets_the_end_of_the_stream() -> None:
    async with running() as (client, _):
        complete = await client.stream(background=True)
        id, last = complete[0]["response"]["id"], complete[-1]["sequence_number"]
        for after in (last, last + 1, 10**6):
            reply = await client.ask("GET", f"/responses/{id}", query=f"stream=true&starting_after={after}")
            assert reply.body == b"data: [DONE]\n\n"


@pytest.mark.parametrize("after", ["x", "-2", "1.5", "NaN", "9" * 40])
async def test_a_bad_cursor_is_named(after: str) -> None:
    async with running() as (client, _):
        id = (await client.stream(background=True))[0]["response"]["id"]
        error = await client.refusal("GET", f"/responses/{id}", query=f"stream=true&starting_after={after}")
        assert (error["status"], error["param"]) == (400, "starting_after")


async def test_a_cursor_before_what_is_kept_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "LOG_SIZE", 3_000)
    async with running(text_answer(*"abcdefghijkl"), store="memory://") as (client, _):
        made = await client.create(background=True)
        await client.until(made["id"], "completed")
        error = await client.refusal("GET", f"/responses/{made['id']}", query="stream=true")
        assert (error["status"], error["param"]) == (400, "starting_after")


async def test_when_the_log_is_too_old_there_is_still_the_response(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(store="memory://") as (client, _):
        complete = await client.stream(background=True)
        id = complete[0]["response"]["id"]
        monkeypatch.setattr(memory, "LOG_AGE", -1.0)
        assert (await client.refusal("GET", f"/responses/{id}", query="stream=true"))["param"] == "starting_after"
        assert await client.get(id) == complete[-1]["response"]


async def test_silence_is_filled_with_comments_and_never_with_events() -> None:
    """A client that gets `response.in_progress` again begins anew."""
    go = anyio.Event()
    async with running(held(go), ping_interval=0.02) as (client, _):
        id = (await client.create(background=True))["id"]
        async with client.following(id) as exchange:
            with anyio.fail_after(DEADLINE):
                while exchange.body.count(COMMENT) < 3:
                    await exchange.next_message()
            go.set()
            await exchange.finish()
        complete = await client.events(id)
    check_stream(complete)
    assert [event["type"] for event in complete].count("response.in_progress") == 1


async def test_a_follower_that_leaves_or_does_not_read_holds_up_nobody() -> None:
    go = anyio.Event()
    async with running(held(go, *["x"] * 50), write_timeout=0.2) as (client, _):
        id = (await client.create(background=True))["id"]
        async with client.following(id) as gone, client.following(id) as stalled:
            await next_event(gone, "response.output_text.delta")
            await next_event(stalled, "response.output_text.delta")
            await gone.disconnect(broken_pipe=True)
            stalled.stall()
            go.set()
            await client.until(id, "completed")
            await gone.finish()
            await stalled.finish()  # it is given up after `write_timeout`
            assert not stalled.complete


async def test_a_follower_that_falls_too_far_behind_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would miss events without knowing."""
    monkeypatch.setattr(trees, "LOG_SIZE", 4_000)
    go = anyio.Event()
    async with running(held(go, *["x"] * 50), store="memory://") as (client, _):
        id = (await client.create(background=True))["id"]
        async with client.following(id) as slow:
            await next_event(slow, "response.output_text.delta")
            slow.stall()
            go.set()
            await client.until(id, "completed")
            slow.resume()
            with anyio.fail_after(DEADLINE):
                await slow.ended.wait()
            assert b"[DONE]" not in slow.body
            assert b"response.completed" not in slow.body


async def test_a_follower_goes_on_when_the_store_was_away_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    go = anyio.Event()
    monkeypatch.setattr(live_log, "RETRY_SECONDS", 0.01)
    async with running(held(go)) as (client, _):
        id = (await client.create(background=True))["id"]
        async with client.following(id) as exchange:
            await next_event(exchange, "response.output_text.delta")
            store, outages = store_of(client), iter(range(3))
            read = store.read

            async def failing(owner: bytes, id: str, log: Any, **options: Any) -> Any:
                if log == "events" and next(outages, None) is not None:
                    raise StoreUnavailable
                return await read(owner, id, log, **options)

            monkeypatch.setattr(store, "read", failing)
            go.set()
            events = payloads((await exchange.reply()).events)
        check_stream(events)


# Cancelling ----------------------------------------------------------------------------------------------------------


async def test_cancelling_ends_the_response_and_stops_the_engine() -> None:
    async with running(NEVER) as (client, host):
        id = (await client.create(background=True))["id"]
        await called(host)
        async with client.following(id) as exchange:
            await next_event(exchange, "response.output_text.delta")
            cancelled = await client.cancel(id)
            assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
            [item] = cancelled["output"]
            assert (item["status"], texts([item])) == ("incomplete", ["Half"])
            with anyio.fail_after(DEADLINE):
                await host.finished.wait()
            assert host.disconnected.is_set()
            events = payloads((await exchange.reply()).events)
        check_stream(events)
        assert (events[-1]["type"], events[-1]["response"]) == ("response.incomplete", cancelled)
        assert await client.get(id) == cancelled


async def test_what_is_cancelled_stays_cancelled_though_the_engine_goes_on() -> None:
    """It would not stop: what it still sends changes nothing."""
    go = anyio.Event()

    class Deaf(ScriptedHost):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            with anyio.CancelScope(shield=scope["type"] == "http" and "chat" in scope["path"]):
                await super().__call__(scope, receive, send)

    host = Deaf(held(go), listens=False)
    shim = ResponsesShim(host)
    client = Client(shim)
    async with shim.running():
        id = (await client.create(background=True))["id"]
        await called(host)
        cancelled = await client.cancel(id)
        go.set()
        with anyio.fail_after(DEADLINE):
            await host.finished.wait()
        await settle()
        assert await client.get(id) == cancelled
        check_stream(await client.events(id))


async def test_cancelling_again_changes_nothing() -> None:
    async with running(NEVER) as (client, host):
        id = (await client.create(background=True))["id"]
        await called(host)
        first = await client.cancel(id)
        assert await client.cancel(id) == first
        events = await client.events(id)
        assert await client.cancel(id) == first
        assert await client.events(id) == events


async def test_what_is_queued_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runs, "start", lambda *_: None)
    async with running() as (client, host):
        id = (await client.create(background=True))["id"]
        assert (await client.cancel(id))["status"] == "cancelled"
        events = await client.events(id)
        check_stream(events)
        assert [event["type"] for event in events] == ["response.created", "response.queued", "response.incomplete"]
        assert not host.requests


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (text_answer("Done"), "completed"),
        (text_answer("Half", finish_reason="length"), "incomplete"),
        ([Raise(RuntimeError("no"))], "failed"),
    ],
)
async def test_one_that_has_ended_comes_back_unchanged(script: list[Step], status: str) -> None:
    async with running(script) as (client, _):
        response = (await client.stream(background=True))[-1]["response"]
        assert response["status"] == status
        assert await client.cancel(response["id"]) == response


async def test_one_in_the_foreground_cannot_be_cancelled() -> None:
    async with running() as (client, _):
        made = await client.create()
        error = await client.refusal("POST", f"/responses/{made['id']}/cancel")
        assert (error["status"], error["type"]) == (400, "invalid_request_error")
        assert "background" in error["message"]


async def test_one_that_was_cancelled_cannot_be_continued() -> None:
    async with running(NEVER) as (client, _):
        id = (await client.create(background=True))["id"]
        await client.cancel(id)
        error = await client.refused(previous_response_id=id)
        assert (error["status"], error["code"]) == (404, "previous_response_not_found")


async def test_of_many_who_end_a_response_at_once_one_does_and_all_say_the_same() -> None:
    go = anyio.Event()
    async with running(held(go)) as (client, host):
        id = (await client.create(background=True))["id"]
        await called(host)
        ends: list[Any] = []

        async def cancel() -> None:
            ends.append(await client.cancel(id))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(cancel)
            go.set()
        end = await client.until(id, "completed", "cancelled")
        assert ends == [end] * 5
        events = await client.events(id)
        check_stream(events)
        assert events[-1]["response"] == end


async def test_deleting_one_that_runs_stops_it() -> None:
    async with running(NEVER) as (client, host):
        id = (await client.create(background=True))["id"]
        await called(host)
        async with client.following(id) as exchange:
            await next_event(exchange, "response.output_text.delta")
            await client.answer("DELETE", f"/responses/{id}")
            await exchange.finish()
        with anyio.fail_after(DEADLINE):
            await host.finished.wait()
        assert (await client.refusal("GET", f"/responses/{id}"))["status"] == 404


# In a conversation ---------------------------------------------------------------------------------------------------


async def test_it_holds_its_conversation_until_its_end_and_is_added_to_it() -> None:
    go = anyio.Event()
    async with running(held(go), counting) as (client, host):
        conversation = await client.conversation()
        made = await client.create(input="One", conversation=conversation, background=True)
        await called(host)
        assert (await client.refused(conversation=conversation))["code"] == "conversation_locked"
        go.set()
        await client.until(made["id"], "completed")
        assert texts(await client.items(conversation)) == ["One", "Half done"]
        await client.create(input="Two", conversation=conversation)


async def test_who_saw_its_end_goes_on_in_the_conversation_at_once() -> None:
    """However slow the run is to give the conversation up: its end in the store does that."""
    async with running(counting) as (client, _):
        conversation = await client.conversation()
        for number in range(5):
            events = await client.stream(input=f"Turn {number}", conversation=conversation, background=True)
            assert events[-1]["type"] == "response.completed"
        assert len(await client.items(conversation)) == 10


async def test_the_end_frees_the_conversation_before_the_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> None:
        await anyio.sleep_forever()

    async with running(counting) as (client, _):
        conversation = await client.conversation()
        with monkeypatch.context() as slow:
            slow.setattr(Turn, "add_to_conversation", never)
            made = await client.stream(input="One", conversation=conversation, background=True)
        assert made[-1]["type"] == "response.completed"
        await client.create(input="Two", conversation=conversation)
        assert texts(await client.items(conversation)) == ["One", "Answer 1", "Two", "Answer 3"]


async def test_one_that_is_cancelled_leaves_nothing_in_its_conversation_and_frees_it() -> None:
    async with running(NEVER, counting) as (client, host):
        conversation = await client.conversation()
        made = await client.create(input="One", conversation=conversation, background=True)
        await called(host)
        await client.cancel(made["id"])
        await client.create(input="Two", conversation=conversation)  # at once
        assert texts(await client.items(conversation)) == ["Two", "Answer 1"]
        with anyio.fail_after(DEADLINE):
            await host.finished.wait()
        await settle()
        assert texts(await client.items(conversation)) == ["Two", "Answer 1"]


# The server's life ---------------------------------------------------------------------------------------------------


async def test_at_shutdown_what_runs_fails_with_a_terminal_event() -> None:
    events: list[Any] = []
    async with anyio.create_task_group() as group, running(NEVER) as (client, host):
        id = (await client.create(background=True))["id"]
        await called(host)

        async def follow_it() -> None:
            events.extend(await client.events(id))

        group.start_soon(follow_it)
        await settle()
    check_stream(events)
    response = events[-1]["response"]
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert "shut down" in response["error"]["message"]
    assert await client.get(id) == response
    assert host.finished.is_set()


async def test_before_startup_and_after_shutdown_nothing_runs_in_the_background() -> None:
    shim = ResponsesShim(ScriptedHost())
    client = Client(shim)
    for _ in range(2):
        error = await client.refused(background=True)
        assert (error["status"], error["param"], error["code"]) == (400, "background", "unsupported_parameter")
        assert "running()" in error["message"]
        assert (await client.create())["status"] == "completed"
        async with shim.running():
            assert (await client.create(background=True))["status"] == "queued"


async def test_the_servers_lifespan_is_that_of_the_runs() -> None:
    shim = ResponsesShim(ScriptedHost())
    to_app, receive = anyio.create_memory_object_stream[dict[str, Any]](1)
    send, from_app = anyio.create_memory_object_stream[Any](9)
    async with anyio.create_task_group() as group, to_app, receive, send, from_app:
        group.start_soon(shim, {"type": "lifespan", "asgi": {"version": "3.0"}}, receive.receive, send.send)
        await to_app.send({"type": "lifespan.startup"})
        assert (await from_app.receive())["type"] == "lifespan.startup.complete"
        made = await Client(shim).create(background=True)
        await Client(shim).until(made["id"], "completed")
        await to_app.send({"type": "lifespan.shutdown"})
        assert (await from_app.receive())["type"] == "lifespan.shutdown.complete"
        assert (await Client(shim).refused(background=True))["status"] == 400


async def test_the_run_of_a_process_that_is_gone_fails_after_a_whole_lease() -> None:
    """And not before: who looks for the first time has not seen it pass."""
    time = [0.0]
    async with running(NEVER) as (client, host):
        id = (await client.create(background=True))["id"]
        await called(host)
        store = store_of(client)
        runs = Runs(store, clock=lambda: time[0])
        await runs.end_orphans()
        time[0] += background.LEASE_SECONDS
        await runs.end_orphans()
        assert (await client.get(id))["status"] == "in_progress", "its lease is renewed"

        record = (await store.scan())[0]
        orphan = Record(
            owner=record.owner, id="resp_orphan", status="in_progress", created_at=1, data=await data_of(client, id)
        )
        await store.add(orphan)
        await runs.end_orphans()
        time[0] += background.LEASE_SECONDS - 0.1
        await runs.end_orphans()
        assert (await client.answer("GET", "/responses/resp_orphan"))["status"] == "in_progress"
        time[0] += 0.2
        await runs.end_orphans()
        ended = await client.answer("GET", "/responses/resp_orphan")
        check_response(ended)
        assert (ended["status"], ended["error"]["code"]) == ("failed", "server_error")
        events = await client.events("resp_orphan")
        assert [event["type"] for event in events] == ["error", "response.failed"]
        assert (await client.get(id))["status"] == "in_progress"


async def data_of(client: Client, id: str) -> bytes:
    """What the store has of a response, as another one."""
    owner = (await store_of(client).scan())[0].owner
    found = await store_of(client).get(owner, id)
    assert found is not None
    return found.record.data.replace(id.encode(), b"resp_orphan")


async def test_a_lease_that_is_renewed_in_time_clears_all_suspicion() -> None:
    time = [0.0]
    async with running() as (client, _):
        store = store_of(client)
        await store.add(Record(owner=b"o", id="r", status="in_progress", created_at=1, data=b'{"background":true}'))
        runs = Runs(store, clock=lambda: time[0])
        await runs.end_orphans()
        time[0] += background.LEASE_SECONDS - 1
        await store.lease(b"o", "r", "someone", 60)
        await runs.end_orphans()
        await store.lease(b"o", "r", "someone", 0)
        time[0] += 2
        await runs.end_orphans()
        found = await store.get(b"o", "r")
        assert found is not None
        assert found.record.status == "in_progress"


async def test_a_lease_that_is_renewed_at_the_last_moment_saves_its_run() -> None:
    """When the store is asked who is late, and the run renews its lease before its response is ended."""

    class Late(memory.MemoryStore):
        async def expired(self) -> list[tuple[bytes, str]]:
            found = await super().expired()
            if len(asked) == 1:
                await self.lease(b"o", "r", "its run", 60)
            asked.append(len(found))
            return found

    time, asked = [0.0], list[int]()
    store = Late()
    await store.add(Record(owner=b"o", id="r", status="in_progress", created_at=1, data=b'{"background":true}'))
    runs = Runs(store, clock=lambda: time[0])
    for _ in range(2):
        await runs.end_orphans()
        time[0] += background.LEASE_SECONDS
    found = await store.get(b"o", "r")
    assert found is not None
    assert found.record.status == "in_progress"
    assert asked == [1, 1]


async def test_what_was_late_before_an_outage_is_watched_anew_after_it() -> None:
    """Its run could not renew its lease meanwhile, and may be about to."""

    class Away(memory.MemoryStore):
        away = False

        async def expired(self) -> list[tuple[bytes, str]]:
            if self.away:
                raise StoreUnavailable
            return await super().expired()

    time = [0.0]
    store = Away()
    await store.add(Record(owner=b"o", id="r", status="in_progress", created_at=1, data=b'{"background":true}'))
    runs = Runs(store, clock=lambda: time[0])

    async def status() -> str:
        found = await store.get(b"o", "r")
        assert found is not None
        return found.record.status

    await runs.end_orphans()
    store.away = True
    with pytest.raises(StoreUnavailable):
        await runs.end_orphans()
    store.away = False
    time[0] += background.LEASE_SECONDS
    await runs.end_orphans()
    assert await status() == "in_progress"
    time[0] += background.LEASE_SECONDS
    await runs.end_orphans()
    assert await status() == "failed"


async def test_the_process_looks_for_orphans_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "LEASE_SECONDS", 0.03)
    async with running() as (client, _):
        made = await client.create()
        owner = (await store_of(client).scan())[0].owner
        data = (await data_of(client, made["id"])).replace(b'"background":false', b'"background":true')
        await store_of(client).add(Record(owner=owner, id="resp_orphan", status="queued", created_at=1, data=data))
        assert (await client.events("resp_orphan"))[-1]["type"] == "response.failed"  # it follows until the end


async def test_a_run_with_a_bug_fails_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise RuntimeError("a bug")

    async with running() as (client, _):
        made = await client.create()
        store = store_of(client)
        owner = (await store.scan())[0].owner
        data = await data_of(client, made["id"])
        await store.add(Record(owner=owner, id="resp_orphan", status="queued", created_at=1, data=data))
        runs = Runs(store)
        async with runs.running():
            runs.start(owner, "resp_orphan", broken)
            await settle()
        found = await store.get(owner, "resp_orphan")
    assert found is not None
    assert found.record.status == "failed"
    assert "resp_orphan failed" in caplog.text


async def test_the_end_of_a_log_whose_last_event_was_too_large_has_a_number_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trees, "LOG_SIZE", 100)
    store = memory.MemoryStore()
    await store.add(Record(owner=b"o", id="r", status="in_progress", created_at=1, data=b'{"background":true}'))
    await store.change(b"o", "r", among={"in_progress"}, events=[(7, b"x" * 1_000)])
    with anyio.fail_after(DEADLINE):
        ended = await end_run(store, b"o", "r", "cancelled")
    assert ended is not None
    assert ended.record.status == "cancelled"


@pytest.mark.parametrize("lost", [True, False])
async def test_a_response_ends_though_its_log_has_been_dropped_or_cannot_be_read(
    lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(NEVER, store="memory://") as (client, host):
        id = (await client.create(background=True))["id"]
        await called(host)
        owner = (await store_of(client).scan())[0].owner
        if lost:
            monkeypatch.setattr(trees, "LOG_SIZE", 1_000)
        event = b'{"type":"response.output_item.added","item":{"type":"of_tomorrow"},"x":"%b"}' % (b"x" * 900)
        assert await store_of(client).change(owner, id, among=RUNNING, events=[(99, event)])
        cancelled = await client.cancel(id)
        assert (cancelled["status"], cancelled["output"]) == ("cancelled", [])


async def test_one_run_that_cannot_be_ended_keeps_no_other_from_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "LEASE_SECONDS", 0.03)
    searched = iter([ZeroDivisionError("a mistake"), StoreUnavailable(), None])
    ended = anyio.Event()

    async def end_orphans(_: Runs) -> None:
        error = next(searched)
        if error is not None:
            raise error
        ended.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(Runs, "end_orphans", end_orphans)
    async with running():
        with anyio.fail_after(DEADLINE):
            await ended.wait()
    assert "the search for runs whose process is gone has failed" in caplog.text


async def test_an_interceptor_sees_the_response_when_it_has_ended() -> None:
    seen: list[str | None] = []
    ended = anyio.Event()

    class Look:
        async def __call__(self, view: RequestView, headers: Mapping[str, str]) -> None:
            """Changes nothing."""

        async def finished(self, view: RequestView, response: ResponseView) -> None:
            seen.append(response.status)
            ended.set()

    shim = ResponsesShim(ScriptedHost(counting), interceptors=[Look()])
    async with shim.running():
        made = await Client(shim).create(background=True)
        await Client(shim).until(made["id"], "completed")
        with anyio.fail_after(DEADLINE):
            await ended.wait()
    assert seen == ["completed"]
