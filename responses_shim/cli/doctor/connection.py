"""Asks a server over HTTP, within limits: no request takes longer than it may, and none raises what a server causes.

Each request has a connection of its own, so that several worker processes all get their share, and sends no cookies. A
redirect is not followed: the key is for this server.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import anyio

from responses_shim.cli.doctor.lookup import decode
from responses_shim.cli.failure import CommandFailed
from responses_shim.core.wire.sse import SSEDecoder

if TYPE_CHECKING:
    import httpx

Key = Literal["own", "none", "wrong"]
"""Whether a request has the key that was given, none, or one that is wrong."""

MAX_BYTES = 8 * 1024 * 1024
"""The most of an answer that is read."""
BUSY = (429, 503)
"""The statuses of a server that cannot answer now."""
TRIES = 3
"""How often such a server is asked."""
MAX_RETRY_AFTER = 5.0
"""The most seconds that it may say to wait."""
CONNECT_SECONDS = 10.0
"""How long a connection may take to be made."""
MASK = b"********"
"""What stands for the key, where a server repeats it."""
MIN_MASKED = 8
"""The fewest characters of a key that is looked for in answers: a shorter one may be part of anything."""
WRONG_KEY = "wrong-key-of-responses-shim-doctor"


def base_url(text: str) -> str:
    """The base URL that a user means: without a slash at the end, and with /v1 where there is no path.

    Raises CommandFailed if it is no URL of a server, or has a user, a query or a fragment in it.
    """
    import httpx

    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
    except (httpx.InvalidURL, ValueError) as error:
        raise CommandFailed(f"this is not a URL ({error})", exit_code=2) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise CommandFailed("the URL should look like http://127.0.0.1:8000/v1", exit_code=2)
    if url.userinfo or url.query or url.fragment:
        raise CommandFailed("the URL may have no user, query or fragment: give a key with --api-key", exit_code=2)
    path = url.path.rstrip("/")
    return f"{url.copy_with(path='/')}".rstrip("/") + (path or "/v1")


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds.

    - `answer`: a complete answer, from its request on
    - `patience`: a short answer, after the client of a long one has left, until it counts as kept waiting
    - `silences`: how many answers may fail to come in time until nothing more is asked
    - `pause`: until a server that is busy, or has not finished yet, is asked again
    """

    answer: float = 60.0
    patience: float = 10.0
    silences: int = 3
    pause: float = 0.2


@dataclass
class Answer:
    """What a server has sent to one request, as far as it came.

    - `status`: 0 if nothing came
    - `headers`: by their names in lower case
    - `problem`: why it is not complete, as the end of a sentence that begins with "the answer"; empty if it is
    - `late`: whether that is because its time was over
    - `reads`: when bytes came, in seconds since the request
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = ""
    late: bool = False
    reads: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_stream(self) -> bool:
        """Whether it says that it is an event stream."""
        return self.content_type == "text/event-stream"

    @cached_property
    def json(self) -> Any:
        """The JSON value of the body; None if it is none."""
        return decode(self.body)

    @cached_property
    def frames(self) -> list[bytes]:
        """The data of each server-sent event."""
        decoder = SSEDecoder()
        return [bytes(frame) for frame in (*decoder.feed(self.body), *decoder.close())]

    @cached_property
    def _values(self) -> list[Any]:
        return [decode(frame) for frame in self.frames if frame != b"[DONE]"]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of each server-sent event that is a JSON object, in order."""
        return [value for value in self._values if isinstance(value, dict)]

    @property
    def unreadable(self) -> int:
        """How many server-sent events are no JSON object, nor `[DONE]`."""
        return len(self._values) - len(self.events)


class NotAsked(Exception):
    """A request that was not made, or not taken, for a reason that has nothing to do with it. The message says it."""


