"""A chat server that does all that doctor asks about, but for the faults that a test plants in it.

It is raw ASGI. What it answers depends on what doctor asks (`questions`): a greeting with a thought before it, numbers
one by one, calls of the tools that it is given, JSON where a schema is. A prompt has as many tokens as it has words,
and a picture has a hundred. With the fault

- of its answers: `no_chat`, `no_stream`, `content_type`, `bad_frames`, `cut`, `no_usage`, `no_limit`,
  `limit_is_stop`, `slow`
- of its tools: `calls_as_text`, `no_ids`, `same_ids`, `no_required`, `no_named`, `one_index`, `bad_arguments`,
  `no_tools`
- of its reasoning: `think_tags`, `other_field`, `no_replay`, `tags_replay` (only between tags)
- of the rest: `no_schema`, `schema_refused`, `no_logprobs`, `no_token_ids`, `images_refused`, `images_dropped`,
  `no_models`, `models_fail`
- of its keys: `any_key`, `open_models`
- of its engine: `cuts_others`, `busy`, `goes_on`
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from responses_shim.cli.doctor.questions import CITIES_QUESTION, COUNT, HELLO, user
from tests.scripted import read_body

Json = dict[str, Any]

PACE = 0.004
"""Seconds that a number takes: what is slow enough to be seen coming."""
DONE = b"data: [DONE]\n\n"


class Once:
    """A function that does something the first time that it is called."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do: Callable[[], None] | None = do

    def __call__(self) -> None:
        do, self._do = self._do, None
        if do is not None:
            do()


