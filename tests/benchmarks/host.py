"""An instant chat server: the cheapest host there can be, so that what is added to it shows.

The answer is asked for through the model's name, the one field that every proxy carries through unchanged:
`text-1000-instant` is a thousand tokens of text, as fast as the socket takes them. The chunks are those of
vLLM 0.32, encoded beforehand, one ASGI message each.

`python -m tests.benchmarks.host raw|shim|hostile|guarded FD` serves it on an inherited listening socket.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ODD_EVERY = 20
"""One odd message for so many tokens: a comment, an empty delta, no choice at all, two tokens in one."""

GAPS = {"paced": 0.005, "fifty": 0.02, "slow": 0.5}
"""By pace, the seconds from one token to the next: 200, 50 and 2 tokens a second in each stream.

`fifty` has them come when they are due, however long a write takes, as from an engine in another process.
"""

WORDS = (
    " the",
    " quick",
    " brown",
    " fox",
    " jump",
    "s",
    " over",
    " a",
    " lazy",
    " dog",
    ".",
    " And",
    " then",
)


@dataclass(frozen=True)
class Script:
    """What the host shall answer. `str(script)` is the model name that asks for it."""

    kind: str = "text"
    """`text`, `odd` (text, and odd frames between), `logprobs` (text and the likeliest tokens), `reasoning`, `think`
    (reasoning between `<think>` tags in the text), or `call` (a function's arguments)."""
    tokens: int = 1000
    pace: str = "instant"
    """`instant`; `paced`, `fifty` and `slow`: see `GAPS`; `held`: after the tokens, silence until the client goes."""

    def __str__(self) -> str:
        return f"{self.kind}-{self.tokens}-{self.pace}"

    @classmethod
    def parse(cls, model: str) -> Script:
        kind, tokens, pace = model.split("-")
        return cls(kind, int(tokens), pace)


async def chat(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """The host: one route that streams, and a model list for whoever asks before that."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body = await _read(receive)
    if scope["path"] != "/v1/chat/completions":
        await _json(send, b'{"object":"list","data":[]}')
        return
    script, streamed = _asked_for(body)
    if not streamed:
        await _json(send, _completion(script))
        return
    frames = _frames(script)
    await _start(send, b"text/event-stream; charset=utf-8")
    if script.pace in GAPS:
        await _paced(frames, script.tokens, GAPS[script.pace], send, due=script.pace == "fifty")
        return
    for frame in frames:
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    if script.pace == "held":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _asked_for(body: bytes) -> tuple[Script, bool]:
    """The answer that a chat request asks for, and whether it is to be streamed. Of the request nothing is kept."""
    request = json.loads(body)
    return Script.parse(request["model"]), bool(request.get("stream"))


async def _paced(frames: tuple[bytes, ...], tokens: int, gap: float, send: Send, *, due: bool) -> None:
    began = time.perf_counter()
    for index, frame in enumerate(frames):
        if 1 < index <= tokens:  # The role and the first token come together, and so do the last one and the end.
            await asyncio.sleep(began + (index - 1) * gap - time.perf_counter() if due else gap)
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _json(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _start(send: Send, content_type: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type)]})


async def _read(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


@functools.cache
def _frames(script: Script) -> tuple[bytes, ...]:
    """The whole answer as server-sent events; a held one stops before its end."""
    frames = [_frame({"role": "assistant", "content": ""}, prompt_token_ids=None, prompt_text=None)]
    frames += _with_odd_frames(_deltas(script)) if script.kind == "odd" else _deltas(script)
    if script.pace != "held":
        finish = "tool_calls" if script.kind == "call" else "stop"
        frames.append(_frame({}, finish=finish, system_fingerprint="vllm-0.32.0"))
        usage = {"prompt_tokens": 33, "total_tokens": 33 + script.tokens, "completion_tokens": script.tokens}
        frames.append(_event(choices=[], usage=usage, system_fingerprint="vllm-0.32.0"))
        frames.append(b"data: [DONE]\n\n")
    return tuple(frames)


@functools.cache
def _completion(script: Script) -> bytes:
    """The same answer in one piece, for a request that is not streamed. Text only."""
    message = {"role": "assistant", "content": "".join(words(script))}
    usage = {"prompt_tokens": 33, "total_tokens": 33 + script.tokens, "completion_tokens": script.tokens}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    completion = {
        "id": "chatcmpl-9468728b6c82ede2",
        "object": "chat.completion",
        "created": 1795226178,
        "model": "smol",
    }
    return json.dumps({**completion, "choices": [choice], "usage": usage}).encode()


def words(script: Script) -> list[str]:
    """The tokens of the answer. Those of a call are pieces of one JSON object, those of `think` one span."""
    tokens = [WORDS[index % len(WORDS)] for index in range(script.tokens)]
    if script.kind == "call":
        tokens[0], tokens[-1] = '{"text":"', '"}'
    elif script.kind == "think":
        tokens[0], tokens[-1] = f"<think>{tokens[0]}", f"{tokens[-1]}</think>"
    return tokens


def _deltas(script: Script) -> Iterator[bytes]:
    if script.kind == "call":
        function = {"id": "chatcmpl-tool-84a31d0ca26285e7", "type": "function", "index": 0}
        yield _frame({"content": None, "tool_calls": [{**function, "function": {"name": "write"}}]})
    for word in words(script):
        if script.kind == "call":
            piece = {"index": 0, "function": {"arguments": word}}
            yield _frame({"content": None, "tool_calls": [piece]}, token_ids=None)
        elif script.kind == "reasoning":
            yield _frame({"reasoning": word}, token_ids=None)
        elif script.kind == "logprobs":
            yield _frame({"content": word}, logprobs=_logprobs(word), token_ids=None)
        else:
            yield _frame({"content": word}, token_ids=None)


def _with_odd_frames(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The frames, every so often with an odd one between, or two in one message."""
    odd = itertools.cycle([b": keepalive\n\n", _frame({}), _event(choices=[]), None])
    merged = b""
    for index, frame in enumerate(frames):
        if index % ODD_EVERY == ODD_EVERY - 2 and index:
            between = next(odd)
            if between is None:
                merged = frame
                continue
            yield between
        yield merged + frame
        merged = b""


def _logprobs(word: str) -> dict[str, object]:
    likeliest = [
        {"token": other, "logprob": -0.7572631239891052 - rank, "bytes": list(other.encode())}
        for rank, other in enumerate((word, " I", " an", "!", ","))
    ]
    return {"content": [{**likeliest[0], "top_logprobs": likeliest}]}


def _frame(delta: dict[str, object], finish: str | None = None, logprobs: object = None, **extra: object) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    if "token_ids" in extra:
        choice["token_ids"] = extra.pop("token_ids")
    return _event(choices=[choice], **extra)


def _event(**fields: object) -> bytes:
    chunk = {
        "id": "chatcmpl-9468728b6c82ede2",
        "object": "chat.completion.chunk",
        "created": 1795226178,
        "model": "smol",
        **fields,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def application(name: str) -> App:
    """`raw`: the host itself. `shim`: the same under the shim, with every default on. `hostile`, `guarded`: see
    `hostile_host`.
    """
    if name == "raw":
        return chat
    if name in ("hostile", "guarded"):
        from .hostile_host import guarded_host, hostile_host

        return hostile_host() if name == "hostile" else guarded_host()
    from responses_shim import ResponsesShim

    return ResponsesShim(chat)


def serve(name: str, listener: socket.socket) -> None:
    """Serve until a signal comes, on the loop and the parser that hosts use in production."""
    import uvicorn

    config = uvicorn.Config(
        application(name),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=600,  # A connection rests while the others have their turns.
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
