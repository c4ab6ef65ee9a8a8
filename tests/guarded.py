"""A chat server that asks for a key, and can be asked whether one is right."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from tests.scripted import Json, Script, ScriptedAnswer, ScriptedHost, Step, route_path, text_answer

KEY = {"authorization": "Bearer right"}
CORS = [(b"access-control-allow-origin", b"https://app.test"), (b"vary", b"Origin")]
MODELS = Json(200, {"object": "list", "data": []}, CORS)
REFUSAL = Json(401, {"error": "Unauthorized"}, [*CORS, (b"WWW-Authenticate", b"Bearer")])


async def play(send: Send, *steps: Step) -> None:
    """Answer with these steps, whatever the request is."""

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError("for ever is over")

    await ScriptedAnswer(ScriptedHost(), steps, receive, send).run()


class GuardedHost:
    """A server that lets in who has the right key. It guards all of `/v1`, and has a list of models there.

    - `models`: what it answers on `GET /v1/models` to a client with the right key
    - `refusal`: what it answers to one without
    - `keys`: the right ones
    """

    def __init__(
        self,
        *,
        models: Step | list[Step] = MODELS,
        refusal: Json = REFUSAL,
        chat: Script = (),
        keys: Sequence[str] = ("right",),
    ) -> None:
        self.keys = [f"Bearer {key}" for key in keys]
        self.models = models if isinstance(models, list) else [models]
        self.refusal = refusal
        self.chat = ScriptedHost(chat or text_answer("Hello"))
        self.probes: list[Scope] = []
        self.probed = anyio.Event()
        """A probe has come."""
        self.left = anyio.Event()
        """A probe was given up before it was answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if route_path(scope) == "/v1/models":
            self.probes.append(scope)
            self.probed.set()
        if Headers(scope=scope).get("authorization") not in self.keys:
            await play(send, self.refusal)
        elif route_path(scope) == "/v1/models":
            try:
                await play(send, *self.models)
            except anyio.get_cancelled_exc_class():
                self.left.set()
                raise
        else:
            await self.chat(scope, receive, send)
