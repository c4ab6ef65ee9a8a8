"""Every call into the host, in this process: chat, tokenize, the list of models, the probe for the client's key.

The host sees an ordinary request with the client's headers: its auth, its routing and its metrics hold. A chat call
pushes: the host's `send` is ours, and hands the bytes on before it returns, without a queue. Its `receive` gives the
body once and then blocks until nobody wants the answer any more; it holds no reference to the client's own `receive`,
since some hosts go and look for the connection there (vllm-mlx).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote

import anyio
import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from responses_shim.asgi.headers import headers_to_host
from responses_shim.asgi.host_answer import Answer, ChatAnswer
from responses_shim.core.request.tokenize import tokenize_request
from responses_shim.core.wire.large_json import LARGE, encode_large
from responses_shim.core.wire.lenient_json import JSON_ERRORS
from responses_shim.errors import ShimError
from responses_shim.hosts import HostProfile, Probe
from responses_shim.runtime.host_code import place_of, run_host_code
from responses_shim.runtime.interfaces import Listener, RawHeaders
from responses_shim.runtime.offload import offload_if_large
from responses_shim.runtime.retry import Retries, RetryPolicy

logger = logging.getLogger("responses_shim")

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

    `scope` is the client's, `prefix` the part of its path before the route (a root_path, as a rule); `max_retries`
    how many times a chat call is made again.
    """

    def __init__(self, app: ASGIApp, scope: Scope, prefix: str, profile: HostProfile, max_retries: int = 0) -> None:
        self._app = app
        self._scope = scope
        self._prefix = prefix
        self._profile = profile
        self._max_retries = max_retries

    async def chat(
        self,
        chat: dict[str, Any],
        listener: Listener,
        size: int = 0,
        on_retry: Callable[[], None] | None = None,
    ) -> ShimError | None:
        """Make a chat call (an `Upstream` of a run): report the answer to the listener, return why it failed.

        If the host refuses it and may not the next time, the call is made again (see `runtime.retry`); `on_retry` is
        called each time. `size` is about the number of bytes that `chat` has as JSON.
        """
        retries = Retries(RetryPolicy(self._profile.retry, self._max_retries), listener, on_retry)
        # The encoded request, until it is not needed any more: it may be of megabytes.
        encode = encode_large if size > LARGE else msgspec.json.encode
        bodies = [await offload_if_large(size, partial(encode, chat))]
        del chat
        while True:
            answer = ChatAnswer(listener, self._profile, retries, bodies.clear)
            call = self._chat_call(bodies[0], listener, answer)
            if not retries.possible:
                bodies.clear()
            raised = await run_host_code(call, listener.call)
            if raised is None or listener.gone.is_set() or answer.is_invalid:
                error = answer.error()
            else:
                error = self._error_from(raised)
            if not answer.is_busy and bodies and error is not None and answer.is_refusal:
                answer.is_busy = retries.plan(error, answer.headers)
            if not answer.is_busy:
                return error
            if not await retries.wait():
                listener.head(answer.headers)
                await answer.pass_opening_on()
                return error

    def _chat_call(self, body: bytes, listener: Listener, answer: ChatAnswer) -> Callable[[], Awaitable[None]]:
        """What makes the chat call once, with a request id of its own."""
        headers = headers_to_host(self._scope["headers"], body, self._profile.request_id)
        scope = self._inner_scope(self._profile.chat_path, headers, method="POST", query_string=b"")
        return partial(self._app, scope, _receive(body, listener.gone.wait), answer.send)

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
