"""Runs code of the host in this task, and returns what it raises: everything but a cancellation of this very task.

A host may raise `CancelledError` of its own: it awaits its engine's task, and the engine was aborted. For us that is a
failed call. But the same exception is how the server cancels us, and then it must go on to the server. The two look
alike; what tells them apart is whether this task has been asked to end, by its `cancel` or by a cancel scope around
the call. If it has, it ends, even if the host has returned or has raised something else. `GeneratorExit` is alike: it
is the host's, unless the coroutine that runs the host is being closed.

The call may also be ended by ourselves, through the scope that it is made in. That scope is never round anything else,
so that a cancellation by the server, which may come at the same time, is not taken for ours.

One thing cannot be caught: a future that the host awaits and that fails with GeneratorExit. asyncio throws that into
the outermost coroutine of the task, whereupon Python closes all that it awaits, one after the other, shim and host
included.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel


async def run_host_code(
    call: Callable[[], Awaitable[object]], scope: anyio.CancelScope | None = None
) -> BaseException | None:
    """Await what `call` gives, and return the exception that it raised; None if it returned, or `scope` was cancelled.

    `scope` is entered here, and ends the call when it is cancelled.

    Raises what is not the host's to raise: a cancellation of this task, whatever the host has made of it, and
    KeyboardInterrupt and SystemExit, which end the process, also within a group.
    """
    if sys.version_info < (3, 11):
        return await _run_in_child(call, scope or anyio.CancelScope())
    task = asyncio.current_task()
    cancellations = task.cancelling() if task is not None else 0
    raised: BaseException | None = None
    with scope or anyio.CancelScope():
        try:
            await call()
        except BaseException as error:
            if _must_be_raised(error, task):
                raise
            raised = error
        await anyio.lowlevel.checkpoint_if_cancelled()  # by a scope
        if task is not None and task.cancelling() > cancellations:
            await asyncio.sleep(0)  # raises if the cancellation has not reached the host
            raise raised if isinstance(raised, asyncio.CancelledError) else asyncio.CancelledError()
        return raised
    return None  # the scope was cancelled, which ends the block


def place_of(error: BaseException) -> str:
    """Where an exception was raised, for the log: the three innermost calls, and nothing that may quote a prompt."""
    # An exception that is raised again and again, as one of a module may be, has a traceback that grows with each time.
    innermost = deque(traceback.walk_tb(error.__traceback__), maxlen=3)
    codes = [(frame.f_code, line) for frame, line in reversed(innermost)]
    return " < ".join(f"{code.co_filename}:{line} {code.co_name}" for code, line in codes)


async def _run_in_child(call: Callable[[], Awaitable[object]], scope: anyio.CancelScope) -> BaseException | None:
    """As `run_host_code`, for Python 3.10, where a task does not know whether, or how often, it was cancelled.

    So the host runs in a task of its own, within a task group: a cancellation of ours cancels the group's scope. And
    `scope` is round that task alone, not round this one: whatever cancels this one is the server.
    """
    raised: BaseException | None = None

    async def run() -> None:
        nonlocal raised
        task = asyncio.current_task()
        made: BaseException | None = None
        with scope:
            try:
                await call()
            except BaseException as error:
                if _must_be_raised(error, task):
                    raise
                made = error
            await anyio.lowlevel.checkpoint_if_cancelled()
            raised = made

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    await anyio.lowlevel.checkpoint_if_cancelled()
    return raised


def _must_be_raised(error: BaseException, task: asyncio.Task[object] | None) -> bool:
    if isinstance(error, Exception):
        return False
    # In another task the coroutine is being closed, by whatever task runs just now.
    return _current_task() is not task or _ends_the_process(error)


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop is running
        return None


def _ends_the_process(error: BaseException) -> bool:
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return True
    return any(map(_ends_the_process, getattr(error, "exceptions", ())))
