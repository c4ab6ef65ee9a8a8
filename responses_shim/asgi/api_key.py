"""`ApiKeyGuard`: ASGI middleware that lets in who has one of the keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim.asgi.replies import send_error
from responses_shim.errors import InvalidRequest


class ApiKeyGuard:
    """Answers 401 to every request without one of `keys`, but for the paths in `open_paths`.

    A key comes as `Authorization: Bearer …`, as OpenAI's SDKs send it, or in `x-api-key` or `api-key`.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str], open_paths: Iterable[str] = ()) -> None:
        self.app = app
        self._digests = [_digest(key.encode("utf-8")) for key in keys]
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in self._open_paths or self._lets_in(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "an API key is required"})
        else:
            await send_error(
                send,
                InvalidRequest(
                    "An API key of this proxy is required, as in 'Authorization: Bearer KEY'.",
                    status=401,
                    code="invalid_api_key",
                    headers=[("www-authenticate", "Bearer")],
                ),
                [],
            )

    def _lets_in(self, scope: Scope) -> bool:
        """Whether one of the client's keys is one of ours. How long that takes says nothing of either."""
        given = [_digest(key) for key in _given(scope["headers"])]
        return sum(hmac.compare_digest(key, ours) for key in given for ours in self._digests) > 0  # all are compared


def _given(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """The keys that a client sends."""
    for name, value in headers:
        lower = name.lower()
        if lower == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                yield key.strip()
        elif lower in (b"x-api-key", b"api-key"):
            yield value.strip()


def _digest(key: bytes) -> bytes:
    """A text of one length, whatever the key's is."""
    return hashlib.sha256(key).digest()
