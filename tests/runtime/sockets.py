"""Wraps an app so that its `send` behaves like a real socket: one write at a time, and it may break."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def one_writer(app: ASGIApp) -> ASGIApp:
    """The app on a socket that fails the test if two tasks write to it at once."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        writing = False

        async def guarded(message: Message) -> None:
            nonlocal writing
            assert not writing, "two writers at once"
            writing = True
            try:
                await send(message)
            finally:
                writing = False

        await app(scope, receive, guarded)

    return serve


def breaking(app: ASGIApp, after: int) -> ASGIApp:
    """The app on a socket that breaks after so many messages: `send` raises, and `receive` says nothing."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        left = after

        async def fragile(message: Message) -> None:
            nonlocal left
            if left == 0:
                raise OSError("broken pipe")
            left -= 1
            await send(message)

        await app(scope, receive, fragile)

    return serve
