"""`ReverseProxy`: an ASGI app that is another HTTP server, so that the shim can be mounted on a host of any language.

    ResponsesShim(ReverseProxy("http://127.0.0.1:8080/v1"))

Each request goes to the upstream as it came, and the answer comes back as it is, part by part. There is no queue: the
next part is read once the client has taken the last, so a slow client slows the upstream down. When the client leaves,
the connection to the upstream is closed at once. If the upstream breaks off, this app returns in the middle of its
answer: that is how an ASGI server, and the shim, learn that an answer is not complete.
"""

from __future__ import annotations

import logging
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import anyio
import httpx
from starlette.types import Receive, Scope, Send

from responses_shim.asgi.body import ClientDisconnect
from responses_shim.asgi.client_watch import ClientWatch
from responses_shim.asgi.headers import CREDENTIALS, HOP_BY_HOP, end_to_end
from responses_shim.asgi.replies import send_error, send_json
from responses_shim.asgi.upstream_url import UpstreamURL
from responses_shim.errors import InvalidRequest, ShimError, UpstreamError
from responses_shim.runtime.interfaces import RawHeaders
from responses_shim.runtime.signal import Signal

logger = logging.getLogger("responses_shim")

HEALTH_PATH = "/responses-shim/health"
"""The one path that is not forwarded: a GET of it says whether the upstream can be reached."""
HEALTH_SECONDS = 1.0
"""How long what was found out for that path holds, for whoever asks."""
HEALTH_TIMEOUT = 5.0
"""Seconds that the upstream may take to answer then."""

CONNECT_TIMEOUT = 10.0
"""Seconds within which the upstream must take a connection. For an answer it may take as long as it likes."""
POOL_TIMEOUT = 10.0
"""Seconds that a request may wait for a free connection."""
CLOSE_TIMEOUT = 1.0
"""Seconds that it may take to close one."""
MAX_CONNECTIONS = 1000
"""How many requests may be forwarded at a time."""
MAX_IDLE_CONNECTIONS = 100
"""How many connections are kept for later requests."""
KEEP_ALIVE = 4.0
"""How many seconds they are kept: less than the five after which many servers close them, maybe as one is used."""

UNAUTHORIZED = "upstream_unauthorized"
"""The code of the error for an upstream that refuses the key that the proxy holds."""

_TIMEOUTS = {"connect": CONNECT_TIMEOUT, "pool": POOL_TIMEOUT, "read": None, "write": None}
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})  # a tunnel; an echo of the headers, our key among them
_NOT_FORWARDED = HOP_BY_HOP | {b"host", b"expect", b"x-forwarded-for"}
# The ASGI server has a Date of its own.
_NOT_RETURNED = HOP_BY_HOP | {b"date"}


