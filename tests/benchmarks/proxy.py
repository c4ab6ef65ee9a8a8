"""Server CPU time per streamed token with `responses-shim proxy` in front of the host, against a relay there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from . import servers
from .host import Script
from .report import Row
from .sampling import Plan, in_turns, middle, ratio
from .tokens import load


async def measure(plan: Plan) -> AsyncIterator[Row]:
    with contextlib.ExitStack() as started:
        running = {"proxy": started.enter_context(servers.proxy()), "raw": started.enter_context(servers.raw())}
        other = "relay" if servers.relay_command() is not None else "raw"
        if other == "relay":
            running["relay"] = started.enter_context(servers.relay())
        for tokens in plan.lengths:
            async with contextlib.AsyncExitStack() as opened:
                script = Script(tokens=tokens)
                loads = {
                    name: await opened.enter_async_context(load(server, script, plan))
                    for name, server in running.items()
                }
                samples = await in_turns(plan.pairs, plan.slices, {name: load.cpu for name, load in loads.items()})
            micros = {name: f"{middle(samples, name) / plan.slices:.1f} µs" for name in running}
            beside = "(chat stream + codex-relay)" if other == "relay" else "chat stream"
            yield Row(
                f"server CPU per token, answers of {tokens:,}: (chat stream + proxy) ÷ {beside}",
                ratio(samples, "proxy", other),
                detail=f"{micros['proxy']} ÷ {micros[other]}; the chat stream alone: {micros['raw']}",
            )
