"""A vLLM plugin that has the engine say what a script says, so that tests and benchmarks know the answer beforehand.

Everything but the engine's words is vLLM's own: routes, middlewares, chat template, tokenizer, parsers, the stream.
Only `AsyncLLM.generate` is replaced, in the API server's process, when vLLM loads its plugins (`vllm.general_plugins`).

The script (`integrations/script.py`) is named by the environment variable SCRIPTED_ENGINE. A turn may have

    {"when": "", "text": "<think>Hm.</think>\\n\\nHello.", "per_chunk": 7, "pause": 0.01, "dies": true}

- `text`: what the engine says, markup included; it is tokenised, and comes token by token
- `per_chunk`: how many tokens come at once, 1 by default: the share of a slow reader
- `pause`: seconds before each chunk, 0 by default
- `dies`: raise what vLLM raises when its engine has died, in place of the end

What `generate` was given goes to the file with `.seen` behind its name, one JSON object a line: `prompt`, `cache_salt`,
`priority`, `session_id`, `request_id`, and of the sampling parameters those that the tests look at. To the file with
`.ended` behind its name goes how many tokens it gave, once it has ended or was aborted.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from integrations.script import add_line, turn_for

SCRIPT = "SCRIPTED_ENGINE"

_SAMPLING = (
    *("temperature", "top_k", "min_p", "repetition_penalty", "min_tokens", "max_tokens", "ignore_eos", "logit_bias"),
    *("stop_token_ids", "thinking_token_budget", "logprobs"),
)


def install() -> None:
    """Replace the engine's generation. vLLM calls this in each of its processes; only an API server generates."""
    from vllm.v1.engine.async_llm import AsyncLLM

    AsyncLLM.generate = _generate


async def _generate(
    self: Any, prompt: Any, sampling_params: Any, request_id: str, **options: Any
) -> AsyncIterator[Any]:
    script = Path(os.environ[SCRIPT])
    tokenizer = self.renderer.get_tokenizer()
    prompt_ids = list(prompt["prompt_token_ids"])
    text = tokenizer.decode(prompt_ids)
    _note(script, text, prompt, sampling_params, request_id, options)
    turn = turn_for(script, text)
    given = 0
    try:
        async for output in _play(turn, tokenizer, prompt_ids, sampling_params, request_id):
            given += len(output.outputs[0].token_ids)
            yield output
    finally:
        add_line(script, "ended", given)


def _note(script: Path, text: str, prompt: Any, sampling: Any, request_id: str, options: dict[str, Any]) -> None:
    constraint = sampling.structured_outputs
    seen = {
        "prompt": text,
        "request_id": request_id,
        "cache_salt": prompt.get("cache_salt"),
        **{name: options.get(name) for name in ("priority", "session_id", "data_parallel_rank")},
        **{name: getattr(sampling, name) for name in _SAMPLING},
        "structured_outputs": None
        if constraint is None
        else {name: value for name, value in vars(constraint).items() if value and not name.startswith("_")},
    }
    add_line(script, "seen", seen)


async def _play(
    turn: dict[str, Any], tokenizer: Any, prompt_ids: list[int], sampling: Any, request_id: str
) -> AsyncIterator[Any]:
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.exceptions import EngineDeadError

    ids, finish = _tokens(turn["text"], tokenizer, sampling)
    at_once = sampling.output_kind == RequestOutputKind.FINAL_ONLY
    size = len(ids) if at_once else turn.get("per_chunk", 1)
    for start in range(0, len(ids), size):
        last = start + size >= len(ids)
        if last and turn.get("dies"):
            raise EngineDeadError
        await asyncio.sleep(turn.get("pause", 0))  # with 0 too: others have their turn, as beside an engine
        group = ids[start : start + size]
        yield _output(group, start, finish if last else None, tokenizer, prompt_ids, sampling, request_id)


_tokenised: dict[str, list[int]] = {}


def _tokens(text: str, tokenizer: Any, sampling: Any) -> tuple[list[int], str]:
    """The tokens of a text with the end of the turn, as many as may be generated, and why they end."""
    if text not in _tokenised:
        _tokenised[text] = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
    ids = _tokenised[text]
    return (ids[: sampling.max_tokens], "length") if len(ids) > sampling.max_tokens else (ids, "stop")


def _output(
    ids: list[int],
    start: int,
    finish: str | None,
    tokenizer: Any,
    prompt_ids: list[int],
    sampling: Any,
    request_id: str,
) -> Any:
    """What the engine gives for these tokens, the first of which is number `start`."""
    from vllm.outputs import CompletionOutput, RequestOutput

    said = CompletionOutput(
        index=0,
        text=tokenizer.decode([token for token in ids if token != tokenizer.eos_token_id]),
        token_ids=ids,
        cumulative_logprob=None,
        logprobs=None if sampling.logprobs is None else _logprobs(ids, start, tokenizer, sampling.logprobs),
        finish_reason=finish,
    )
    return RequestOutput(request_id, None, prompt_ids, None, [said], finish is not None)


def _logprobs(ids: list[int], start: int, tokenizer: Any, ranks: int) -> list[dict[int, Any]]:
    """Log-probabilities: -0.125, -0.25, … -0.875 and from the start again; the tokens that follow are made up."""
    from vllm.logprobs import Logprob

    entries = []
    for number, token in enumerate(ids, start):
        entry = {token: Logprob(-0.125 * (number % 7 + 1), 1, tokenizer.decode([token]))}
        for rank in range(ranks):
            entry.setdefault(100 + rank, Logprob(-5.0 - rank, rank + 2, tokenizer.decode([100 + rank])))
        entries.append(entry)
    return entries
