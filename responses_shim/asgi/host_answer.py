"""A host's answer to a call: collected, or passed on to a run as it comes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import msgspec
from starlette.types import Message

from responses_shim.asgi.headers import headers_from_host
from responses_shim.core.response.opening import Opening
from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.lenient_json import JSON_ERRORS
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.hosts import HostProfile
from responses_shim.runtime.interfaces import Listener, RawHeaders
from responses_shim.runtime.retry import Retries

MAX_ERROR_BODY = 1024 * 1024
"""How many bytes of an error body are kept."""
ERROR_BODY_TIMEOUT = 5.0
"""Seconds that the body of an error may take. Its status is known by then, and some proxies never end one."""
MAX_JSON_ANSWER = 256 * 1024 * 1024
"""How many bytes of the JSON answer of a host that was asked to stream and did not."""


class Answer:
    """Collects a host's answer, message by message.

    Once `limit` bytes of the body have come, later messages are dropped.
    """

    def __init__(self, limit: int) -> None:
        self.messages: list[Message] = []
        self.start: Message | None = None
        """The first message: status and headers."""
        self.complete = False
        """Whether the last message of the body has come."""
        self.size = 0
        """The size of the kept body, in bytes."""
        self._limit = limit

    @property
    def status(self) -> int:
        """The HTTP status; 0 until the answer begins."""
        return int(self.start["status"]) if self.start is not None else 0

    @property
    def headers(self) -> RawHeaders:
        """The response headers; empty until the answer begins."""
        return list(self.start.get("headers", ())) if self.start is not None else []

    @property
    def body(self) -> bytes:
        """The kept part of the body."""
        return b"".join([message.get("body", b"") for message in self.messages])

    async def send(self, message: Message) -> None:
        """The host's `send`."""
        self.take(message)

    def forget(self) -> None:
        """Drop what has come so far: the answer is a stream, and goes elsewhere."""
        self.start = None
        self.messages.clear()

    def take(self, message: Message) -> None:
        """Take one message."""
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        if self.size < self._limit:
            self.messages.append(message)
            self.size += len(message.get("body", b""))


