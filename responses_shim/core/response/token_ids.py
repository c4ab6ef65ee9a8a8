"""The token ids of one chat call, for those who train on them: the prompt's, the answer's, and how likely each was.

Asked for by `return_token_ids`. Text is no substitute: two tokenisations of one text differ, and a policy gradient
needs the one that was sampled. Hosts give them in three ways, and the first that is there counts:

1. on the message: `prompt_token_ids`, `generation_token_ids`, `generation_log_probs`, `routed_experts` (NeMo Gym)
2. `prompt_token_ids` of the chunk, `token_ids` and `routed_experts` of the choice (vLLM's `return_token_ids`)
3. log-probabilities whose tokens read `token_id:123` (vLLM's `return_tokens_as_token_ids`)

Ways 2 and 3 take their log-probabilities from the entries of the choice. Where the stream does not give the prompt's
ids, they come from the host's tokenize route. What is incomplete, or given twice and differently, is an error: a wrong
token spoils a training run, and nobody would see it.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from msgspec import UNSET

from responses_shim.core.wire.chat import Choice, Chunk
from responses_shim.core.wire.tokens import Tokens
from responses_shim.errors import UpstreamError

_ID_AS_TEXT = "token_id:"
_MAX_DIGITS = 18  # of a token id, which then fits into 64 bits
_REQUIRED = ("prompt_token_ids", "generation_token_ids", "generation_log_probs")
_ON_MESSAGE = (*_REQUIRED, "routed_experts")


class TokenCollector:
    """Collects the token ids of one chat call, chunk by chunk.

    `prompt` are those of the prompt, once they are known.
    """

    def __init__(self) -> None:
        self.prompt: list[int] | None = None
        self._on_message: dict[str, Any] = {}  # way 1
        self._ids: list[int] = []  # way 2
        self._routed_experts: Any = UNSET  # way 2
        self._ids_as_text: list[int] = []  # way 3
        self._logprobs: list[float] = []
        self._taken = 0  # how many tokens `take_new` has returned

    def feed(self, chunk: Chunk) -> None:
        """Take the ids of one chunk. Raises UpstreamError if they contradict earlier ones."""
        if chunk.prompt_token_ids is not None:
            self._set_prompt(chunk.prompt_token_ids)
        for choice in chunk.choices or ():
            if not choice.index:
                self._feed_choice(choice)

    def _feed_choice(self, choice: Choice) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            fields = {name: value for name in _ON_MESSAGE if (value := getattr(delta, name)) is not None}
            if any(self._on_message.get(name, value) != value for name, value in fields.items()):
                raise contradiction("two different messages")
            self._on_message.update(fields)
        self._ids += choice.token_ids or ()
        if choice.routed_experts is not None:
            self._routed_experts = choice.routed_experts
        for entry in (choice.logprobs.content if choice.logprobs else None) or ():
            self._logprobs.append(entry.logprob)
            number = entry.token.removeprefix(_ID_AS_TEXT)
            if number != entry.token and number.isdecimal() and len(number) <= _MAX_DIGITS:
                self._ids_as_text.append(int(number))

    @property
    def lacks_prompt(self) -> bool:
        """Whether the prompt's ids are missing: neither the stream nor a message had them."""
        return self.prompt is None and self._on_message.keys().isdisjoint(_REQUIRED)

    def _set_prompt(self, ids: list[int]) -> None:
        if self.prompt is not None and ids != self.prompt:
            raise contradiction("two different prompts")
        self.prompt = ids

    def take_new(self) -> tuple[list[int], list[float]] | None:
        """The ids and log-probabilities that have come since the last time; None if there are none.

        An id whose log-probability has not come yet is left for the next time, and the other way round.
        """
        ids = self._ids or self._ids_as_text
        known = min(len(ids), len(self._logprobs))
        if known <= self._taken:
            return None
        start, self._taken = self._taken, known
        return ids[start:known], self._logprobs[start:known]

    def close(self, *, answered: bool) -> Tokens:
        """All ids of the call. Raises UpstreamError where something is missing or contradicts itself.

        `answered`: whether there was any output, which then must have token ids.
        """
        prompt, ids, logprobs = self.prompt, self._ids or self._ids_as_text, self._logprobs
        if self._ids and self._ids_as_text and self._ids != self._ids_as_text:
            raise contradiction("two sets of tokens")
        if not self._on_message.keys().isdisjoint(_REQUIRED):
            for name in _REQUIRED:
                if name not in self._on_message:
                    raise contradiction(f"a message without {name}")
            self._set_prompt(self._on_message["prompt_token_ids"])
            if ids and ids != self._on_message["generation_token_ids"]:
                raise contradiction("two sets of tokens")
            prompt, ids, logprobs = (self._on_message[name] for name in _REQUIRED)
        if prompt is None:
            raise contradiction("no prompt tokens")
        if len(ids) != len(logprobs):
            raise contradiction(f"{len(ids)} tokens with {len(logprobs)} log-probabilities")
        if not all(map(isfinite, logprobs)):
            raise contradiction("log-probabilities that are not finite")
        if answered and not ids:
            raise contradiction("no tokens of the answer")
        return Tokens(prompt, ids, logprobs, self._on_message.get("routed_experts", self._routed_experts))


def contradiction(what: str) -> UpstreamError:
    """The error for token ids that are missing or contradict one another; `what` says what the host sent."""
    return UpstreamError(f"The host was asked for token ids and gave {what}.", code="token_ids_inconsistent")
