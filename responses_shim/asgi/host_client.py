"""Every call into the host, in this process: chat, tokenize, the list of models, the probe for the client's key.

The host sees an ordinary request with the client's headers: its auth, its routing and its metrics hold. A chat call
pushes: the host's `send` is ours, and hands the bytes on before it returns, without a queue. Its `receive` gives the
body once and then blocks until nobody wants the answer any more; it holds no reference to the client's own `receive`,
since some hosts go and look for the connection there (vllm-mlx).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote

import anyio
import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from responses_shim.asgi.headers import headers_from_host, headers_to_host
from responses_shim.core.request.tokenize import tokenize_request
from responses_shim.core.wire.lenient_json import JSON_ERRORS
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.hosts import HostProfile, Probe
from responses_shim.runtime.host_code import place_of, run_host_code
from responses_shim.runtime.interfaces import Listener, RawHeaders
from responses_shim.runtime.offload import offload_if_large

logger = logging.getLogger("responses_shim")

MAX_ERROR_BODY = 1024 * 1024
"""How many bytes of an error body are kept."""
ERROR_BODY_TIMEOUT = 5.0
"""Seconds that the body of an error may take. Its status is known by then, and some proxies never end one."""
MAX_JSON_ANSWER = 256 * 1024 * 1024
"""How many bytes of the JSON answer of a host that was asked to stream and did not."""
MAX_TOKENIZED = 64 * 1024 * 1024
"""How many bytes of the answer to a tokenize request."""
MAX_PROBED = 64 * 1024
"""How many bytes of the answer to a probe are kept."""
PROBE_TIMEOUT = 5.0
"""Seconds that the answer to a probe may take."""

# What a router or framework put into the scope for the route that it matched, which is not the one that is called.
_ROUTE_KEYS = ("endpoint", "path_params", "route", "router")


class _Tokenized(msgspec.Struct):
    tokens: list[int]


class HostClient:
    """Calls the host's routes on behalf of one client request.

    `scope` is the client's, `prefix` the part of its path before the route (a root_path, as a rule).
    """

    def __init__(self, app: ASGIApp, scope: Scope, prefix: str, profile: HostProfile) -> None:
        self._app = app
        self._scope = scope
        self._prefix = prefix
        self._profile = profile

    async def chat(self, chat: dict[str, Any], listener: Listener, size: int = 0) -> ShimError | None:
        """Make a chat call (an `Upstream` of a run): report the answer to the listener, return why it failed.

        `size` is about the number of bytes that `chat` has as JSON.
        """
        answer = _ChatAnswer(listener, self._profile)
        body = await offload_if_large(size, partial(msgspec.json.encode, chat))
        headers = headers_to_host(self._scope["headers"], body, self._profile.request_id)
        scope = self._inner_scope(self._profile.chat_path, headers, method="POST", query_string=b"")
        receive = _receive(body, listener.gone.wait)
        del chat, body, headers  # they may be of megabytes, and the answer takes long
        raised = await run_host_code(partial(self._app, scope, receive, answer.send), listener.call)
        if raised is not None and not listener.gone.is_set() and not answer.is_invalid:
            return self._error_from(raised)
        return answer.error()

    async def prompt_tokens(self, chat: dict[str, Any], size: int = 0) -> list[int] | None:
        """The token ids of the prompt of `chat`, from the host's tokenize route; None if it has none or fails.

        vLLM's `POST /tokenize` takes the messages and what else its chat template sees, and answers `{"tokens": […]}`.
        """
        path = self._profile.tokenize_path
        if path is None:
            return None
        body = await offload_if_large(size, partial(msgspec.json.encode, tokenize_request(chat)))
        headers = headers_to_host(self._scope["headers"], body, self._profile.request_id, accept=b"application/json")
        answer = Answer(MAX_TOKENIZED)
        scope = self._inner_scope(path, headers, method="POST", query_string=b"")
        raised = await run_host_code(lambda: self._app(scope, _receive(body, anyio.sleep_forever), answer.send))
        try:
            if raised is None and answer.status == 200:
                return msgspec.json.decode(answer.body, type=_Tokenized).tokens or None
        except JSON_ERRORS as error:
            raised = error
        if raised is not None:
            logger.warning("the host's %s failed: %s", path, type(raised).__name__)
        else:  # as llama.cpp does, whose route of this name takes other requests
            logger.warning("the host's %s answered with status %d", path, answer.status)
        return None

    async def probe(self, probe: Probe) -> Answer:
        """Make the request that shows whether the host lets the client in, and return its answer.

        That is what has come of it when the host's app returns or raises, or after `PROBE_TIMEOUT`: maybe nothing.
        """
        headers = headers_to_host(
            self._scope["headers"], probe.body, self._profile.request_id, accept=b"application/json"
        )
        answer = Answer(MAX_PROBED)
        method = "POST" if probe.body else "GET"
        scope = self._inner_scope(probe.path, headers, method=method, query_string=b"")
        receive = _receive(probe.body, anyio.sleep_forever)
        raised = await run_host_code(lambda: self._app(scope, receive, answer.send), anyio.move_on_after(PROBE_TIMEOUT))
        if raised is not None:
            logger.warning("the host's %s failed: %s", probe.path, type(raised).__name__)
        return answer

    async def pass_on(self, path: str, headers: RawHeaders, receive: Receive, send: Send) -> None:
        """Have the host answer the client's own request, at `path` and with `headers` instead of its own."""
        await self._app(self._inner_scope(path, headers), receive, send)

    def _inner_scope(self, path: str, headers: RawHeaders, **changed: Any) -> Scope:
        """The scope of a call at `path`, which is below the prefix; `changed` are other keys of it."""
        path = self._prefix + path
        scope = {name: value for name, value in self._scope.items() if name not in _ROUTE_KEYS}
        scope.update(
            path=path,
            raw_path=_raw_path(path),
            headers=headers,
            state=dict(self._scope.get("state", {})),
            extensions={name: value for name, value in (self._scope.get("extensions") or {}).items() if name == "tls"},
        )
        scope.update(changed)
        return scope

    def _error_from(self, error: BaseException) -> ShimError:
        """The client's error for an exception of the host.

        The exception's message may quote the prompt, so it is logged at DEBUG only.
        """
        while inner := getattr(error, "exceptions", None):  # a group: its first cause
            error = inner[0]
        shown = self._profile.read_exception(error)
        log = logger.error if shown.status >= 500 else logger.info
        log("the host raised %s at %s", type(error).__name__, place_of(error))
        logger.debug("what the host raised:", exc_info=error)
        return shown