class ChatAnswer:
    """The answer to a chat call: a stream goes to the listener as it comes, anything else is collected.

    An error, or what is no answer to a chat call, has `ERROR_BODY_TIMEOUT` seconds to end.
    """

    def __init__(
        self, listener: Listener, profile: HostProfile, retries: Retries, release_request: Callable[[], None]
    ) -> None:
        self.headers: RawHeaders = []
        """The headers of the answer that the client gets too; empty until it begins."""
        self.is_busy = False
        """Whether the host has answered with nothing but an error, after which the call is to be made again."""
        self._listener = listener
        self._profile = profile
        self._retries = retries
        self._release_request = release_request
        self._opening = Opening() if profile.retry.opening_statuses and retries.possible else None
        self._collected = Answer(MAX_ERROR_BODY)
        # Where the bytes of an event stream go, once one has begun: `Listener.data`, behind a look at the first bytes
        self._stream: Callable[[bytes, bool], Awaitable[None]] | None = None
        self._invalid_answer: str | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """The host's `send`. Not a coroutine itself: a token passes here, and what is awaited is the listener."""
        stream = self._stream
        if stream is not None and message["type"] == "http.response.body":
            try:
                data, more = message["body"], message["more_body"]
            except KeyError:  # both have defaults, which most hosts do not use
                data, more = message.get("body", b""), message.get("more_body", False)
            return stream(data, more)
        return self._collect(message)

    async def _collect(self, message: Message) -> None:
        self._collected.take(message)
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._collected.complete and (self._succeeded or self.is_invalid):
            body = self._collected.body
            if _is_web_page(body):
                self._refuse(_web_page(body))
            elif self._succeeded:
                await self._listener.json(body)

    def _begin(self, start: Message) -> None:
        headers = {name.lower(): value.lower() for name, value in start.get("headers", ())}
        self.headers = headers_from_host(start.get("headers", ()))
        self._listener.head(self.headers)
        coding = headers.get(b"content-encoding", b"identity")
        content_type = headers.get(b"content-type", b"")
        if coding != b"identity":
            self._refuse(f"The host compressed its stream ({coding.decode('latin-1')}) although it was not asked to.")
        elif self._succeeded and content_type.startswith((b"text/html", b"application/xhtml")):
            self._refuse(_web_page(b""))
        if not self._succeeded:
            self._listener.call.deadline = anyio.current_time() + ERROR_BODY_TIMEOUT
        elif content_type.startswith(b"application/json"):
            self._collect_json(start)
        else:
            self._stream = partial(self._first_bytes, start)
        if self._succeeded and self._opening is None:
            self._release_request()

    def _collect_json(self, start: Message) -> None:
        self._stream = None
        self._collected = Answer(MAX_JSON_ANSWER)
        self._collected.take(start)

    def _first_bytes(self, start: Message, data: bytes, more: bool) -> Awaitable[None]:
        """Take the first bytes of what should be an event stream: by them JSON and web pages are recognised too."""
        first = data.lstrip()[:1]
        if first == b"<":
            self._stream = None
            self._refuse(_web_page(data))
            self._listener.call.deadline = anyio.current_time() + ERROR_BODY_TIMEOUT
        elif first == b"{":
            self._collect_json(start)
        else:
            if first:
                self._collected.forget()
                self._stream = self._listener.data if self._opening is None else partial(self._hold, self._opening)
                return self._stream(data, more)
            return self._listener.data(data, more)
        return self._collect({"type": "http.response.body", "body": data, "more_body": more})

    def _hold(self, opening: Opening, data: bytes, more: bool) -> Awaitable[None]:
        """Take more of the stream's opening: it is held until it is known not to be an error."""
        opening.feed(data)
        if more and opening.undecided:
            return self._listener.data(b"", more)  # so that the host does not count as silent
        if opening.error is not None and self._retries.plan(error_from(opening.error), in_opening=True):
            self.is_busy, self._stream = True, _ignore
            self._listener.call.deadline = anyio.current_time() + ERROR_BODY_TIMEOUT
            return _ignore(b"", more)
        self._release_request()
        self._opening = None
        self._stream = self._listener.data
        return self._listener.data(opening.take(), more)

    async def pass_opening_on(self) -> None:
        """Have the listener read the error that was held: the call is not made again after all."""
        if self._opening is not None and self._opening.error is not None and not self._listener.gone.is_set():
            await self._listener.data(self._opening.take(), False)

    def _refuse(self, message: str) -> None:
        self._invalid_answer = message

    @property
    def is_invalid(self) -> bool:
        """Whether it is no answer to a chat call, whatever its status."""
        return self._invalid_answer is not None

    @property
    def is_refusal(self) -> bool:
        """Whether it is an HTTP error, or has ended without anything of an answer."""
        status = self._collected.status
        return not self.is_invalid and (status >= 400 or not status or self._is_opening)

    @property
    def _is_opening(self) -> bool:
        """Whether it is a stream that has begun with nothing of an answer so far, which is held."""
        return self._stream is not None and self._opening is not None and self._opening.undecided

    @property
    def _succeeded(self) -> bool:
        return 200 <= self._collected.status < 300 and self._invalid_answer is None

    def error(self) -> ShimError | None:
        """Why the call failed, by the HTTP response.

        None if that shows no failure; one inside the stream is read by the translator.
        """
        if self._invalid_answer is not None:
            body = self._collected.body  # by now with its title, which may have come in pieces
            return UpstreamError(_web_page(body) if _is_web_page(body) else self._invalid_answer)
        status = self._collected.status
        if self._is_opening:
            return UpstreamError(self._profile.unfinished_message)
        if status == 0 or self._succeeded:
            return None
        if status < 400:
            return UpstreamError(f"The host answered with status {status}, which is no answer to a chat call.")
        return read_error(self._profile, self._collected)


async def _ignore(data: bytes, more: bool) -> None:
    """Do nothing with what a host sends behind its error."""


def read_error(profile: HostProfile, answer: Answer) -> ShimError:
    """The client's error for an answer of the host with a status of 400 or more."""
    body = answer.body
    if _is_web_page(body):
        return profile.read_error(_web_page(body), answer.status)
    try:
        error = msgspec.json.decode(body)
    except JSON_ERRORS:
        error = body.decode("utf-8", "replace").strip()
    return profile.read_error(error, answer.status)


MAX_HEAD = 4096  # bytes of a page in which its title is looked for
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,200}?)\s*</title>", re.IGNORECASE)


def _is_web_page(body: bytes) -> bool:
    """Whether a body is HTML (or XML): neither JSON nor an event stream begins with `<`."""
    return body[:200].lstrip().startswith(b"<")


def _web_page(body: bytes) -> str:
    """The message for a body that is one, with its title: as a rule it says what went wrong ("502 Bad Gateway")."""
    title = _TITLE.search(body[:MAX_HEAD])
    words = f": {title[1].decode('utf-8', 'replace')}" if title is not None else ", not as a chat server does"
    return f"The host answered with a web page{words}."
