"""What a response shows besides its text, in a form that tests can check: seals, obfuscation, token ids."""

from __future__ import annotations

import json

from responses_shim.core.response.options import ResponseOptions
from tests.core.driver import Json, Played
from tests.scripted import frame
from tests.shapes import TOKENS


def seal(text: str) -> str:
    """Seals a reasoning text so that a test can read it."""
    return f"sealed {text}"


def obfuscation(size: int) -> str:
    """Random text of that length, as random as a test needs it."""
    return "x" * size


def padded_size(delta: Json) -> int:
    """The bytes on the wire of a delta, as JSON with its quotes, and its obfuscation."""
    return len(json.dumps(delta["delta"], ensure_ascii=False).encode()) + len(delta["obfuscation"])


# Token ids -----------------------------------------------------------------------------------------------------------
#
# The prompt is always 1, 2; the log-probability of a token is its id with a minus.

WITH_TOKENS = ResponseOptions(token_ids=True)
PROMPT = frame({"choices": [{"index": 0, "delta": {"role": "assistant"}}], "prompt_token_ids": [1, 2]})


def token_chunk(delta: Json | None, *ids: int, finish: str | None = None) -> bytes:
    """A chunk with the ids and the log-probabilities of its tokens, as vLLM sends it."""
    entries = [{"token": f"<{id}>", "logprob": -float(id)} for id in ids]
    choice: Json = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return frame({"choices": [choice | {"token_ids": list(ids), "logprobs": {"content": entries}}]})


def tokens(*ids: int) -> Json:
    """The token fields of an item that carries a chat call's tokens."""
    return {
        "prompt_token_ids": [1, 2],
        "generation_token_ids": list(ids),
        "generation_log_probs": [-float(id) for id in ids],
    }


def tokens_of_deltas(played: Played) -> list[list[int]]:
    """The token ids on each delta, an empty list for one that has none."""
    for event in played.deltas:
        ids, logprobs = event.get("generation_token_ids", []), event.get("generation_log_probs", [])
        assert logprobs == [-float(id) for id in ids]
    return [event.get("generation_token_ids", []) for event in played.deltas]


def tokens_of_items(played: Played) -> list[Json]:
    """The token fields of each output item, an empty object for one that has none."""
    return [{key: item[key] for key in TOKENS if key in item} for item in played.output]
