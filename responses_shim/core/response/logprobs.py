"""Log-probabilities of the text that a client sees, and of nothing else.

A chunk may hold more tokens than its text: when a reader is slow vLLM puts the end of a thought, the tag behind it and
the beginning of the answer into one chunk, with the entries of all of them. Or fewer: the tokens of half a character,
or of what a parser held back, come in a chunk without text, and their text in a later one. So the entries are matched
by what their tokens read. For example

    {"reasoning": "Hm.", "content": "Hi"}  with the entries of  "Hm", ".", "</think>", "Hi"

is content "Hi" with the entry of "Hi". Where the tokens do not read like the text (tokens given as ids, text that was
changed), a chunk keeps its own entries.
"""

from __future__ import annotations

from collections.abc import Sequence

from responses_shim.core.response.filters import Field
from responses_shim.core.wire.chat import ChatLogprob, Chunk, Delta, Logprobs


class LogprobFilter:
    """The filter that gives the content of each chunk the entries of its own tokens."""

    done = False

    def __init__(self) -> None:
        self._pending: list[ChatLogprob] = []  # of tokens whose text has not come yet

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        choice = next((choice for choice in chunk.choices or () if not choice.index), None)
        delta = (choice.delta or choice.message) if choice is not None else None
        if choice is None or delta is None:
            return [chunk]
        own = (choice.logprobs.content if choice.logprobs else None) or []
        if delta.content:
            entries, self._pending = self._pending + own, []
            if len(entries) != 1 or entries[0].token != delta.content:
                found = _span_of_content(entries, delta)
                if found is not None:
                    start, end = found
                    choice.logprobs, self._pending = Logprobs(entries[start:end]), entries[end:]
        elif delta.reasoning or delta.reasoning_content or delta.tool_calls or delta.refusal:
            self._pending = []
        else:
            self._pending = self._pending + own
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []

    def passes_as(self, field: Field) -> Field | None:
        return None if self._pending else field


def _span_of_content(entries: list[ChatLogprob], delta: Delta) -> tuple[int, int] | None:
    """The first entry of the content and the one behind its last; None if the tokens do not read like it."""
    text = "".join(entry.token for entry in entries)
    thought = delta.reasoning or delta.reasoning_content or ""
    thought_start = text.find(thought)
    start = text.find(delta.content or "", thought_start + len(thought) if thought_start >= 0 else 0)
    if start < 0:
        return None
    end = start + len(delta.content or "")
    position, first, last = 0, None, 0
    for index, entry in enumerate(entries):
        after = position + len(entry.token)
        # A token without text is the beginning of the character that follows.
        if position < end and (after > start or (after == start and not entry.token)):
            first, last = index if first is None else first, index + 1
        position = after
    return first or 0, last
