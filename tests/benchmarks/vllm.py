"""On vLLM's real server: CPU time per streamed token of its own `/v1/responses` and of the shim, and of its chat.

Each of these two is compared with the chat of the same process: two processes of one server differ by up to 4 %.

The engine's words come from a script (`integrations/vllm/scripted_engine.py`), as fast as they are taken, so that what
is measured is the API server alone: routes, parsers, the stream. It needs the environment variable VLLM_ENVIRONMENT,
see `integrations/vllm/README.md`, and is not measured by default.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from integrations.vllm import server as vllm

from .client import CHAT, RESPONSES, Dialect, connected
from .host import WORDS, Script
from .report import Row
from .sampling import Plan, in_turns, middle, ratio
from .servers import Server
from .tokens import Load

PIECES = 1080
"""Of these the tokenizer makes a thousand tokens."""


async def measure(plan: Plan) -> AsyncIterator[Row]:
    what = "server CPU per token on vLLM, answers of 1,000"
    installed = vllm.environment()
    if installed is None:
        yield Row(f"{what}: shim ÷ chat stream", None, bar="≤ 1.08", detail="needs VLLM_ENVIRONMENT")
        return
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        plain, shimmed = _servers(installed, folder, opened.enter_context(ExitStack()))
        loads = {
            f"{name}{dialect.path}": await opened.enter_async_context(_load(server, dialect, plan))
            for name, server in (("shim", shimmed), ("native", plain))
            for dialect in (CHAT, RESPONSES)
        }
        samples = await in_turns(plan.pairs, plan.slices, {name: load.cpu for name, load in loads.items()})
    micros = {name: f"{middle(samples, name) / plan.slices:.1f} µs" for name in loads}
    for name, words, bar in (("shim", "shim", "≤ 1.08"), ("native", "vLLM's own /v1/responses", "")):
        responses, chat = f"{name}{RESPONSES.path}", f"{name}{CHAT.path}"
        detail = f"{micros[responses]} ÷ {micros[chat]}"
        yield Row(f"{what}: {words} ÷ chat stream", ratio(samples, responses, chat), bar=bar, detail=detail)


def _servers(installed: Path, folder: Path, running: ExitStack) -> tuple[vllm.Server, vllm.Server]:
    """Two servers with the same flags and the same script: one as it is, and one with the shim."""
    model = vllm.make_model(installed, folder)
    servers = []
    for name, flags in (("plain", ()), ("shim", vllm.MIDDLEWARE)):
        (folder / name).mkdir()
        script = vllm.Script(folder / name)
        script.say("<think>Hm.</think>" + "".join(WORDS[index % len(WORDS)] for index in range(PIECES)))
        flags = (*vllm.PARSERS, *flags, "--disable-uvicorn-access-log")
        # A connection rests while the others have their turns.
        rest = {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "600"}
        server = vllm.Server(installed, model, flags, folder / f"{name}.log", script, **rest)
        servers.append(running.enter_context(server))
    return servers[0], servers[1]


@asynccontextmanager
async def _load(server: vllm.Server, dialect: Dialect, plan: Plan) -> AsyncIterator[Load]:
    """`tokens.load` for a server whose model has a name of its own, and whose tokens are its tokenizer's."""
    measured = Server(urlsplit(server.address).port or 0, dialect, (server.process.pid,))
    request = dialect.request(Script(), model=vllm.MODEL)
    async with connected(measured.port, plan.streams) as connections:
        first = await connections[0].ask(request)
        tokens = first.body.count(dialect.deltas["text"])
        assert tokens > 900, first.body[-1000:]
        load = Load(measured, connections, Script(tokens=tokens), request, max(1, plan.tokens // tokens))
        await load.cpu()
        yield load
