"""Middlewares with the faults of a layer in front of the chat route: of a Responses API, of a proxy, of a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.cli.doctor.hosts import reply
from tests.scripted import read_body

Json = dict[str, Any]
Events = list[Json]


class Collecting:
    """A proxy that sends nothing before it has everything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        messages = await collect(self.app, scope, receive)
        body = b"".join(message.get("body", b"") for message in messages)
        await send(messages[0])
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def collect(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    """All that an app sends."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages


class Edited:
    """Changes what comes from `/v1/responses`: the events of a stream, or the JSON of any other answer.

    - `events`: changes the events of a stream; what it returns as bytes is sent as it is
    - `body`: changes the JSON of an answer; it gets the request's method and path, the status and the JSON
    - `content_type`: that of a stream
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        events: Callable[[Events], Events] | None = None,
        body: Callable[[str, str, int, Any], tuple[int, Any]] | None = None,
        content_type: bytes = b"text/event-stream",
        done: bool = True,
    ) -> None:
        self.app = app
        self.events = events
        self.body = body
        self.content_type = content_type
        self.done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(("/v1/responses", "/v1/conversations")):
            await self.app(scope, receive, send)
            return
        messages = await collect(self.app, scope, receive)
        body = b"".join(message.get("body", b"") for message in messages)
        status = messages[0]["status"]
        if b"text/event-stream" in dict(messages[0]["headers"]).get(b"content-type", b""):
            await self._send_stream(send, body)
        elif self.body is not None:
            await reply(send, *self.body(scope["method"], path, status, json.loads(body)))
        else:
            for message in messages:
                await send(message)

    async def _send_stream(self, send: Send, body: bytes) -> None:
        lines = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
        events = [json.loads(line) for line in lines if line != b"[DONE]"]
        edited = self.events(events) if self.events is not None else events
        frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in edited]
        data = "".join([*frames, *(["data: [DONE]\n\n"] if self.done else [])]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self.content_type)]})
        await send({"type": "http.response.body", "body": data, "more_body": False})


class Workers:
    """Several processes behind one address, each with what it has stored: every request goes to the next one."""

    def __init__(self, *apps: ASGIApp) -> None:
        self.apps = apps
        self._turn = count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first_only = scope["type"] == "lifespan" or scope["method"] == "POST"
        app = self.apps[0 if first_only else next(self._turn) % len(self.apps)]
        await app(scope, receive, send)


class Rewritten:
    """Changes the requests for `/v1/responses` before they are answered: what a server does not read."""

    def __init__(self, app: ASGIApp, change: Callable[[Json], Json]) -> None:
        self.app = app
        self.change = change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/responses" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        try:
            body = json.dumps(self.change(json.loads(await read_body(receive)))).encode()
        except ValueError:
            body = b"{"
        sent = False

        async def changed() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        headers.append((b"content-length", b"%d" % len(body)))
        await self.app({**scope, "headers": headers}, changed, send)


class Limited:
    """Takes so many requests, and refuses all that come after them."""

    def __init__(self, app: ASGIApp, allowed: int) -> None:
        self.app = app
        self.left = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.left -= 1
        limited = answering(429, {"detail": "Too many requests"})
        await (limited if self.left < 0 else self.app)(scope, receive, send)


class Routed:
    """Answers some paths by itself, the longest that fits: `{"/v1/responses": app}`."""

    def __init__(self, app: ASGIApp, routes: dict[str, ASGIApp]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        fitting = [route for route in self.routes if path == route or path.startswith(f"{route}/")]
        await (self.routes[max(fitting, key=len)] if fitting else self.app)(scope, receive, send)


def answering(status: int, body: Any) -> ASGIApp:
    """An app that gives one JSON answer, or a page of HTML where the body is bytes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        if not isinstance(body, bytes):
            await reply(send, status, body)
            return
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app
