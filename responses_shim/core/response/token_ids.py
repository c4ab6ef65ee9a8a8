"""The tokens of one chat call, for those who train on them: what the prompt was, what was generated, how likely.

Asked for by `return_token_ids`. Text does not tell them: two tokenisations of one text differ, and a policy gradient
needs the one that was sampled. Hosts tell them in three ways, and the first that is there counts:

1. on the message: `prompt_token_ids`, `generation_token_ids`, `generation_log_probs`, `routed_experts` (NeMo Gym)
2. `prompt_token_ids` of the chunk and `token_ids` of the choice (vLLM's `return_token_ids`)
3. log-probabilities whose tokens read `token_id:123` (vLLM's `return_tokens_as_token_ids`)

Ways 2 and 3 take their log-probabilities from the entries of the choice, and where the prompt is not told, it comes
from the host's tokenize route. What is half told, or told twice and differently, is an error: a wrong token spoils a
training run, and nobody would see it.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from msgspec import UNSET

from responses_shim.core.wire.chat import Choice, Chunk
from responses_shim.core.wire.tokens import Tokens
from responses_shim.errors import UpstreamError

_AS_TEXT = "token_id:"

_NEEDED = ("prompt_token_ids", "generation_token_ids", "generation_log_probs")

_BUNDLE = (*_NEEDED, "routed_experts")


class TokenCount:
    """Gathers the tokens of one chat call, chunk by chunk."""

    def __init__(self) -> None:
        self.prompt: list[int] | None = None
        self._bundle: dict[str, Any] = {}  # what is told by way 1
        self._ids: list[int] = []
        self._as_text: list[int] = []
        self._logprobs: list[float] = []
        self._shown = 0

    def take(self, chunk: Chunk) -> None:
        if chunk.prompt_token_ids is not None:
            self._tell_prompt(chunk.prompt_token_ids)
        for choice in chunk.choices or ():
            if not choice.index:
                self._take_choice(choice)

    def _take_choice(self, choice: Choice) -> None:
        said = choice.delta or choice.message
        if said is not None:
            told = {name: value for name in _BUNDLE if (value := getattr(said, name)) is not None}
            if any(self._bundle.get(name, value) != value for name, value in told.items()):
                raise contradiction("two different messages")
            self._bundle.update(told)
        self._ids += choice.token_ids or ()
        for entry in (choice.logprobs.content if choice.logprobs else None) or ():
            self._logprobs.append(entry.logprob)
            number = entry.token.removeprefix(_AS_TEXT)
            if number != entry.token and number.isdecimal():
                self._as_text.append(int(number))

    @property
    def lacks_prompt(self) -> bool:
        return self.prompt is None and self._bundle.keys().isdisjoint(_NEEDED)

    def _tell_prompt(self, ids: list[int]) -> None:
        if self.prompt is not None and ids != self.prompt:
            raise contradiction("two different prompts")
        self.prompt = ids

    def news(self) -> tuple[list[int], list[float]] | None:
        """What has come since this was last asked for, as far as each token has both."""
        ids = self._ids or self._as_text
        known = min(len(ids), len(self._logprobs))
        if known <= self._shown:
            return None
        start, self._shown = self._shown, known
        return ids[start:known], self._logprobs[start:known]

    def close(self, *, said: bool = False) -> Tokens:
        """All of them. Raises UpstreamError where something is missing or contradicts itself.

        `said` is that there was an answer, which has to be made of something.
        """
        prompt, ids, logprobs = self.prompt, self._ids or self._as_text, self._logprobs
        if self._ids and self._as_text and self._ids != self._as_text:
            raise contradiction("two sets of tokens")
        if not self._bundle.keys().isdisjoint(_NEEDED):
            for name in _NEEDED:
                if name not in self._bundle:
                    raise contradiction(f"a message without {name}")
            self._tell_prompt(self._bundle["prompt_token_ids"])
            if ids and ids != self._bundle["generation_token_ids"]:
                raise contradiction("two sets of tokens")
            prompt, ids, logprobs = (self._bundle[name] for name in _NEEDED)
        if prompt is None:
            raise contradiction("no prompt tokens")
        if len(ids) != len(logprobs):
            raise contradiction(f"{len(ids)} tokens with {len(logprobs)} log-probabilities")
        if not all(map(isfinite, logprobs)):
            raise contradiction("log-probabilities that are no numbers")
        if said and not ids:
            raise contradiction("no tokens of the answer")
        return Tokens(prompt, ids, logprobs, self._bundle.get("routed_experts", UNSET))


def contradiction(what: str) -> UpstreamError:
    return UpstreamError(f"The host was asked for token ids and told {what}.", code="token_ids_inconsistent")
