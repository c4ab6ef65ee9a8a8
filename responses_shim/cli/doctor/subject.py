"""The server that is examined: what is asked of it, each question once, and what all checks need to know of it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from responses_shim.cli.doctor.connection import Answer, Connection, Key, NotAsked
from responses_shim.cli.doctor.findings import Finding, broken
from responses_shim.cli.doctor.hosts import Host, recognise
from responses_shim.cli.doctor.lookup import Json, at, object_at, objects_at, text_at
from responses_shim.cli.doctor.questions import ANSWER, HELLO, user
from responses_shim.cli.doctor.turns import Turn, read_chat, read_response, terminal_response

_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")


@dataclass
class Subject:
    """A running server that is examined.

    - `model`: the model that is asked; empty until `prepare` has chosen one
    - `models`: the answer to `GET /models`
    - `created`: the ids of the responses and conversations that the checks have stored, to be deleted at the end
    """

    connection: Connection
    model: str
    models: Answer = field(default_factory=Answer)
    host: Host = field(default_factory=Host)
    created: list[str] = field(default_factory=list)
    _answers: dict[str, Answer] = field(default_factory=dict)
    _mount: str | None = None

    async def prepare(self) -> None:
        """Ask for the list of models, choose one if none was given, and recognise the server, if one answers."""
        self.models = await self.connection.ask("GET", "/models")
        if not self.models.status:
            return
        self.host = await recognise(self.connection, self.models)
        self.model = self.model or text_at(self.models.json, "data", 0, "id") or "default"

    # Chat --------------------------------------------------------------------------------------------------------

    def chat_body(self, **fields: Any) -> Json:
        """A chat request with these fields. What is None is left out."""
        limit = fields.pop("limit", ANSWER)
        body = {"model": self.model, "messages": user(HELLO), "temperature": 0, "max_tokens": limit, **fields}
        return {name: value for name, value in body.items() if value is not None}

    async def chat(self, **fields: Any) -> Turn:
        """The turn that answers a chat request, streamed or not. The same request is made once."""
        return read_chat(await self._once("/chat/completions", self.chat_body(**fields)))

    async def streamed_chat(self, **fields: Any) -> Turn:
        """As `chat`, streamed, with the usage asked for."""
        return await self.chat(**fields, stream=True, stream_options={"include_usage": True})

    # Responses ---------------------------------------------------------------------------------------------------

    def response_body(self, **fields: Any) -> Json:
        """A create request with these fields. Unless they say so, the response is not stored."""
        limit = fields.pop("limit", ANSWER)
        body = {
            "model": self.model,
            "input": HELLO,
            "temperature": 0,
            "max_output_tokens": limit,
            "store": False,
            **fields,
        }
        return {name: value for name, value in body.items() if value is not None}

    async def response(self, **fields: Any) -> Turn:
        """The turn in the answer to a create request, streamed or not. The same request is made once."""
        return read_response(await self._once("/responses", self.response_body(**fields)))

    async def _once(self, path: str, body: Json) -> Answer:
        key = f"{path} {json.dumps(body, sort_keys=True)}"
        if key not in self._answers:
            answer = await self.connection.ask("POST", path, body)
            self._answers[key] = answer
            if path == "/responses" and body.get("store"):
                self.remember(terminal_response(answer.events) if answer.is_stream else answer.json)
        return self._answers[key]

    def remember(self, stored: Any) -> None:
        """Note a response or conversation that the server has stored."""
        if id := id_of(stored):
            self.created.append(id)

    # What checks need to know ------------------------------------------------------------------------------------

    async def mount(self) -> str:
        """What answers at `/responses`: `shim`, `native`, `native: pass`, `nothing` or `unknown`.

        A method that is not allowed there shows it, before any key is asked for and without any work: the shim answers
        in OpenAI's form, a framework in its own, and where there is no route with a 404.
        """
        if self._mount is None:
            try:
                self._mount = await self._find_mount()
            except NotAsked:
                self._mount = "unknown"
        return self._mount

    async def _find_mount(self) -> str:
        refusal = await self.connection.ask("PUT", "/responses")
        if refusal.status == 405 and at(refusal.json, "error", "code") == "method_not_allowed":
            return "shim"
        if refusal.status == 404:
            return "nothing"
        if refusal.status in (401, 403, 405):  # some servers ask for a key before they look at the path
            if await self.serves_responses():
                catalog = await self.connection.ask("GET", "/models?client_version=0.0.0")
                return "native: pass" if objects_at(catalog.json, "models") else "native"
            return "nothing" if (await self.response()).answer.status in (404, 405) else "unknown"
        return "native" if await self.serves_responses() else "unknown"

    async def serves_chat(self) -> bool:
        """Whether chat requests are answered, streamed or not."""
        plain = await self.chat()
        return bool(objects_at(plain.answer.json, "choices")) or (await self.streamed_chat()).answer.is_stream

    async def serves_responses(self) -> bool:
        """Whether create requests are answered, streamed or not."""
        plain = await self.response()
        if plain.answer.status == 200 and object_at(plain.answer.json):
            return True
        return (await self.response(stream=True)).answer.is_stream

    async def asks_for_key(self) -> bool:
        """Whether a chat request without a key is refused."""
        return (await self.without_key("none")).status in (401, 403)

    async def without_key(self, key: Key) -> Answer:
        """The answer to a short chat request without a key (`none`), or with a wrong one (`wrong`). It is made once."""
        if key not in self._answers:
            body = self.chat_body(limit=1)
            self._answers[key] = await self.connection.ask("POST", "/chat/completions", body, key=key)
        return self._answers[key]

    async def clean_up(self) -> None:
        """Delete what the checks have stored, as far as the server lets them."""
        with suppress(NotAsked):
            while self.created:
                stored = self.created.pop()
                kind = "conversations" if stored.startswith("conv") else "responses"
                await self.connection.ask("DELETE", f"/{kind}/{stored}")


def id_of(stored: Any) -> str:
    """The id of an object that a server has stored; empty if it is none that belongs in a path."""
    id = text_at(stored, "id")
    return id if _ID.fullmatch(id) else ""


def failure(turn: Turn, what: str) -> Finding | None:
    """A finding for a turn that failed, `broken`; None if it succeeded. `what` is what was asked for."""
    if turn.succeeded:
        return None
    return broken(f"{what}: the answer {turn.problem}.", "slow" if turn.answer.late else "")