class ChatHost:
    """The server. With a `key` it asks for one; `faults` are those of the module's docstring."""

    def __init__(self, *faults: str, key: str | None = None) -> None:
        self.faults = {*faults}
        self.key = key
        self.running = 0
        self.interrupted = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        path, body = scope["path"], await read_body(receive)
        if not self._lets_in(path, Headers(scope=scope).get("authorization")):
            await reply(send, 401, {"error": "Unauthorized"})
        elif path == "/v1/models":
            await self._list_models(send)
        elif path == "/v1/chat/completions" and scope["method"] == "POST" and "no_chat" not in self.faults:
            await self._chat(json.loads(body), receive, send)
        else:
            await reply(send, 404, {"detail": "Not Found"})

    def _lets_in(self, path: str, credentials: str | None) -> bool:
        if self.key is None or not path.startswith("/v1") or ("open_models" in self.faults and path == "/v1/models"):
            return True
        return credentials is not None and ("any_key" in self.faults or credentials == f"Bearer {self.key}")

    async def _list_models(self, send: Send) -> None:
        if "no_models" in self.faults:
            await reply(send, 404, {"detail": "Not Found"})
        elif "models_fail" in self.faults:
            await reply(send, 500, {"detail": "no list"})
        else:
            await reply(send, 200, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _chat(self, request: Json, receive: Receive, send: Send) -> None:
        if refusal := self._refusal(request):
            await reply(
                send, 400, {"error": {"message": refusal, "type": "BadRequestError", "param": None, "code": 400}}
            )
            return
        if "slow" in self.faults and request["messages"] != user(HELLO):
            await anyio.sleep_forever()
        if self.running and "busy" in self.faults:
            await reply(send, 503, {"detail": {"error": "busy", "message": "busy, retry later"}})
            return
        if self.running and "cuts_others" in self.faults:
            self.interrupted.set()
        if self.running and "goes_on" in self.faults:
            await anyio.sleep_forever()
        self.running += 1
        self.interrupted = anyio.Event()
        leave = Once(self._leave)
        try:
            await self._answer(request, receive, send, leave)
        finally:
            if "goes_on" not in self.faults:
                leave()

    def _leave(self) -> None:
        self.running -= 1

    def _refusal(self, request: Json) -> str:
        if "tools" in request and "no_tools" in self.faults:
            return "no tools here"
        if "response_format" in request and "schema_refused" in self.faults:
            return "no response_format here"
        if pictures(request) and "images_refused" in self.faults:
            return "this is no multimodal model"
        return ""

    async def _answer(self, request: Json, receive: Receive, send: Send, leave: Once) -> None:
        """Answer a chat request. The engine is free before the client sees the end, which may ask again at once."""
        if not request.get("stream") or "no_stream" in self.faults:
            leave()
            await reply(send, 200, self._message(request))
            return
        kind = b"text/plain" if "content_type" in self.faults else b"text/event-stream; charset=utf-8"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        interrupted = self.interrupted
        async with anyio.create_task_group() as group:
            group.start_soon(until_disconnect, receive, group.cancel_scope)
            chunks = list(self._chunks(request))
            for chunk in chunks:
                if interrupted.is_set() or ("cut" in self.faults and chunk is chunks[-2]):
                    break
                if is_long(request):
                    await anyio.sleep(PACE)
                data = f"data: {json.dumps(chunk)}\n\n".encode()
                await write(send, b"data: {not json\n\n" if "bad_frames" in self.faults else data)
            else:
                leave()
                await write(send, DONE)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            group.cancel_scope.cancel()

    # What it says --------------------------------------------------------------------------------------------------

    def _message(self, request: Json) -> Json:
        """The answer in one piece: the deltas of the stream, put together."""
        message: Json = {"role": "assistant", "content": ""}
        finish, usage = "", None
        logprobs: list[Json] = []
        for chunk in self._chunks(request):
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                finish = choice["finish_reason"] or finish
                logprobs += (choice.get("logprobs") or {"content": []})["content"]
                for key, value in choice["delta"].items():
                    message[key] = value if key in ("role", "tool_calls") else message.get(key, "") + value
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": {"content": logprobs}}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "scripted",
            "choices": [choice],
            "usage": usage,
        }

    def _chunks(self, request: Json) -> Iterator[Json]:
        limit = request.get("max_tokens") or request.get("max_completion_tokens") or 5000
        deltas = list(self._deltas(request))
        pieces = deltas[: 4 * limit if "no_limit" in self.faults else limit]
        yield chunk({"role": "assistant", "content": ""})
        for index, delta in enumerate(pieces):
            made = chunk(delta)
            if request.get("logprobs") and "no_logprobs" not in self.faults:
                entry = {"token": "t", "logprob": -0.5, "bytes": [116], "top_logprobs": []}
                made["choices"][0]["logprobs"] = {"content": [entry]}
            if request.get("return_token_ids") and "no_token_ids" not in self.faults:
                made["choices"][0]["token_ids"] = [index]
                made["prompt_token_ids"] = [1, 2, 3]
            yield made
        cut = len(pieces) < len(deltas) and "limit_is_stop" not in self.faults
        yield chunk({}, "length" if cut else "tool_calls" if "tool_calls" in str(pieces[-1:]) else "stop")
        if "no_usage" not in self.faults:
            prompt = self._prompt_tokens(request)
            counts = {"prompt_tokens": prompt, "completion_tokens": len(pieces), "total_tokens": prompt + len(pieces)}
            yield {**chunk({}), "choices": [], "usage": counts}

    def _deltas(self, request: Json) -> Iterator[Json]:
        question = last_question(request)
        calls = self._calls(request, question)
        if calls:
            yield from self._call_deltas(calls)
        elif "response_format" in request and "no_schema" not in self.faults:
            yield from ({"content": piece} for piece in ('{"city": "Ly', 'on", "peo', 'ple": 520000}'))
        elif COUNT in question:
            yield from ({"content": f"{number}\n"} for number in range(1, 2000))
        else:
            yield from self._thought()
            yield from ({"content": piece} for piece in ("Hello", " there,", " friend", "."))

    def _thought(self) -> Iterator[Json]:
        if "think_tags" in self.faults:
            yield from ({"content": piece} for piece in ("Well. <think>", "They greet me.", "</think>"))
        else:
            yield {"thought" if "other_field" in self.faults else "reasoning": "They greet me."}

    def _calls(self, request: Json, question: str) -> list[tuple[str, Json]]:
        """The name and the arguments of each call that it makes."""
        names = [tool["function"]["name"] for tool in request.get("tools") or ()]
        choice = request.get("tool_choice")
        if not names or choice == "none" or request["messages"][-1]["role"] == "tool":
            return []
        if choice == "required" and "no_required" in self.faults:
            return []
        if isinstance(choice, dict) and "no_named" not in self.faults:
            return [(choice["function"]["name"], {"city": "Paris"})]
        if names[0] == "note":
            return [("note", {"input": "feed the cat"})]
        cities = ["Paris", "Rome"] if CITIES_QUESTION in question else ["Paris"]
        return [(names[0], {"city": city}) for city in cities]

    def _call_deltas(self, calls: list[tuple[str, Json]]) -> Iterator[Json]:
        for index, (name, arguments) in enumerate(calls):
            text = json.dumps(arguments)
            if "calls_as_text" in self.faults:
                yield {"content": f'<tool_call>{{"name": "{name}", "arguments": {text}}}</tool_call>'}
                continue
            call: Json = {"index": 0 if "one_index" in self.faults else index, "type": "function"}
            if "no_ids" not in self.faults:
                call["id"] = "call_0" if "same_ids" in self.faults else f"call_{index}"
            call["function"] = {"name": name, "arguments": text[:5] if "bad_arguments" in self.faults else text}
            yield {"tool_calls": [call]}

    def _prompt_tokens(self, request: Json) -> int:
        words = sum(len(self._seen(message).split()) for message in request["messages"])
        return words + (0 if "images_dropped" in self.faults else 100 * pictures(request))

    def _seen(self, message: Json) -> str:
        """What the model sees of a message: its text, its calls, and where the server has it the reasoning."""
        content = message.get("content") or ""
        text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
        if "tags_replay" not in self.faults:
            text = text.partition("<think>")[0]
        reasoning = "" if self.faults & {"no_replay", "tags_replay"} else message.get("reasoning") or ""
        return f"{text} {message.get('tool_calls') or ''} {reasoning}"


def chunk(delta: Json, finish_reason: str | None = None) -> Json:
    """One `chat.completion.chunk`."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted",
        "choices": [choice],
    }


def last_question(request: Json) -> str:
    """The text of the last message of the user."""
    content = [message["content"] for message in request["messages"] if message["role"] == "user"][-1]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def is_long(request: Json) -> bool:
    """Whether it is asked for numbers, which take their time."""
    return COUNT in last_question(request)


def pictures(request: Json) -> int:
    """How many images there are in the messages."""
    parts = [message["content"] for message in request["messages"] if isinstance(message.get("content"), list)]
    return sum(part.get("type") == "image_url" for content in parts for part in content)


async def until_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def write(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def reply(send: Send, status: int, body: Any) -> None:
    """A JSON answer."""
    data = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data, "more_body": False})
