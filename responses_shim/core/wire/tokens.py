"""The token ids of one chat call, as they stand on an item."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct


class Tokens(Struct):
    """The four fields as they stand on an item, or on a replayed assistant message."""

    prompt_token_ids: list[int]
    generation_token_ids: list[int]
    generation_log_probs: list[float]
    routed_experts: Any = UNSET
