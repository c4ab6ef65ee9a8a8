"""A chat server of one's own with the shim on it. Its engine says back what it was asked, a word at a time.

    uvicorn --app-dir integrations/generic app:app

What it sends is all that the shim needs of a server: chunks with text, one with a finish_reason, the token counts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from responses_shim import ResponsesShim

app = FastAPI()


@app.get("/v1/models")
async def models() -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "echo", "object": "model"}]}


@app.post("/v1/chat/completions")
async def chat(request: Request) -> StreamingResponse:
    asked = await request.json()
    return StreamingResponse(frames(asked), media_type="text/event-stream")


async def frames(asked: dict[str, Any]) -> AsyncIterator[str]:
    """The answer as server-sent events. When the client leaves, Starlette takes no more, and the engine is free."""
    generated = 0
    async for word in engine(asked["messages"]):
        generated += 1
        yield frame(choices=[{"index": 0, "delta": {"content": word}, "finish_reason": None}])
    yield frame(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    read = sum(len(str(message["content"]).split()) for message in asked["messages"])
    counts = {"prompt_tokens": read, "completion_tokens": generated, "total_tokens": read + generated}
    yield frame(choices=[], usage=counts)
    yield "data: [DONE]\n\n"


def frame(**chunk: Any) -> str:
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'model': 'echo', **chunk})}\n\n"


async def engine(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
    for word in str(messages[-1]["content"]).split():
        yield f"{word} "


# Last, so that it is the outermost.
app.add_middleware(ResponsesShim)
