"""What the tests in this folder share: requests and answers, items in short, and a host with a tokenize route.

They go through NeMo Gym's converter between Responses and chat, behaviour by behaviour: each test says one thing that
the converter does, and checks that the shim does it too. Where the API or this project demands something else, the
docstring of the test says what the converter does.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.errors import InvalidRequest
from tests.conformance.asking import Json, response_of
from tests.core.prepared import prepared
from tests.scripted import Hold, ScriptedHost, Step, read_body

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": True}
AUDIO = "data:audio/wav;base64,UklGRg=="
GYM: Json = {"nemo_gym": True}


def chat_for(options: TranslationOptions = DEFAULT_OPTIONS, **fields: Any) -> Json:
    """The chat request, before a host's own spelling."""
    return prepared(options=options, **fields).chat


def messages_for(*items: Json, options: TranslationOptions = DEFAULT_OPTIONS, **fields: Any) -> list[Json]:
    """The messages of the chat request for these items."""
    messages: list[Json] = chat_for(options, input=list(items), **fields)["messages"]
    return messages


def refusal(**fields: Any) -> InvalidRequest:
    """The error of a request that is refused."""
    with pytest.raises(InvalidRequest) as caught:
        chat_for(**fields)
    return caught.value


async def chat_of(*, settings: Json = GYM, **fields: Any) -> Json:
    """The chat request as the host gets it, from the complete shim."""
    host = ScriptedHost()
    await response_of(ResponsesShim(host, **settings), **fields)
    return host.requests[0]


async def answer(*steps: Step, settings: Json = GYM, **fields: Any) -> Json:
    """The response when the host takes these steps."""
    return await response_of(ResponsesShim(ScriptedHost(steps), **settings), **fields)


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def reasoning(*texts: str) -> Json:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text} for text in texts]}


def assistant(text: str, **fields: Any) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content, **fields}


def function_call(call_id: str, **fields: Any) -> Json:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **fields}


def call_output(call_id: str, output: Any = "4") -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def chat_call(call_id: str) -> Json:
    """A call as an assistant message of chat completions has it."""
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def text_of_item(item: Json) -> str:
    """The text of a message."""
    return "".join(part["text"] for part in item["content"])


# Token ids -----------------------------------------------------------------------------------------------------------

TOKEN_FIELDS = frozenset({"prompt_token_ids", "generation_token_ids", "generation_log_probs", "routed_experts"})
"""The keys of an item with token ids."""
TOKENS: Json = {"prompt_token_ids": [1, 2], "generation_token_ids": [3, 4], "generation_log_probs": [-3.0, -4.0]}


class TokenizingHost:
    """A host with vLLM's tokenize route, which always gives the same answer and keeps its requests."""

    def __init__(self, host: ScriptedHost, answer: Any, status: int = 200, path: str = "/tokenize") -> None:
        self.host = host
        self.answer = answer
        self.status = status
        self.path = path
        self.requests: list[Json] = []
        self.headers: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != self.path:
            await self.host(scope, receive, send)
            return
        assert scope["method"] == "POST"
        self.requests.append(json.loads(await read_body(receive)))
        self.headers.append(dict(scope["headers"]))
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Hold):
            await receive()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(self.answer).encode()})
