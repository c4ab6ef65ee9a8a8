"""What a response shows besides its text: the choices of the client and of the operator."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from responses_shim.core.items.reasoning import ReasoningDisplay, Seal


class ResponseOptions(Struct, frozen=True, kw_only=True):
    """What the client or the operator asked for besides the answer.

    - `logprobs`: whether text gets its log-probabilities; a host may send them unasked
    - `reasoning`: whether reasoning is shown as raw `text`, as a `summary`, or as `both`
    - `seal`: makes `encrypted_content` of a reasoning text
    - `token_ids`: whether the token ids of the chat calls go on deltas and on the last item of each round
    - `obfuscate`: returns the given number of random characters, which hide the length of deltas
    - `empty_message`: whether a response without any item gets an empty message
    - `incomplete_on_overflow`: whether a request that is too long for the model makes an incomplete response, not a
      failed one
    """

    logprobs: bool = False
    reasoning: ReasoningDisplay = "text"
    seal: Seal | None = None
    token_ids: bool = False
    obfuscate: Callable[[int], str] | None = None
    empty_message: bool = False
    incomplete_on_overflow: bool = False


DEFAULT_OPTIONS = ResponseOptions()
