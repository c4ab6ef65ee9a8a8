"""What a host's `finish_reason` says about the end of an answer: good, cut off, or none of what is known.

Hosts have their own words beside OpenAI's five (`stop`, `length`, `tool_calls`, `function_call`, `content_filter`), and
pass on those of the model's own API. A word that nobody here knows is no good end: a client must not take half an
answer for the answer.
"""

from __future__ import annotations

from typing import Literal

End = Literal["completed", "max_output_tokens", "content_filter", "failed"]
"""How an answer ended. The two in the middle are reasons for which a response is incomplete."""

_WORDS: dict[End, tuple[str, ...]] = {
    "completed": (
        *("stop", "tool_calls", "function_call"),  # OpenAI
        *("eos", "eos_token", "stop_token", "stop_string", "eot", "end_of_text"),  # TGI, older servers
        *("end_turn", "stop_sequence", "tool_use"),  # Anthropic's, which gateways pass on
        *("tool_call", "function_calls", "complete", "completed", "end", "finished", "done"),
    ),
    "max_output_tokens": (
        "length",
        *("max_tokens", "max_output_tokens", "max_new_tokens", "max_completion_tokens", "max_length", "token_limit"),
        *("model_length", "context_length", "model_context_window_exceeded"),  # Mistral, Anthropic: the context is full
    ),
    "content_filter": (
        "content_filter",
        *("safety", "recitation", "blocklist", "prohibited_content", "spii", "image_safety"),  # Gemini
        *("content_filtered", "guardrail_intervened", "refusal", "sensitive"),  # Bedrock, Anthropic, Zhipu
    ),
}
_ENDS: dict[str, End] = {word: end for end, words in _WORDS.items() for word in words}
_NOT_GIVEN = ("", "null", "none")
_MAX_WORD = 100  # characters of a word that count: it is compared with each that follows
_SEVERITY: tuple[End, ...] = ("completed", "max_output_tokens", "content_filter", "failed")


def end_of(finish_reason: str) -> End:
    """How an answer with this finish_reason ended. Upper case, spaces and hyphens make no difference."""
    return _ENDS.get(finish_reason) or _ENDS.get(_word(finish_reason), "failed")  # as a rule the word is as it is here


def later_finish(earlier: str | None, later: str) -> str | None:
    """The finish_reason that counts after another one has come: the worse of the two, the earlier if they are alike.

    Some hosts close every stream with `stop`, also after a `length`. `null` as text is none. Of a word longer than any
    that is known, the beginning is kept.
    """
    later = later[:_MAX_WORD]
    if _word(later) in _NOT_GIVEN:
        return earlier
    if earlier is None or _SEVERITY.index(end_of(later)) > _SEVERITY.index(end_of(earlier)):
        return later
    return earlier


def _word(finish_reason: str) -> str:
    return finish_reason.strip().lower().replace(" ", "_").replace("-", "_")
