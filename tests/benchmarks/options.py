"""What is allowed to cost more than plain text, each against the same host's raw stream of the same kind."""

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


WRITE = {"type": "function", "name": "write", "parameters": {"type": "object", "properties": {"text": {}}}}

OPTIONS = (
    Option("store: false", fields={"store": False}),
    Option("without obfuscation", fields={"stream_options": {"include_obfuscation": False}}),
    Option("with obfuscation", fields={"stream_options": {"include_obfuscation": True}}),
    Option("with log probabilities", "logprobs", {"include": ["message.output_text.logprobs"], "top_logprobs": 5}),
    Option("of reasoning", "reasoning"),
    Option("of a call's arguments", "call", {"tools": [WRITE]}),
    Option("of text, a tool being offered", fields={"tools": [WRITE]}),
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
                yield Row(what, None, detail=str(reason).replace("\n", " ")[:200])
                continue
            micros = [f"{middle(samples, name) / plan.slices:.1f} µs" for name in ("shim", "raw")]
            yield Row(what, ratio(samples, "shim", "raw"), detail=" ÷ ".join(micros))
