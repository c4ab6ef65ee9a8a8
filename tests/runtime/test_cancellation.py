"""Cancellation: the server's ends a run at any step and is passed on; one that the host raises is its own failure."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime.host_code import place_of, run_host_code
from tests.caller import parse_events, payloads, post
from tests.oracle import check_error, check_stream
from tests.scripted import DONE, Raise, ScriptedHost, Step, Wait, chunk, read_body

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

STREAMED = {"model": "scripted", "input": "Hi", "stream": True}
OWN: dict[str, Callable[[], BaseException]] = {
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "group of CancelledError": lambda: BaseExceptionGroup("aborted", [asyncio.CancelledError()]),
    "group of GeneratorExit": lambda: BaseExceptionGroup("aborted", [GeneratorExit(), ValueError()]),
}


# Raised by the host ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raised", OWN.values(), ids=OWN.keys())
@pytest.mark.parametrize("stream", [True, False])
async def test_what_the_host_raises_before_its_answer_is_an_http_error(
    raised: Callable[[], BaseException], stream: bool
) -> None:
    app = ResponsesShim(ScriptedHost([Raise(raised())], listens=False))
    reply = await post(app, "/v1/responses", {**STREAMED, "stream": stream})
    check_error(reply.json)
    assert reply.status == 500


@pytest.mark.parametrize("raised", OWN.values(), ids=OWN.keys())
@pytest.mark.parametrize("ending", [[], [DONE]], ids=["within the stream", "after its end"])
async def test_what_the_host_raises_within_its_answer_fails_the_response(
    raised: Callable[[], BaseException], ending: list[Step]
) -> None:
    app = ResponsesShim(ScriptedHost([chunk("a"), *ending, Raise(raised())], listens=False))
    events = payloads((await post(app, "/v1/responses", STREAMED)).events)
    check_stream(events)
    assert events[-1]["type"] == "response.failed"


@pytest.mark.parametrize("raised", OWN.values(), ids=OWN.keys())
async def test_what_the_host_raises_within_its_answer_is_an_http_error_if_that_is_not_streamed(
    raised: Callable[[], BaseException],
) -> None:
    app = ResponsesShim(ScriptedHost([chunk("a"), Raise(raised())], listens=False))
    reply = await post(app, "/v1/responses", {**STREAMED, "stream": False})
    check_error(reply.json)
    assert reply.status == 500


async def test_an_engine_that_is_aborted_while_the_host_waits_for_it_fails_the_response() -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        engine = asyncio.create_task(anyio.sleep_forever())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": chunk("a"), "more_body": True})
        asyncio.get_running_loop().call_soon(engine.cancel)
        await engine

    events = payloads((await post(ResponsesShim(host), "/v1/responses", STREAMED)).events)
    check_stream(events)
    assert events[-1]["response"]["error"]["message"].startswith("The host failed with CancelledError")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there the host has a task of its own, which asyncio lets raise")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), BaseExceptionGroup("", [KeyboardInterrupt()])])
async def test_what_ends_the_process_is_passed_on(error: BaseException) -> None:
    async def host() -> None:
        raise error

    with pytest.raises(type(error)):
        await run_host_code(host)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there the host has a task of its own")
async def test_the_host_can_be_closed() -> None:
    """As by the garbage collection of a loop that has ended: nothing may be awaited any more."""
    running = run_host_code(anyio.Event().wait)
    running.send(None)
    running.close()


async def test_an_exception_that_is_raised_again_and_again_is_where_it_was_raised_last() -> None:
    """As one of a module is. Each time its traceback grows."""
    error, places = ValueError(), set()
    for _ in range(3):
        with suppress(ValueError):
            raise error
        places.add(place_of(error).partition(" < ")[0])
    assert len(places) == 1
    assert place_of(error).count(" < ") == 2
    assert places.pop().startswith(f"{__file__}:")


# The server's ---------------------------------------------------------------------------------------------------------


class Client:
    """A client that leaves only by the server's cancellation. Each message takes a turn of the event loop."""

    def __init__(self, stream: bool) -> None:
        self.sent: list[Message] = []
        self._request: list[Message] = [
            {"type": "http.request", "body": json.dumps({**STREAMED, "stream": stream}).encode(), "more_body": False}
        ]

    async def receive(self) -> Message:
        await anyio.lowlevel.checkpoint()
        if not self._request:
            await anyio.sleep_forever()
        return self._request.pop()

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(dict(message))

    async def call(self, app: ResponsesShim) -> None:
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/responses",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        await app(scope, self.receive, self.send)

    @property
    def complete(self) -> bool:
        return bool(self.sent) and not self.sent[-1].get("more_body", True)

    @property
    def body(self) -> bytes:
        return b"".join([message.get("body", b"") for message in self.sent])


