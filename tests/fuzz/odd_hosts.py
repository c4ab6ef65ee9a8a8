"""A chat server with odd manners: it sends from several tasks, does not listen, goes on after its end, and raises."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Literal

import anyio
import anyio.lowlevel
import msgspec
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from tests.scripted import End, Hold, Raise, Return, Start, Step, chunk, read_body

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

Error = Literal[
    "RuntimeError",
    "BrokenPipeError",
    "CancelledError",
    "GeneratorExit",
    "group",
    "group of CancelledError",
    "group of GeneratorExit",
]
ERRORS: dict[Error, Callable[[], BaseException]] = {
    "RuntimeError": lambda: RuntimeError("boom"),
    "BrokenPipeError": lambda: BrokenPipeError("broken"),
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "group": lambda: ExceptionGroup("boom", [RuntimeError("boom"), ExceptionGroup("", [BrokenPipeError("broken")])]),
    "group of CancelledError": lambda: BaseExceptionGroup("aborted", [asyncio.CancelledError(), ValueError("boom")]),
    "group of GeneratorExit": lambda: BaseExceptionGroup("aborted", [GeneratorExit()]),
}


class Manners(msgspec.Struct, frozen=True):
    """How a host behaves, whatever it answers.

    - `reads`: its request to the client's leaving, as Starlette does; its body only; or nothing of it
    - `senders`: how many tasks send, each the next message as soon as its last one is sent
    - `bound`: whether they are a task group, in which a failure cancels the others; else these go on sending, except
      where one of them falls silent
    - `late`: when it sends more, after its end: before it returns, or in a task that outlives it
    - `if_cancelled`: whether it passes the cancellation on, returns, or raises something else
    - `stubborn`: whether it goes on when a `send` says that the client is gone
    """

    reads: Literal["all", "body", "nothing"] = "all"
    senders: int = 1
    bound: bool = True
    late: Literal["", "before it returns", "after it has returned"] = ""
    if_cancelled: Literal["", "returns", "raises"] = ""
    stubborn: bool = False


MANNERS = st.builds(
    Manners,
    st.sampled_from(["all", "all", "body", "nothing"]),
    st.sampled_from([1, 1, 1, 2, 3]),
    st.booleans(),
    st.sampled_from(["", "", "", "before it returns", "after it has returned"]),
    st.sampled_from(["", "", "", "returns", "raises"]),
    st.booleans(),
)


class OddHost:
    """Answers each call with the same steps. What the shim must not do to it is in `violations`."""

    def __init__(self, steps: Sequence[Step], manners: Manners) -> None:
        self.steps = steps
        self.manners = manners
        self.working = 0
        """How many calls it is at."""
        self.cancelled = False
        """Whether a call was cancelled from outside."""
        self.violations: list[BaseException] = []
        """What `receive` and `send` have raised, beside a cancellation and the OSError of a client that is gone."""
        self._late: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _OddAnswer(self, receive, send)
        self.working += 1
        try:
            await answer.run()
        except asyncio.CancelledError:
            if answer.raised:
                raise
            self.cancelled = True
            if self.manners.if_cancelled == "raises":
                raise RuntimeError("aborted") from None
            if not self.manners.if_cancelled:
                raise
        finally:
            self.working -= 1
            if self.manners.late == "after it has returned":
                self._late.append(asyncio.ensure_future(answer.send_late()))

    async def until_quiet(self) -> None:
        """Wait until nothing more is sent after the ends of calls."""
        await asyncio.gather(*self._late)


class _OddAnswer:
    """One call."""

    def __init__(self, host: OddHost, receive: Receive, send: Send) -> None:
        self._host = host
        self._receive = receive
        self._send = send
        self._started = False
        self.raised = False
        """Whether it has raised, as a step says."""

    async def run(self) -> None:
        manners = self._host.manners
        if manners.reads != "nothing":
            await read_body(self._guarded_receive)
        if manners.reads == "all":
            async with anyio.create_task_group() as group:
                group.start_soon(self._listen, group.cancel_scope)
                await self._play()
                group.cancel_scope.cancel()
        else:
            await self._play()

    async def send_late(self) -> None:
        """Send what comes after the end."""
        with suppress(OSError):
            for late in (Start(), chunk("late"), End(), Start(500), chunk("later"), End()):
                await self._perform(late)
                await anyio.lowlevel.checkpoint()

    async def _play(self) -> None:
        steps = iter(self._steps())
        senders = self._host.manners.senders
        if senders == 1:
            await self._perform_all(steps)
        elif self._host.manners.bound or any(isinstance(step, Hold) for step in self._host.steps):
            async with anyio.create_task_group() as group:
                for _ in range(senders):
                    group.start_soon(self._perform_all, steps)
        else:
            await _race([asyncio.ensure_future(self._perform_all(steps)) for _ in range(senders)])
        if self._host.manners.late == "before it returns":
            await self.send_late()

    def _steps(self) -> Iterator[Step]:
        """The steps, with the end of the answer if none of them is it."""
        yield from self._host.steps
        if not any(isinstance(step, End | Return | Raise) for step in self._host.steps):
            yield End()

    async def _perform_all(self, steps: Iterator[Step]) -> None:
        """Perform what steps are left, each after the one before it. Several tasks take turns at them."""
        for step in steps:
            await self._perform(step)

    async def _perform(self, step: Step) -> None:
        match step:
            case bytes():
                if not self._started:
                    await self._perform(Start())
                await self._guarded_send({"type": "http.response.body", "body": step, "more_body": True})
            case Start(status, headers):
                self._started = True
                await self._guarded_send({"type": "http.response.start", "status": status, "headers": list(headers)})
            case End():
                if not self._started:
                    await self._perform(Start())
                await self._guarded_send({"type": "http.response.body"})
            case Raise(error):
                self.raised = True
                raise error
            case Hold():
                await anyio.sleep_forever()
            case Return():
                pass
            case _:
                raise TypeError(f"not a step: {step!r}")

    async def _listen(self, playing: anyio.CancelScope) -> None:
        while (await self._guarded_receive())["type"] != "http.disconnect":
            pass
        playing.cancel()

    async def _guarded_send(self, message: Message) -> None:
        try:
            await self._guarded(lambda: self._send(message))
        except OSError:
            if not self._host.manners.stubborn:
                raise

    async def _guarded_receive(self) -> Message:
        message = await self._guarded(self._receive)
        assert message is not None
        return message

    async def _guarded(self, call: Callable[[], Awaitable[Message | None]]) -> Message | None:
        """Await what the shim gave, and note what it should not raise."""
        try:
            return await call()
        except (OSError, asyncio.CancelledError):
            raise
        except BaseException as error:
            self._host.violations.append(error)
            raise


async def _race(tasks: list[asyncio.Task[None]]) -> None:
    """Wait until all tasks have ended, or one has failed: that is raised, and the others go on.

    Not `asyncio.gather`: a GeneratorExit that a future hands over is thrown by asyncio into the outermost coroutine of
    the waiting task, and closes all that it awaits, the server and the shim included.
    """
    for task in tasks:
        task.add_done_callback(lambda task: task.cancelled() or task.exception())  # those that nobody waits for
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise
    for task in done:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            raise error