class Exchange:
    """One request, and its answer while it comes."""

    def __init__(self, client: httpx.AsyncClient, request: httpx.Request, limit: float, secret: bytes) -> None:
        self.answer = Answer()
        self.ended = False
        """Whether nothing more will come."""
        self._client = client
        self._request = request
        self._limit = limit
        self._secret = secret
        self._start = time.monotonic()
        self._response: httpx.Response | None = None
        self._bytes: AsyncIterator[bytes] | None = None
        self._body = bytearray()

    async def until(self, enough: Callable[[bytearray], bool]) -> bool:
        """Read on until the body so far is `enough`. Returns whether it is; otherwise the answer has ended."""
        import httpx

        with anyio.move_on_after(self._limit - self._elapsed()) as scope:
            try:
                await self._read_until(enough)
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
                what = "broke off" if self.answer.status else "did not come"
                self._end(f"{what}: {str(error) or type(error).__name__}")
        if scope.cancelled_caught:
            self.answer.late = True
            what = "was not complete" if self._body else "did not come"
            self._end(f"{what} within {self._limit:g} s")
        self.answer.body = bytes(self._body).replace(self._secret, MASK) if self._secret else bytes(self._body)
        self.answer.seconds = self._elapsed()
        return enough(self._body)

    async def finish(self) -> Answer:
        """Read the rest."""
        await self.until(lambda body: False)
        return self.answer

    async def close(self) -> None:
        """Close the connection, whatever has come."""
        if self._response is not None:
            with anyio.move_on_after(2, shield=True):
                await self._response.aclose()

    async def _read_until(self, enough: Callable[[bytearray], bool]) -> None:
        if self._response is None:
            self._response = await self._client.send(self._request, stream=True)
            self.answer.status = self._response.status_code
            self.answer.headers = {name.lower(): value for name, value in self._response.headers.items()}
            self._bytes = self._response.aiter_raw()
        while not self.ended and not enough(self._body):
            data = await anext(self._bytes, None) if self._bytes is not None else None
            if data is None:
                self._end("")
                return
            self.answer.reads.append(self._elapsed())
            self._body += data
            if len(self._body) > MAX_BYTES:
                self._end(f"has more than {MAX_BYTES:,} bytes")

    def _end(self, problem: str) -> None:
        self.ended = True
        self.answer.problem = self.answer.problem or problem

    def _elapsed(self) -> float:
        return time.monotonic() - self._start


class Connection:
    """A server's base URL and the key for it. `async with` opens and closes it.

    `transport` makes the requests; by default they go over the network.
    """

    def __init__(
        self, base_url: str, api_key: str | None, limits: Limits, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        import httpx

        self.base_url = base_url
        self.api_key = api_key
        self.limits = limits
        self._silent = 0  # how many answers in a row did not come in time
        # A proxy from the environment cannot reach the loopback interface of this machine.
        is_local = httpx.URL(base_url).host in ("127.0.0.1", "localhost", "::1")
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            trust_env=not is_local,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"accept-encoding": "identity"},
        )

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._client.aclose()

    @property
    def root(self) -> str:
        """The server's URL without the `/v1`, without a slash at the end."""
        return self.base_url.removesuffix("/v1")

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: Key = "own",
        limit: float | None = None,
        patient: bool = True,
    ) -> Answer:
        """The answer to one request. Raises NotAsked if too many before it had none in time, or it is one too many.

        - `path`: below the base URL, `/responses`; or a complete URL
        - `body`: JSON data; bytes are sent as they are
        - `limit`: how long the answer may take, by default `Limits.answer`
        - `patient`: ask again where the server is busy: some are for a moment, when they have just answered
        """
        if self._silent >= self.limits.silences:
            raise NotAsked(f"Not asked: {self._silent} answers in a row did not come in time (--timeout).")
        for tried in range(1, (TRIES if patient else 1) + 1):
            async with self.open(method, path, body, key=key, limit=limit) as exchange:
                answer = await exchange.finish()
            if answer.status not in BUSY or not patient:
                break
            await anyio.sleep(max(tried * self.limits.pause, _retry_after(answer)))
        if answer.status == 429 and patient:
            raise NotAsked("The server takes no more requests for now (status 429).")
        if limit is None:  # one that is meant to be short says nothing of the rest
            self._silent = self._silent + 1 if answer.late else 0
        return answer

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: Key = "own",
        limit: float | None = None,
    ) -> AsyncIterator[Exchange]:
        """One request whose answer is read bit by bit. At the end of the block the connection is closed."""
        self._client.cookies.clear()
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        request = self._client.build_request(
            method,
            path if path.startswith("http") else f"{self.base_url}{path}",
            content=content,
            headers={
                **({"content-type": "application/json"} if content is not None else {}),
                **self._credentials(key),
            },
        )
        secret = (self.api_key or "").encode() if len(self.api_key or "") >= MIN_MASKED else b""
        exchange = Exchange(self._client, request, self.limits.answer if limit is None else limit, secret)
        try:
            yield exchange
        finally:
            await exchange.close()

    def _credentials(self, key: Key) -> dict[str, str]:
        value = WRONG_KEY if key == "wrong" else self.api_key if key == "own" else None
        return {"authorization": f"Bearer {value}"} if value is not None else {}


def _retry_after(answer: Answer) -> float:
    """The seconds to wait that an answer gives, few at most; 0 if it gives none, or a date."""
    value = answer.headers.get("retry-after", "")
    return min(float(value), MAX_RETRY_AFTER) if re.fullmatch(r"\d{1,9}", value, re.ASCII) else 0.0
