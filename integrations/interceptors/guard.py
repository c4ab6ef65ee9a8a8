"""An interceptor that guards a model, on a server that answers with what it was asked: see what the model would see.

    uvicorn --app-dir integrations/interceptors guard:app

    curl http://localhost:8000/v1/responses -H 'Content-Type: application/json' \\
      -d '{"model": "echo", "input": "My card is 4111111111111111."}'
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from responses_shim import InvalidRequest, RequestView, ResponsesShim, ResponseView

log = logging.getLogger("audit")

CARD = re.compile(r"\b\d{16}\b")
FORBIDDEN = {"delete_everything"}
MOST_TOKENS = 2048


class Guard:
    """Keeps a model to teams, hides card numbers from it, takes a tool away, limits answers and counts them."""

    async def __call__(self, view: RequestView, headers: Mapping[str, str]) -> None:
        if view.model == "internal" and "x-team" not in headers:
            raise InvalidRequest("This model is for teams.", status=403, code="no_team")
        for message in view.messages:
            message.rewrite(lambda text: CARD.sub("[card]", text))
        view.tools = [tool for tool in view.tools if tool.name not in FORBIDDEN]
        view.params["max_tokens"] = min(view.params.get("max_tokens") or MOST_TOKENS, MOST_TOKENS)

    async def finished(self, request: RequestView, response: ResponseView) -> None:
        tokens = response.usage.total_tokens if response.usage else None
        log.info("%s: %s, %s tokens", response.id, response.finish_reason, tokens)


async def echo(request: Request) -> Response:
    """A chat server whose answer is the last message it got, with the number of tools and tokens it was offered."""
    asked = await request.json()
    text = f"{asked['messages'][-1]['content']} ({len(asked.get('tools', ()))} tools, {asked['max_tokens']} tokens)"
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
    frames = [f"data: {json.dumps({'choices': [choice]})}\n\n", "data: [DONE]\n\n"]
    return StreamingResponse(iter(frames), media_type="text/event-stream")


app = Starlette(routes=[Route("/v1/chat/completions", echo, methods=["POST"])])
app.add_middleware(ResponsesShim, interceptors=[Guard()])
