"""Ends the work on a request when its client leaves, before there is a run that watches for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

import anyio
from starlette.types import Receive


class ClientWatch:
    """A block of code that is cancelled when the client leaves. It watches from `start` to `stop`.

        with ClientWatch(receive) as watch:
            body = await read(receive)
            watch.start()                       # the body is complete: what comes next is the disconnect
            parts = await read_files(body)
            await watch.stop()                  # somebody else calls `receive` from here on

    The cancellation ends with the block, whose last line has then not been reached. If `receive` raises, the block is
    cancelled too, and the error is raised at its end.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._scope: anyio.CancelScope | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> ClientWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        scope, self._scope = self._scope, None
        if scope is None:
            return False
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        suppressed = bool(scope.__exit__(kind, error, traceback))
        if task is not None and task.done() and not task.cancelled():
            task.result()
        return suppressed

    def start(self, after: Callable[[], Awaitable[object]] | None = None) -> None:
        """Watch from now on. Does nothing if that has begun.

        It opens a cancel scope, which ends with the block: call it where no other scope has been opened within it.
        `after` is awaited first: until it returns, somebody else calls `receive`.
        """
        if self._scope is None:  # most requests never get here, so they are not charged for a scope
            self._scope = anyio.CancelScope()
            self._scope.__enter__()
            self._task = asyncio.create_task(self._watch(self._scope, after))

    async def stop(self) -> None:
        """Watch no longer. Does nothing if that has not begun."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def _watch(self, block: anyio.CancelScope, after: Callable[[], Awaitable[object]] | None) -> None:
        try:
            if after is not None:
                await after()
            await until_disconnect(self._receive)
        except Exception:
            block.cancel()  # with nobody to watch it, the work must not go on
            raise
        block.cancel()


async def until_disconnect(receive: Receive) -> None:
    """Wait until the server says that the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
