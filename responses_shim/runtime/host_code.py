"""Runs code of the host in this task, and returns what it raises: everything but a cancellation of this very task.

A host may raise `CancelledError` of its own: it awaits its engine's task, and the engine was aborted. For us that is a
failed call. But the same exception is how the server cancels us, and then it must go on to the server. The two look
alike; what tells them apart is whether this task has been asked to end, by its `cancel` or by a cancel scope around
the call. `GeneratorExit` is alike: it is the host's, unless the coroutine that runs the host is being closed.
"""

from __future__ import annotations

import asyncio
import math
import sys
import traceback
from collections.abc import Awaitable, Callable

import anyio


async def run_host_code(call: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Await what `call` gives, and return the exception that it raised; None if it returned.

    Raises what is not the host's to raise: a cancellation of this task, and KeyboardInterrupt and SystemExit, which end
    the process, also within a group.
    """
    if sys.version_info < (3, 11):
        return await _run_in_child(call)
    task = asyncio.current_task()
    cancellations = task.cancelling() if task is not None else 0
    try:
        await call()
    except BaseException as error:
        cancelled = task is not None and task.cancelling() > cancellations
        if _must_be_raised(error, task, cancelled=cancelled):
            raise
        return error
    return None


def place_of(error: BaseException) -> str:
    """Where an exception was raised, for the log: the three innermost calls, and nothing that may quote a prompt."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))


async def _run_in_child(call: Callable[[], Awaitable[object]]) -> BaseException | None:
    """As `run_host_code`, for Python 3.10, where a task does not know whether it was cancelled.

    So the host runs in a task of its own, within a task group: a cancellation of ours cancels the group's scope.
    """
    raised: BaseException | None = None

    async def run() -> None:
        nonlocal raised
        task = asyncio.current_task()
        try:
            await call()
        except BaseException as error:
            if _must_be_raised(error, task, cancelled=False):
                raise
            raised = error

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    return raised


def _must_be_raised(error: BaseException, task: asyncio.Task[object] | None, *, cancelled: bool) -> bool:
    if isinstance(error, Exception):
        return False
    if _current_task() is not task:
        return True  # the coroutine is being closed, by whatever task runs just now
    return cancelled or anyio.current_effective_deadline() == -math.inf or _ends_the_process(error)


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop is running
        return None


def _ends_the_process(error: BaseException) -> bool:
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return True
    return any(map(_ends_the_process, getattr(error, "exceptions", ())))
