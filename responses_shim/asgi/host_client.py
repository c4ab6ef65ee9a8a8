"""The host's own chat route, called in this process.

The host sees an ordinary request with the client's headers: its auth, its routing and its metrics hold. Its `send`
is ours, and hands the bytes on before it returns (push, no queue). Its `receive` gives the body once and then blocks
until nobody wants the answer any more; it holds no reference to the client's own `receive`, since some hosts go and
look for the connection there.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Scope

from responses_shim.asgi.headers import RawHeaders, headers_from_host, headers_to_host
from responses_shim.asgi.inner import inner_scope
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.hosts import HostProfile
from responses_shim.runtime.interfaces import Listener

logger = logging.getLogger("responses_shim")

MAX_ERROR_BODY = 1024 * 1024


class InProcess:
    """`Upstream` (see `runtime.ports`) over an ASGI app. `scope` is the client's, `prefix` the path before /v1."""

    def __init__(self, app: ASGIApp, scope: Scope, prefix: str, profile: HostProfile) -> None:
        self._app = app
        self._scope = scope
        self._prefix = prefix
        self._profile = profile

    async def __call__(self, chat: dict[str, Any], listener: Listener) -> ShimError | None:
        body = msgspec.json.encode(chat)
        answer = _Answer(listener, self._profile)
        asked = False

        async def receive() -> Message:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": body, "more_body": False}
            await listener.gone.wait()
            return {"type": "http.disconnect"}

        try:
            await self._app(self._inner_scope(body), receive, answer.send)
        except Exception as error:
            if not listener.gone.is_set():
                return self._raised(error)
        return answer.error()

    def _inner_scope(self, body: bytes) -> Scope:
        path = self._prefix + self._profile.chat_path
        headers = headers_to_host(self._scope["headers"], body, self._profile.request_id)
        return inner_scope(self._scope, path, headers, method="POST", query_string=b"")

    def _raised(self, error: Exception) -> ShimError:
        while inner := getattr(error, "exceptions", None):  # a group: its first cause
            error = inner[0]
        told = self._profile.read_exception(error)
        log = logger.error if told.status >= 500 else logger.info
        # What it says may quote the prompt.
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        place = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        log("the host raised %s at %s", type(error).__name__, place)
        logger.debug("what the host raised:", exc_info=error)
        return told


class _Answer:
    """The host's messages, as they are sent."""

    def __init__(self, listener: Listener, profile: HostProfile) -> None:
        self._listener = listener
        self._profile = profile
        self._status = 0
        self._headers: RawHeaders = []
        self._data: Callable[[bytes, bool], Awaitable[None]] | None = None  # the listener's, once a stream has begun
        self._refusal: str | None = None
        self._body: list[bytes] = []
        self._size = 0

    def send(self, message: Message) -> Awaitable[None]:
        """Not a coroutine itself: a token passes here, and what it awaits is the listener."""
        if self._data is not None and message["type"] == "http.response.body":
            return self._data(message.get("body", b""), message.get("more_body", False))
        return self._other(message)

    async def _other(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start(message)
        elif message["type"] == "http.response.body":
            await self._collect(message.get("body", b""), message.get("more_body", False))

    def _start(self, message: Message) -> None:
        self._status = message["status"]
        headers = {name.lower(): value.lower() for name, value in message.get("headers", ())}
        self._headers = headers_from_host(message.get("headers", ()))
        self._listener.head(self._headers)
        coding = headers.get(b"content-encoding", b"identity")
        if coding != b"identity":
            self._refusal = f"The host compressed its stream ({coding.decode('latin-1')}) although it was not asked to."
        if self._good() and not headers.get(b"content-type", b"").startswith(b"application/json"):
            self._data = self._listener.data

    def _good(self) -> bool:
        return 200 <= self._status < 300 and self._refusal is None

    async def _collect(self, body: bytes, more: bool) -> None:
        """An error, or the whole answer of a host that does not stream."""
        if self._good() or self._size < MAX_ERROR_BODY:
            self._body.append(body)
            self._size += len(body)
        if not more and self._good():
            await self._listener.whole(b"".join(self._body))

    def error(self) -> ShimError | None:
        """Why the call failed, as far as HTTP tells; None when it did not, or when only the stream can tell."""
        if self._refusal is not None:
            return UpstreamError(self._refusal)
        if self._status == 0 or self._good():
            return None
        if self._status < 400:
            return UpstreamError(f"The host answered with status {self._status}, which is no answer to a chat call.")
        body = b"".join(self._body)
        try:
            told = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = body.decode("utf-8", "replace").strip()
        return self._profile.read_error(told, self._status)
