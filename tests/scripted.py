"""A chat-completions host that plays a script: what the shim is tested against when no engine is needed.

It is raw ASGI and does what its script says, byte for byte and pause for pause: the test decides where a frame is cut,
when the host goes quiet and how it dies. The requests that the shim sent are in `requests`, `headers` and `scopes`. Any
other path than chat completions is echoed, which is how pass-through is tested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import anyio
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

CHAT_PATH = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"
EVENT_STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"),)


@dataclass(frozen=True)
class Start:
    """Start the answer. Without it, the first bytes start a 200 event stream."""

    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = EVENT_STREAM


@dataclass(frozen=True)
class Json:
    """A JSON answer in one body message: an error, as a rule."""

    status: int
    body: Any
    headers: Sequence[tuple[bytes, bytes]] = ()


@dataclass(frozen=True)
class Wait:
    """Go quiet until the test sets the event."""

    event: anyio.Event


@dataclass(frozen=True)
class Hold:
    """Go quiet until the caller has left, which `receive` says, as in a Starlette host."""


@dataclass(frozen=True)
class Raise:
    """Let an exception out of the app."""

    error: BaseException


@dataclass(frozen=True)
class End:
    """Send the final, empty body message and go on: the steps that follow come after a clean end."""


@dataclass(frozen=True)
class Return:
    """Return at once, without a final body message."""


Step: TypeAlias = bytes | Start | Json | Wait | Hold | Raise | End | Return
Script: TypeAlias = Sequence[Step] | Callable[[dict[str, Any]], Sequence[Step]]


class ScriptedHost:
    """Plays one script for each chat call, the last one for every call after it too.

    A script is a list of steps, or a function that makes one from the request. When its steps are used up the answer
    ends, unless the last step has ended it. With `listens=False` the host never looks at `receive` again once it has
    the body, as many hand-written servers do: that the caller has left it learns only by being cancelled, or by a
    `send` that raises.
    """

    def __init__(self, *scripts: Script, listens: bool = True) -> None:
        self.scripts = scripts or (text_answer("Hello", " world"),)
        self.listens = listens
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Headers] = []
        self.scopes: list[Scope] = []
        self.lifespan: list[str] = []
        self.called = anyio.Event()
        """A chat call has come, and its body has been read."""
        self.disconnected = anyio.Event()
        """A call has learned before its end that its caller is gone: by `receive`, by `send` or by being cancelled."""
        self.finished = anyio.Event()
        """A call has left the app, for whatever reason: the engine is free."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await echo_websocket(receive, send)
        elif scope["method"] == "POST" and route_path(scope) == CHAT_PATH:
            await self._answer(scope, receive, send)
        else:
            await echo(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            self.lifespan.append(kind)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = json.loads(await read_body(receive))
        script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
        self.requests.append(request)
        self.headers.append(Headers(scope=scope))
        self.scopes.append(scope)
        self.called.set()
        answer = ScriptedAnswer(self, script(request) if callable(script) else script, receive, send)
        try:
            await answer.run()
        except anyio.get_cancelled_exc_class():
            answer.interrupt()
            raise
        finally:
            self.finished.set()


class ScriptedAnswer:
    """Plays the script of one chat call."""

    def __init__(self, host: ScriptedHost, steps: Sequence[Step], receive: Receive, send: Send) -> None:
        self.host = host
        self.steps = steps
        self.receive = receive
        self.send = send
        self.started = False
        self.ended = False

    async def run(self) -> None:
        if not self.host.listens:
            await self.play()
            return
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self.listen, group.cancel_scope)
            try:
                await self.play()
            except Exception as error:  # raised below, outside the group, which would wrap it
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def listen(self, playing: anyio.CancelScope) -> None:
        await self.until_disconnect()
        playing.cancel()

    async def until_disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.interrupt()

    def interrupt(self) -> None:
        if not self.ended:
            self.host.disconnected.set()

    async def play(self) -> None:
        try:
            for step in self.steps:
                if isinstance(step, Return):
                    return
                await self.perform(step)
            if not self.ended:
                await self.perform(End())
        except BrokenPipeError:
            return

    async def perform(self, step: Step) -> None:
        match step:
            case bytes():
                await self.write(step, more=True)
            case Start(status, headers):
                await self.start(status, headers)
            case Json(status, body, headers):
                await self.start(status, [(b"content-type", b"application/json"), *headers])
                await self.write(json.dumps(body).encode(), more=False)
            case Wait(event):
                await event.wait()
            case Hold():
                await (anyio.sleep_forever() if self.host.listens else self.until_disconnect())
            case Raise(error):
                raise error
            case End():
                await self.write(b"", more=False)
            case _:
                raise TypeError(f"not a step: {step!r}")

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.started = True
        await self.send_message({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, body: bytes, *, more: bool) -> None:
        if not self.started:
            await self.start(200, EVENT_STREAM)
        self.ended = not more
        await self.send_message({"type": "http.response.body", "body": body, "more_body": more})

    async def send_message(self, message: Message) -> None:
        try:
            await self.send(message)
        except OSError as error:
            self.interrupt()
            raise BrokenPipeError from error


# The other paths of the host, which the shim leaves alone ------------------------------------------------------------


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request that arrived, as JSON. Its body is read as Latin-1, so that every byte survives."""
    arrived = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": (scope.get("raw_path") or b"").decode("latin-1"),
        "root_path": scope.get("root_path", ""),
        "query": scope["query_string"].decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": (await read_body(receive)).decode("latin-1"),
    }
    headers = [
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-host", b"scripted"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(arrived).encode(), "more_body": False})


async def echo_websocket(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        else:
            return


async def read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def route_path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


# Frames and answers as hosts send them -------------------------------------------------------------------------------


def frame(data: Mapping[str, Any]) -> bytes:
    """Any JSON object as one server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def chunk(
    content: str | None = None,
    *,
    reasoning: str | None = None,
    reasoning_content: str | None = None,
    refusal: str | None = None,
    tool_calls: Sequence[Mapping[str, Any]] | None = None,
    role: str | None = None,
    finish_reason: str | None = None,
    usage: Mapping[str, Any] | None = None,
    logprobs: Mapping[str, Any] | None = None,
) -> bytes:
    """One `chat.completion.chunk`, with the keys that are given. With usage alone, `choices` is empty."""
    fields = {
        "role": role,
        "content": content,
        "reasoning": reasoning,
        "reasoning_content": reasoning_content,
        "refusal": refusal,
        "tool_calls": list(tool_calls) if tool_calls is not None else None,
    }
    delta = {key: value for key, value in fields.items() if value is not None}
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    if logprobs is not None:
        choice["logprobs"] = logprobs
    usage_alone = usage is not None and not delta and finish_reason is None
    data: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted",
        "choices": [] if usage_alone else [choice],
    }
    if usage is not None:
        data["usage"] = usage
    return frame(data)


