"""What is no plain text, each against the same host's raw stream of the same kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from . import servers
from .host import Script
from .report import Row
from .sampling import Plan, in_turns, middle, ratio
from .tokens import load


@dataclass(frozen=True)
class Option:
    """A kind of answer, and what a client of the shim asks for beside it."""

    name: str
    kind: str = "text"
    fields: dict[str, object] = field(default_factory=dict)
    bar: str = ""


WRITE = {"type": "function", "name": "write", "parameters": {"type": "object", "properties": {"text": {}}}}

LOGPROBS: dict[str, object] = {"include": ["message.output_text.logprobs"], "top_logprobs": 5}

OPTIONS = (
    Option("of text behind odd frames", "odd", bar="≤ 1.3"),
    Option("of reasoning", "reasoning", bar="≤ 1.35"),
    Option("of a call's arguments", "call", {"tools": [WRITE]}, bar="≤ 1.5"),
    Option("of text in a `<think>` span", "think", bar="≤ 1.6"),
    Option("with log-probabilities", "logprobs", LOGPROBS, bar="≤ 1.8"),
    Option("of text, a tool being offered", fields={"tools": [WRITE]}),
    Option("with obfuscation", fields={"stream_options": {"include_obfuscation": True}}),
)


async def measure(plan: Plan) -> AsyncIterator[Row]:
    with servers.raw() as raw, servers.shim() as shim:
        for option in OPTIONS:
            what = f"server CPU per token, answers of 1,000 {option.name}: shim ÷ chat stream"
            script = Script(option.kind)
            try:
                async with load(raw, script, plan) as bare, load(shim, script, plan, option.fields) as ours:
                    samples = await in_turns(plan.pairs, plan.slices, {"raw": bare.cpu, "shim": ours.cpu})
            except (ConnectionError, AssertionError) as reason:
                yield Row(what, None, bar=option.bar, detail=str(reason).replace("\n", " ")[:200])
                continue
            micros = [f"{middle(samples, name) / plan.slices:.1f} µs" for name in ("shim", "raw")]
            yield Row(what, ratio(samples, "shim", "raw"), bar=option.bar, detail=" ÷ ".join(micros))
