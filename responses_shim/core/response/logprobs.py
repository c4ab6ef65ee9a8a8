"""Log-probabilities of the text that a client sees, and of nothing else.

A chunk may hold more tokens than its text: when a reader is slow vLLM puts the end of a thought, the tag behind it and
the beginning of the answer into one chunk, with the entries of all of them. Or less: the tokens of half a character,
or of what a parser held back, come in a chunk that says nothing, and their text in a later one. So the entries are
looked for in what the tokens read, where the text stands in it. Where it does not stand there (tokens that are told as
ids, text that was changed), a chunk keeps its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from responses_shim.core.wire.chat import ChatLogprob, Chunk, Delta, Logprobs


class SpokenLogprobs:
    """A `Mend` that gives the content of one chat call the entries of its own tokens."""

    done = False

    def __init__(self) -> None:
        self._silent: list[ChatLogprob] = []  # of tokens whose text has not been said

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        choice = next((choice for choice in chunk.choices or () if not choice.index), None)
        delta = (choice.delta or choice.message) if choice is not None else None
        if choice is None or delta is None:
            return [chunk]
        own = (choice.logprobs.content if choice.logprobs else None) or []
        if delta.content:
            entries, self._silent = self._silent + own, []
            if len(entries) != 1 or entries[0].token != delta.content:
                found = _within(entries, delta)
                if found is not None:
                    start, end = found
                    choice.logprobs, self._silent = Logprobs(entries[start:end]), entries[end:]
        elif delta.reasoning or delta.reasoning_content or delta.tool_calls or delta.refusal:
            self._silent = []
        else:
            self._silent = self._silent + own
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []


def _within(entries: list[ChatLogprob], delta: Delta) -> tuple[int, int] | None:
    """The first entry of the content and the one behind its last; None if the tokens do not read so."""
    text = "".join(entry.token for entry in entries)
    thought = delta.reasoning or delta.reasoning_content or ""
    behind = text.find(thought)
    start = text.find(delta.content or "", behind + len(thought) if behind >= 0 else 0)
    if start < 0:
        return None
    end = start + len(delta.content or "")
    place, first, last = 0, None, 0
    for number, entry in enumerate(entries):
        after = place + len(entry.token)
        # A token without text is the beginning of the character that follows.
        if place < end and (after > start or (after == start and not entry.token)):
            first, last = number if first is None else first, number + 1
        place = after
    return first or 0, last