@lru_cache(maxsize=64)
def _raw_path(path: str) -> bytes:
    """A path as it is on the wire. There are few: those of the host's routes, below where it is mounted."""
    return quote(path).encode("ascii")


def _receive(body: bytes, until_gone: Callable[[], Awaitable[object]]) -> Receive:
    """A `receive` that gives the body, and then waits until the answer is no longer wanted."""
    waiting = [body]  # once given it is not kept: prompts are long, and so are streams

    async def receive() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        await until_gone()
        return {"type": "http.disconnect"}

    return receive


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


class _ChatAnswer:
    """The answer to a chat call: a stream goes to the listener as it comes, anything else is collected.

    An error, or what is no answer to a chat call, has `ERROR_BODY_TIMEOUT` seconds to end.
    """

    def __init__(self, listener: Listener, profile: HostProfile) -> None:
        self._listener = listener
        self._profile = profile
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
        self._listener.head(headers_from_host(start.get("headers", ())))
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
                self._stream = self._listener.data
                self._collected.forget()
            return self._listener.data(data, more)
        return self._collect({"type": "http.response.body", "body": data, "more_body": more})

    def _refuse(self, message: str) -> None:
        self._invalid_answer = message

    @property
    def is_invalid(self) -> bool:
        """Whether it is no answer to a chat call, whatever its status."""
        return self._invalid_answer is not None

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
        if status == 0 or self._succeeded:
            return None
        if status < 400:
            return UpstreamError(f"The host answered with status {status}, which is no answer to a chat call.")
        return read_error(self._profile, self._collected)


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
