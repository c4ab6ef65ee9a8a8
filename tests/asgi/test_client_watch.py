"""A client that leaves ends the work on its request; and the work that many clients ask for waits in bounded queues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from responses_shim import RequestView, ResponsesShim
from responses_shim.asgi.body import SMALL_BODY
from responses_shim.runtime import files
from tests.asgi.attached import PDF, REQUEST, URL
from tests.caller import DEADLINE, call, post, settle
from tests.guarded import KEY, GuardedHost
from tests.oracle import check_error
from tests.scripted import Hold

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

# A client that leaves ------------------------------------------------------------------------------------------------


class Work:
    """Something that takes for ever. It notes that it has begun, and that it was cancelled."""

    def __init__(self) -> None:
        self.began = anyio.Event()
        self.cancelled = anyio.Event()

    async def __call__(self, *args: Any, **options: Any) -> Any:
        self.began.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise


@pytest.mark.parametrize("broken_pipe", [False, True])
@pytest.mark.parametrize("what", ["PDF", "URL", "interceptor"])
async def test_when_the_client_leaves_the_work_on_its_request_ends(
    what: str, broken_pipe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, host = Work(), GuardedHost()
    monkeypatch.setattr(files, "_run_process", work)
    monkeypatch.setattr(files, "fetch", work)
    interceptors: list[Any] = [work] if what == "interceptor" else []
    app = ResponsesShim(host, file_urls="fetch-any", interceptors=interceptors)
    data = {"PDF": PDF, "URL": URL}.get(what, REQUEST)
    async with call(app, "POST", "/v1/responses", json=data, headers=KEY) as exchange:
        with anyio.fail_after(DEADLINE):
            await work.began.wait()
            await exchange.disconnect(broken_pipe=broken_pipe)
            await work.cancelled.wait()
        await exchange.finish()
        assert not exchange.sent
    assert not host.chat.requests


async def test_when_the_client_leaves_the_process_that_reads_its_pdf_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[anyio.abc.Process] = []
    started, open_process = anyio.Event(), anyio.open_process

    async def opening(command: list[str], **options: Any) -> anyio.abc.Process:
        processes.append(await open_process(["sleep", "1000"], **options))
        started.set()
        return processes[0]

    monkeypatch.setattr(anyio, "open_process", opening)
    async with call(ResponsesShim(GuardedHost()), "POST", "/v1/responses", json=PDF, headers=KEY) as exchange:
        with anyio.fail_after(DEADLINE):
            await started.wait()
            await exchange.disconnect()
        await exchange.finish()
    assert processes[0].returncode is not None
    assert processes[0].returncode < 0


async def test_when_the_only_client_leaves_the_probe_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    host = GuardedHost(models=Hold())
    async with call(ResponsesShim(host), "POST", "/v1/responses", json=PDF, headers=KEY) as exchange:
        with anyio.fail_after(DEADLINE):
            await host.probed.wait()
            await exchange.disconnect()
            await host.left.wait()
        await exchange.finish()
        assert not exchange.sent


async def test_a_client_that_leaves_while_it_sends_its_body_gets_nothing_and_costs_nothing() -> None:
    host = GuardedHost()
    messages: list[Message] = [
        {"type": "http.request", "body": b" " * 2 * SMALL_BODY, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError("nobody is there")

    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer right")]
    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b"", "headers": headers}
    await ResponsesShim(host)(scope, receive, send)
    assert not host.chat.requests


async def test_what_receive_raises_while_the_client_is_watched_is_raised() -> None:
    work, taken = Work(), 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        if taken == 1:
            return {"type": "http.request", "body": json.dumps(REQUEST).encode(), "more_body": False}
        await work.began.wait()
        raise ConnectionError("the server is broken")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent")

    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer right")]
    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b"", "headers": headers}
    with anyio.fail_after(DEADLINE), pytest.raises(ConnectionError):
        await ResponsesShim(GuardedHost(), interceptors=[work])(scope, receive, send)
    assert work.cancelled.is_set()


@pytest.mark.parametrize("broken_pipe", [False, True])
async def test_at_whatever_step_the_client_leaves_nothing_is_left_behind(
    broken_pipe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No task (see `no_task_left`), no place in a queue, no question to the host, and no exception for the server."""

    async def run_process(*args: Any) -> tuple[int, bytes]:
        await settle()
        return 0, b"Hello"

    async def look(view: RequestView, headers: Mapping[str, str]) -> None:
        await settle()

    monkeypatch.setattr(files, "_run_process", run_process)
    answered = 0
    for step in range(120):
        app = ResponsesShim(GuardedHost(), interceptors=[look], pdfs_at_once=1)
        async with call(app, "POST", "/v1/responses", json={**PDF, "stream": True}, headers=KEY) as exchange:
            for _ in range(step):
                await anyio.lowlevel.checkpoint()
            await exchange.disconnect(broken_pipe=broken_pipe)
            await exchange.finish()
            answered += exchange.complete
        assert (app._file_queues.pdfs._free, app._file_queues.pdfs._waiting) == (1, {})
        await settle()
        assert not app._admissions._inquiries
    assert 0 < answered < 120, "the steps do not reach from the beginning to the end"


# Queues --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "limit"), [(PDF, "pdfs_at_once"), (URL, "fetches_at_once")])
async def test_when_too_much_waits_the_next_request_is_429(
    data: Any, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, host = Work(), GuardedHost()
    monkeypatch.setattr(files, "_run_process", work)
    monkeypatch.setattr(files, "fetch", work)
    settings: dict[str, Any] = {limit: 1, "files_waiting": 0, "file_urls": "fetch-any"}
    app = ResponsesShim(host, **settings)
    async with call(app, "POST", "/v1/responses", json=data, headers=KEY) as exchange:
        with anyio.fail_after(DEADLINE):
            await work.began.wait()
        reply = await post(app, "/v1/responses", data, headers=KEY)
        check_error(reply.json)
        assert (reply.status, reply.json["error"]["code"]) == (429, "rate_limit_exceeded")
        assert reply.headers["retry-after"].isdecimal()
        assert (await post(app, "/v1/responses", REQUEST, headers=KEY)).status == 200
        await exchange.disconnect()


async def test_a_client_in_the_queue_that_leaves_gives_up_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    monkeypatch.setattr(files, "_run_process", work)
    app = ResponsesShim(GuardedHost(), pdfs_at_once=1, files_waiting=1)
    queue = app._file_queues.pdfs
    async with call(app, "POST", "/v1/responses", json=PDF, headers=KEY):
        with anyio.fail_after(DEADLINE):
            await work.began.wait()
        async with call(app, "POST", "/v1/responses", json=PDF, headers=KEY) as exchange:
            while not queue._waiting:
                await anyio.lowlevel.checkpoint()
            await exchange.disconnect()
            await exchange.finish()
        assert not queue._waiting
    assert queue._free == 1


# Answers of one message ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/responses", {**REQUEST, "background": True}),
        ("POST", "/v1/conversations", {}),
        ("GET", "/v1/responses/resp_never", None),
    ],
)
async def test_an_answer_that_the_client_does_not_wait_for_is_no_exception(method: str, path: str, body: Any) -> None:
    """Since ASGI 2.4 a server's `send` raises OSError once the client is gone."""
    app = ResponsesShim(GuardedHost())
    async with app.running(), call(app, method, path, json=body, headers=KEY) as exchange:
        exchange.stall()
        await exchange.blocked()
        await exchange.disconnect(broken_pipe=True)
        await exchange.finish()