class ReverseProxy:
    """Forwards every request to the server at `url` (see `UpstreamURL`), but for `HEALTH_PATH`.

    - `key`: the upstream's key, sent as a bearer token in place of whatever the client sends
    - `forwards_credentials`: whether the client's own credentials go to the upstream; never beside a `key`
    - `verify`: whether the upstream's certificate is verified, or by which TLS context

    WebSockets are refused. Raises ConfigurationError if the URL is wrong.
    """

    is_remote = True
    """By this `ResponsesShim` knows that its host is another server."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        forwards_credentials: bool = True,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self.url = UpstreamURL.parse(url)
        self._key = key
        self._forwards_credentials = forwards_credentials and key is None
        self._name = f"responses-shim-{secrets.token_hex(4)}".encode("ascii")  # in Via, to recognise a loop
        self._reachable = (float("-inf"), False)  # when it was last found out, and what
        self._asking = anyio.Lock()
        limits = httpx.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
        )
        # The transport, not httpx's client, which would add headers and cookies, decode bodies and follow redirects.
        self._transport = httpx.AsyncHTTPTransport(verify=verify, limits=limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "WebSockets are not forwarded"})
        elif scope["path"] == HEALTH_PATH:
            await self._answer_health(scope, send)
        else:
            await self._forward(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                await self._transport.aclose()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    # A request --------------------------------------------------------------------------------------------------------

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        uploaded = Signal()
        with ClientWatch(receive) as watch:
            watch.start(uploaded.wait)
            try:
                request = self._request(scope, _body(scope, receive, uploaded))
                response = await self._transport.handle_async_request(request)
            except ClientDisconnect:
                return
            except ShimError as error:
                await send_error(send, error, [])
                return
            except (httpx.HTTPError, OSError) as error:
                logger.warning("%s %s: %s", self.url.origin, type(error).__name__, error)
                await send_error(send, _error_of(error), [])
                return
            uploaded.set()  # an upstream may answer before it has read everything
            try:
                await self._return(response, send)
            except httpx.HTTPError as error:
                logger.warning("%s broke off its answer: %s", self.url.origin, type(error).__name__)
            except OSError:  # the client has left
                pass
            finally:
                with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):  # even if the client has left
                    await response.aclose()

    def _request(self, scope: Scope, body: AsyncIterator[bytes] | None) -> httpx.Request:
        """The request to the upstream. Raises ShimError if there is none for this one."""
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
        if scope["method"] in _REFUSED_METHODS or not raw_path.startswith(b"/"):
            raise InvalidRequest(f"{scope['method']} is not forwarded here.", status=405, code="method_not_allowed")
        request = httpx.Request(scope["method"], self.url.origin, headers=self._headers(scope), content=body)
        request.url = _Target(self.url.origin, self.url.target(raw_path, scope["query_string"]))
        request.extensions = {"timeout": _TIMEOUTS}
        return request

    def _headers(self, scope: Scope) -> RawHeaders:
        """The client's headers as they are forwarded. Raises ShimError if they have been here before."""
        forwarded: dict[bytes, bytes] = {b"x-forwarded-proto": scope.get("scheme", "http").encode("ascii")}
        headers: RawHeaders = []
        addresses: list[bytes] = []
        for name, value in end_to_end(scope["headers"]):
            if name == b"via" and self._name in value:
                raise ShimError("The proxy's upstream is the proxy itself.", status=508, code="loop_detected")
            if name == b"x-forwarded-for":
                addresses.append(value)
            elif name == b"host":
                forwarded.setdefault(b"x-forwarded-host", value)
            elif name in (b"x-forwarded-proto", b"x-forwarded-host"):
                forwarded[name] = value  # as a proxy in front of this one has it
            elif name not in _NOT_FORWARDED and (self._forwards_credentials or name not in CREDENTIALS):
                headers.append((name, value))
        if scope.get("client"):
            addresses.append(str(scope["client"][0]).encode("ascii", "replace"))
        headers = [(b"host", self.url.origin.netloc), *headers, *forwarded.items(), (b"via", b"1.1 " + self._name)]
        if addresses:
            headers.append((b"x-forwarded-for", b", ".join(addresses)))
        if self._key is not None:
            headers.append((b"authorization", b"Bearer " + self._key.encode("ascii")))
        return headers

    async def _return(self, response: httpx.Response, send: Send) -> None:
        """Send the answer on. Raises OSError if the client has left, httpx.HTTPError if the upstream breaks off."""
        status = response.status_code
        if status == 401 and self._key is not None:  # it is not the client's key that is wrong
            logger.error("%s refuses the key of the proxy", self.url.origin)
            refused = UpstreamError("The upstream does not let this proxy in.", code=UNAUTHORIZED)
            await send_error(send, refused, [])
            return
        headers = [
            (name, self.url.local(value) if name == b"location" else value)
            for name, value in end_to_end(response.headers.raw)
            if name not in _NOT_RETURNED and (self._forwards_credentials or name != b"set-cookie")
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for part in response.stream:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    # Health -----------------------------------------------------------------------------------------------------------

    async def _answer_health(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            error = InvalidRequest("Use GET.", status=405, code="method_not_allowed", headers=[("allow", "GET, HEAD")])
            await send_error(send, error, [])
            return
        status, upstream = (200, "reachable") if await self.is_reachable() else (503, "unreachable")
        await send_json(send, status, {"upstream": upstream}, [(b"cache-control", b"no-store")])

    async def is_reachable(self, clock: Callable[[], float] = time.monotonic) -> bool:
        """Whether the upstream answers, with whatever status. It is asked once a second at most."""
        async with self._asking:
            if clock() - self._reachable[0] >= HEALTH_SECONDS:
                self._reachable = clock(), await self._ask()
            return self._reachable[1]

    async def _ask(self) -> bool:
        """Ask for nothing but the headers of the path below which the server is: that works nobody's engine."""
        request = httpx.Request("HEAD", self.url.origin, headers=[(b"host", self.url.origin.netloc)])
        request.url = _Target(self.url.origin, self.url.prefix + b"/")
        request.extensions = {"timeout": dict.fromkeys(_TIMEOUTS, HEALTH_TIMEOUT)}
        try:
            response = await self._transport.handle_async_request(request)
            await response.aclose()
        except (httpx.HTTPError, OSError) as error:
            logger.warning("%s cannot be reached: %s %s", self.url.origin, type(error).__name__, error)
            return False
        return True


class _Target(httpx.URL):
    """A URL whose path and query go on the wire as they are; httpx would normalise them (`/a/../b`)."""

    def __init__(self, origin: httpx.URL, target: bytes) -> None:
        super().__init__(origin)
        self._target = target

    @property
    def raw_path(self) -> bytes:
        return self._target


def _body(scope: Scope, receive: Receive, uploaded: Signal) -> AsyncIterator[bytes] | None:
    """The client's body, part by part; None if it has none. Sets `uploaded` at its end."""
    lengths = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
    chunked = any(name.lower() == b"transfer-encoding" for name, _ in scope["headers"])
    if not chunked and all(length.strip(b" 0") == b"" for length in lengths):
        uploaded.set()
        return None

    async def parts() -> AsyncIterator[bytes]:
        more = True
        while more:
            message: dict[str, Any] = dict(await receive())
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            more = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body
        uploaded.set()

    return parts()


def _error_of(error: Exception) -> ShimError:
    """The client's error for a request to which the upstream has sent no answer."""
    if isinstance(error, httpx.LocalProtocolError):
        return InvalidRequest("The request cannot be forwarded: a header of it is not valid HTTP.")
    if isinstance(error, httpx.PoolTimeout):
        return UpstreamError("The proxy has no connection left for this request.", status=503, code="proxy_busy")
    if isinstance(error, httpx.TimeoutException):
        return UpstreamError("The upstream did not answer in time.", status=504, code="upstream_timeout")
    if isinstance(error, httpx.ConnectError):
        return UpstreamError("The upstream cannot be reached.", code="upstream_unreachable")
    return UpstreamError("The upstream closed the connection without an answer.", code="upstream_disconnected")
