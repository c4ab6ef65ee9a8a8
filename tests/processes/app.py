"""The app of the servers in these tests: the shim on a chat server whose engine is in the process of the test.

Each chat call is a connection to the engine (engine.py), which says what is answered, chunk by chunk, and sees when the
call is given up: by the shim, or because this process is gone. `GET /pid` says which process has answered.
"""

from __future__ import annotations

import json
import os

import anyio
from anyio.abc import SocketStream
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime import background, conversation_lease
from tests.scripted import CHAT_PATH, EVENT_STREAM, read_body

if "LEASE" in os.environ:
    background.LEASE_SECONDS = conversation_lease.LEASE_SECONDS = float(os.environ["LEASE"])


async def host(scope: Scope, receive: Receive, send: Send) -> None:
    """A chat server."""
    if scope["type"] == "lifespan":
        while (kind := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{kind}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["path"] == CHAT_PATH:
        await chat(receive, send)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode(), "more_body": False})


async def chat(receive: Receive, send: Send) -> None:
    """Pass a request to the engine, and what it answers to the caller, until one of them has had enough."""
    request = json.loads(await read_body(receive))
    async with await anyio.connect_tcp("127.0.0.1", int(os.environ["ENGINE"])) as engine:
        await engine.send(json.dumps({"pid": os.getpid(), "request": request}).encode() + b"\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_disconnect, receive, tasks.cancel_scope)
            await relay(engine, send)
            tasks.cancel_scope.cancel()


async def relay(engine: SocketStream, send: Send) -> None:
    """Send on what the engine sends, and confirm each piece to it when it has been taken."""
    await send({"type": "http.response.start", "status": 200, "headers": list(EVENT_STREAM)})
    async for data in engine:
        await send({"type": "http.response.body", "body": data, "more_body": True})
        await engine.send(b".")
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def until_disconnect(receive: Receive, answering: anyio.CancelScope) -> None:
    message: Message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()
    answering.cancel()


app = ResponsesShim(host)
