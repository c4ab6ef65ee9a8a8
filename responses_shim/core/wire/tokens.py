"""The token ids of one chat call, as they are on an item."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct


class Tokens(Struct):
    """The tokens of one chat call: those of its prompt and those that the model generated.

    An output item carries these fields, and so does an assistant message that a client sends back. They are no part of
    OpenAI's API: the names are those of NeMo Gym, which trains on them.

    - `prompt_token_ids`: the ids of the prompt as the host rendered it, chat template included
    - `generation_token_ids`: the ids that were sampled, control tokens included
    - `generation_log_probs`: the natural logarithm of the probability of each of these
    - `routed_experts`: which experts of a mixture-of-experts model each token went to, in the host's own form
    """

    prompt_token_ids: list[int]
    generation_token_ids: list[int]
    generation_log_probs: list[float]
    routed_experts: Any = UNSET
