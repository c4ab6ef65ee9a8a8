"""The connection of the Redis store: scripts, errors and wake-ups."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from responses_shim.errors import ConfigurationError
from responses_shim.stores.base import StoreUnavailable
from responses_shim.stores.silence import Silence

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.client import PubSub

TIMEOUT = 3.0
"""For how many seconds Redis may be silent before it counts as gone."""
LONGEST = 15.0
"""For how many seconds a call waits at most, while Redis answers others."""
CONNECTIONS = 32
"""How many commands a process sends at once, and so how many connections it opens; the others wait."""
IDLE = 10.0
"""After how many seconds a channel that nobody waits for is given up, and a silent subscription is tried."""

SCHEMES = ("redis://", "rediss://", "unix://")


class Script:
    """A Lua script. It is sent once to a server, which knows it by its hash from then on."""

    def __init__(self, *names: str, **constants: int) -> None:
        """Read the script from files in the folder `lua`, one after the other, behind constants."""
        folder = files(__package__) / "lua"
        header = [f"local {name} = {value}" for name, value in constants.items()]
        self.text = "\n".join(header + [(folder / f"{name}.lua").read_text(encoding="utf-8") for name in names])
        self.hash = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def as_text(data: bytes) -> msgspec.Raw:
    """Bytes as a msgpack string: the msgpack in Redis is an old one, which has no bytes but what its strings hold."""
    return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)


class Client:
    """Runs scripts on a server or a cluster, and wakes those who wait for a channel.

    Whatever is wrong with Redis is a StoreUnavailable when it has been silent for TIMEOUT seconds (see `Silence`).
    Nothing is tried again, for of a script whose answer is lost nobody knows whether it has run; the next call opens a
    new connection where it has to.
    """

    def __init__(self, url: str) -> None:
        """Make a client, which connects when it is used. ConfigurationError: no such URL, or no package `redis`."""
        if not url.startswith(SCHEMES):
            raise ConfigurationError(f"The URL of a store in Redis begins with one of {', '.join(SCHEMES)}.")
        try:
            from redis import exceptions
            from redis.asyncio import ConnectionPool, Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError:
            raise ConfigurationError("A store in Redis needs an extra: pip install 'responses-shim[redis]'") from None
        is_socket = url.startswith("unix:")
        self._url = url if not is_socket else None
        self._options: dict[str, Any] = {
            "max_connections": CONNECTIONS + 3,  # for the subscription, one that replaces it, and the first question
            # Each call has a deadline of ours. Theirs are held by `asyncio.wait_for`, which before Python 3.12 loses a
            # cancellation that comes as the awaited thing is done: then a task that is to end goes on.
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            **({} if is_socket else {"socket_keepalive": True}),
        }
        try:
            pool = ConnectionPool.from_url(url, **self._options)
            pool.connection_class(**pool.connection_kwargs)  # to see whether the URL's options are any
        except (ValueError, TypeError):  # the cause is not shown: it may have the password in it
            raise ConfigurationError("This is no URL of Redis: redis://user:password@host:port/number") from None
        self._seed: Redis = Redis.from_pool(pool)
        self._server: Redis | RedisCluster | None = None
        self._no_permission = exceptions.NoPermissionError
        self._no_script = exceptions.NoScriptError
        self._refused = exceptions.ResponseError
        self._errors = (exceptions.RedisError, OSError, asyncio.TimeoutError)
        self._subscription: Subscription | None = None
        self._starting = anyio.Lock()
        self._free = anyio.Semaphore(CONNECTIONS)
        self._silence = Silence()

    async def run(self, script: Script, keys: Sequence[str], operation: str, arguments: dict[str, Any]) -> Any:
        """Run an operation of a script; returns what the script does, strings as bytes and nil as None."""
        rest: list[str | bytes | int] = [len(keys), *keys, operation, msgspec.msgpack.encode(arguments)]
        try:
            return await self.command("EVALSHA", script.hash, *rest)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, self._no_script):
                raise
            return await self.command("EVAL", script.text, *rest)

    async def command(self, *arguments: str | bytes | int) -> Any:
        """Send a command, to that node of a cluster that has its key, and return the reply."""
        with self._unavailable_if_it_fails(), self._silence.bounded(TIMEOUT, LONGEST):
            execute: Callable[..., Awaitable[Any]] = (self._server or await self._find_server()).execute_command
            async with self._free:
                try:
                    reply = await execute(*arguments)
                    self._silence.end()
                    return reply
                except self._refused as error:
                    self._silence.end()
                    if "read only replica" in str(error):  # The next call asks who has the name in the URL by now.
                        await self._seed.connection_pool.disconnect(inuse_connections=False)
                    raise

    async def _find_server(self) -> Redis | RedisCluster:
        """The server at the URL or, if it belongs to a cluster, a client that knows which node has which key."""
        from redis.asyncio import RedisCluster

        async with self._starting:
            if self._server is None:
                try:
                    info = await self._seed.info("cluster")
                except self._no_permission:
                    info = {}
                if self._url is not None and info.get("cluster_enabled"):
                    # The first call of a cluster's client is not for several tasks at once.
                    self._server = await RedisCluster.from_url(self._url, **self._options).initialize()
                else:
                    self._server = self._seed
            return self._server

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[anyio.Event]:
        """Gives an event that is set when anything is published there from now on, or the connection is lost."""
        with self._unavailable_if_it_fails(), self._silence.bounded(TIMEOUT, LONGEST):
            if self._subscription is None or self._subscription.ended:
                self._subscription = Subscription(self._seed.pubsub(), self._errors)
            entry = await self._subscription.join(channel)
        try:
            yield entry.woken
        finally:
            entry.leave()

    async def close(self) -> None:
        """End the subscription and close all connections."""
        if self._subscription is not None:
            await self._subscription.close()
        for client in {self._seed, self._server or self._seed}:
            close: Callable[[], Awaitable[None]] = client.aclose
            with suppress(*self._errors):
                await close()

    @contextmanager
    def _unavailable_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise StoreUnavailable() from error


@dataclass(eq=False)
class Channel:
    """What is waited for on a channel. It is kept for a while after the last one has left, who may come back."""

    waiting: int = 0
    left_at: float = 0.0
    subscribed: anyio.Event = field(default_factory=anyio.Event)
    woken: anyio.Event = field(default_factory=anyio.Event)

    def wake(self) -> None:
        """Wake everybody who waits."""
        self.woken.set()
        self.woken = anyio.Event()

    def leave(self) -> None:
        """Wait no more."""
        self.waiting -= 1
        self.left_at = time.monotonic()


class Subscription:
    """One connection on which a process hears of everything that somebody in it waits for, and the task that listens.

    It ends with the connection, and everybody who waits is woken then. A new one is made when it is needed.
    """

    def __init__(self, pubsub: PubSub, errors: tuple[type[Exception], ...]) -> None:
        self._pubsub = pubsub
        self._errors = errors
        self._channels: dict[bytes, Channel] = {}
        self._changing = anyio.Lock()
        self._begun = anyio.Event()
        self._tidy_at = time.monotonic() + IDLE
        self.ended = False
        self.task = asyncio.create_task(self._listen(), name="responses-shim: Redis subscription")

    async def join(self, name: str) -> Channel:
        """Begin to wait for a channel; returns when Redis has confirmed it. Raises ConnectionError and Redis's own."""
        async with self._changing:
            channel = self._channels.get(name.encode())
            if channel is None:
                channel = self._channels[name.encode()] = Channel()
                try:
                    with anyio.fail_after(TIMEOUT, shield=True):  # half a command would be the end for all others
                        await self._pubsub.subscribe(name)
                except BaseException:
                    self.ended = True
                    self.task.cancel()
                    raise
                self._begun.set()
            channel.waiting += 1
        try:
            await channel.subscribed.wait()
            if self.ended:
                raise ConnectionError("The connection of the subscription is lost.")
        except BaseException:
            channel.leave()
            raise
        return channel

    async def close(self) -> None:
        """End the task and close the connection."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def _listen(self) -> None:
        tried = False
        try:
            await self._begun.wait()
            while True:
                message = await self._pubsub.get_message(timeout=IDLE)
                if message is not None:
                    tried = False
                    self._take(message)
                elif tried:
                    return
                else:
                    tried = True
                    await self._pubsub.ping()
                if time.monotonic() >= self._tidy_at:
                    await self._leave_idle()
        except self._errors:
            pass  # those who are woken now find out when they read
        finally:
            self.ended = True
            close: Callable[[], Awaitable[None]] = self._pubsub.aclose
            with anyio.CancelScope(shield=True), suppress(*self._errors):
                await close()
            for channel in self._channels.values():
                channel.subscribed.set()
                channel.wake()

    def _take(self, message: dict[str, Any]) -> None:
        channel = self._channels.get(message["channel"] or b"")
        if channel is not None and message["type"] == "subscribe":
            channel.subscribed.set()
        elif channel is not None and message["type"] == "message":
            channel.wake()

    async def _leave_idle(self) -> None:
        """Unsubscribe from the channels that nobody has waited for lately."""
        now = time.monotonic()
        self._tidy_at = now + IDLE
        async with self._changing:
            idle = [name for name, each in self._channels.items() if not each.waiting and each.left_at < now - IDLE]
            if idle:
                for name in idle:
                    del self._channels[name]
                await self._pubsub.unsubscribe(*idle)
