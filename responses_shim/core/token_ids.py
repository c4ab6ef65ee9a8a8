"""The tokens of one chat call, for those who train on them: what the prompt was, what was generated, how likely.

Asked for by `return_token_ids`. Text does not tell them: two tokenisations of one text differ, and a policy gradient
needs the one that was sampled. Hosts tell them in three ways, and the first that is there counts:

1. on the message: `prompt_token_ids`, `generation_token_ids`, `generation_log_probs`, `routed_experts` (NeMo Gym)
2. `prompt_token_ids` of the chunk and `token_ids` of the choice (vLLM's `return_token_ids`)
3. log-probabilities whose tokens read `token_id:123` (vLLM's `return_tokens_as_token_ids`)

Ways 2 and 3 take their log-probabilities from the entries of the choice. What is half told, or told twice and
differently, is an error: a wrong token spoils a training run, and nobody would see it.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct

from responses_shim.core.chat import Choice, Chunk, Delta
from responses_shim.errors import UpstreamError

_AS_TEXT = "token_id:"


class Tokens(Struct):
    """The four fields as they stand on an item, or on a replayed assistant message."""

    prompt_token_ids: list[int]
    generation_token_ids: list[int]
    generation_log_probs: list[float]
    routed_experts: Any = UNSET


class TokenCount:
    """Gathers the tokens of one chat call, chunk by chunk. `prompt` may be told from outside (a tokenize route)."""

    def __init__(self) -> None:
        self.prompt: list[int] | None = None
        self._message: Delta | None = None  # the one that carries way 1
        self._ids: list[int] = []
        self._as_text: list[int] = []
        self._logprobs: list[float] = []
        self._shown = 0

    def take(self, chunk: Chunk) -> None:
        if chunk.prompt_token_ids is not None:
            self._tell_prompt(chunk.prompt_token_ids)
        for choice in chunk.choices or ():
            self._take_choice(choice)

    def _take_choice(self, choice: Choice) -> None:
        said = choice.delta or choice.message
        if said is not None and said.generation_token_ids is not None:
            self._message = said
        self._ids += choice.token_ids or ()
        for entry in (choice.logprobs.content if choice.logprobs else None) or ():
            self._logprobs.append(entry.logprob)
            number = entry.token.removeprefix(_AS_TEXT)
            if number != entry.token and number.isdecimal():
                self._as_text.append(int(number))

    def _tell_prompt(self, ids: list[int]) -> None:
        if self.prompt is not None and ids != self.prompt:
            raise _contradiction("two different prompts")
        self.prompt = ids

    def news(self) -> tuple[list[int], list[float]] | None:
        """What has come since this was last asked for, as far as each token has both."""
        ids = self._ids or self._as_text
        known = min(len(ids), len(self._logprobs))
        if known <= self._shown:
            return None
        start, self._shown = self._shown, known
        return ids[start:known], self._logprobs[start:known]

    def close(self) -> Tokens:
        """All of them. Raises UpstreamError where something is missing or contradicts itself."""
        message = self._message
        if message is not None:
            prompt = message.prompt_token_ids if message.prompt_token_ids is not None else self.prompt
            ids, logprobs = message.generation_token_ids or [], message.generation_log_probs
            if logprobs is None or (self._ids and self._ids != ids):
                raise _contradiction("tokens without log-probabilities" if logprobs is None else "two sets of tokens")
        else:
            prompt, ids, logprobs = self.prompt, self._ids or self._as_text, self._logprobs
            if self._ids and self._as_text and self._ids != self._as_text:
                raise _contradiction("two sets of tokens")
        if prompt is None:
            raise _contradiction("no prompt tokens")
        if len(ids) != len(logprobs):
            raise _contradiction(f"{len(ids)} tokens with {len(logprobs)} log-probabilities")
        experts = message.routed_experts if message is not None and message.routed_experts is not None else UNSET
        return Tokens(prompt, ids, logprobs, experts)


def _contradiction(what: str) -> UpstreamError:
    return UpstreamError(f"The host was asked for token ids and told {what}.", code="token_ids_inconsistent")