def call(
    index: int | None = 0, id: str | None = None, name: str | None = None, arguments: str | None = None
) -> dict[str, Any]:
    """One entry of `delta.tool_calls`; what is None is left out."""
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None}
    entry: dict[str, Any] = {"index": index, "id": id, "function": function}
    if id is not None:
        entry["type"] = "function"
    return {key: value for key, value in entry.items() if value is not None}


def usage(prompt: int, completion: int, *, cached: int | None = None, reasoning: int | None = None) -> dict[str, Any]:
    """The `usage` object of chat completions; the details are there only when given, as with most hosts."""
    counts: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    if reasoning is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return counts


def text_answer(*pieces: str, finish_reason: str = "stop") -> list[Step]:
    """An ordinary answer: the role, the text in these pieces, the finish, the usage, `[DONE]`."""
    return [
        chunk("", role="assistant"),
        *[chunk(piece) for piece in pieces],
        chunk(finish_reason=finish_reason),
        chunk(usage=usage(7, len(pieces))),
        DONE,
    ]


def call_answer(*calls: tuple[str, str, str]) -> list[Step]:
    """An answer that calls functions. Each is given by id, name and arguments, which come in two pieces."""
    steps: list[Step] = [chunk("", role="assistant")]
    for index, (id, name, arguments) in enumerate(calls):
        half = len(arguments) // 2
        steps.append(chunk(tool_calls=[call(index, id, name, arguments[:half])]))
        steps.append(chunk(tool_calls=[call(index, arguments=arguments[half:])]))
    return [*steps, chunk(finish_reason="tool_calls"), chunk(usage=usage(20, 9)), DONE]


def call_then_text(request: dict[str, Any]) -> list[Step]:
    """A script for any request: a call of the first function that is offered, or text once there is a result."""
    awaits_result = request["messages"][-1]["role"] != "tool"
    if request.get("tools") and request.get("tool_choice") != "none" and awaits_result:
        name = request["tools"][0]["function"]["name"]
        return call_answer(("call_1", name, '{"location": "Paris"}'))
    return text_answer("Hello", " from", " the", " script.")