async def by_task(client: Client, app: ResponsesShim, steps: int) -> bool:
    """Cancel the task of the call after so many turns of the loop; returns whether it was still running."""
    task = asyncio.create_task(client.call(app))
    for _ in range(steps):
        await asyncio.sleep(0)
    running = task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() == running, "the cancellation was swallowed"
    return running


async def by_scope(client: Client, app: ResponsesShim, steps: int) -> bool:
    """As `by_task`, by a cancel scope round the call."""
    returned = False
    async with anyio.create_task_group() as group:

        async def call() -> None:
            nonlocal returned
            await client.call(app)
            returned = True

        group.start_soon(call)
        for _ in range(steps):
            await asyncio.sleep(0)
        group.cancel_scope.cancel()
    return not returned


@pytest.mark.parametrize("cancel", [by_task, by_scope])
@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("ending", [[chunk(finish_reason="stop"), DONE], [Raise(ValueError())]], ids=["good", "bad"])
async def test_a_cancellation_at_any_step_ends_the_run_and_is_passed_on(
    cancel: Callable[[Client, ResponsesShim, int], Awaitable[bool]], listens: bool, stream: bool, ending: list[Step]
) -> None:
    running, steps = True, 0
    while running:
        host, client = ScriptedHost([chunk("a"), chunk("b"), *ending], listens=listens), Client(stream)
        running = await cancel(client, ResponsesShim(host), steps)
        assert host.finished.is_set() == host.called.is_set(), steps
        if stream:
            sent = [event.data for event in parse_events(client.body) if not event.is_done]
            assert [event["sequence_number"] for event in sent] == [*range(len(sent))]
        steps += 1
    assert client.complete
    if stream:
        check_stream(payloads(parse_events(client.body)))
    assert steps > 4


async def returns() -> None:
    """What a host makes of its cancellation."""


async def raises_an_error() -> None:
    raise ValueError("aborted")


async def raises_generator_exit() -> None:
    raise GeneratorExit


async def raises_a_group() -> None:
    raise BaseExceptionGroup("aborted", [GeneratorExit(), asyncio.CancelledError()])


@pytest.mark.parametrize("cancel", [by_task, by_scope])
@pytest.mark.parametrize("if_cancelled", [returns, raises_an_error, raises_generator_exit, raises_a_group])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_cancellation_is_passed_on_whatever_the_host_makes_of_it(
    cancel: Callable[[Client, ResponsesShim, int], Awaitable[bool]],
    if_cancelled: Callable[[], Awaitable[None]],
    stream: bool,
) -> None:
    called = asyncio.Event()

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        called.set()
        with suppress(asyncio.CancelledError):
            await anyio.sleep_forever()
        await if_cancelled()

    client = Client(stream)
    assert await cancel(client, ResponsesShim(host), 20)
    assert called.is_set()
    assert client.sent == []


async def test_a_cancellation_is_passed_on_while_the_host_is_being_ended_by_its_scope() -> None:
    """The host takes some steps for that. Before Python 3.11 a task cannot count who has cancelled it."""
    ended_before, steps = False, 0
    while not ended_before:
        scope, called = anyio.CancelScope(), asyncio.Event()

        async def host(called: asyncio.Event = called) -> None:
            called.set()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    for _ in range(3):
                        await asyncio.sleep(0)

        task = asyncio.create_task(run_host_code(host, scope))
        await called.wait()
        scope.cancel()
        for _ in range(steps):
            await asyncio.sleep(0)
        ended_before = not task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is not ended_before, steps
        steps += 1
    assert task.result() is None
    assert steps > 4


@pytest.mark.parametrize("stream", [True, False])
async def test_a_timeout_round_the_app_is_a_timeout(stream: bool) -> None:
    """In Python 3.11 and later it counts on the cancellation that it has asked for."""
    app = ResponsesShim(ScriptedHost([chunk("a"), Wait(anyio.Event())]))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(Client(stream).call(app), 0.05)
