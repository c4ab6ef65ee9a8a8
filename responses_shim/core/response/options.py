"""What a response shows besides its text: the choices of the client and of the operator."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from responses_shim.core.items.reasoning import ReasoningDisplay, Seal


class ResponseOptions(Struct, frozen=True, kw_only=True):
    """What the client or the operator asked for besides the answer.

    - `logprobs`: log-probabilities go on text; a host may send them unasked
    - `reasoning`: reasoning is shown as raw `text`, as a `summary`, or as `both`
    - `seal`: makes `encrypted_content` of a reasoning text
    - `token_ids`: the token ids of the chat calls go on deltas and on the last item of each round
    - `obfuscate`: gives that many random characters, which hide the length of deltas
    - `empty_message`: an answer without any item has an empty message
    - `incomplete_on_overflow`: a request that is too long for the model gives an incomplete response, not a failed one
    """

    logprobs: bool = False
    reasoning: ReasoningDisplay = "text"
    seal: Seal | None = None
    token_ids: bool = False
    obfuscate: Callable[[int], str] | None = None
    empty_message: bool = False
    incomplete_on_overflow: bool = False


DEFAULT_OPTIONS = ResponseOptions()
