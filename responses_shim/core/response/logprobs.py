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

from collections import deque
from collections.abc import Sequence

from responses_shim.core.response.filters import Field
from responses_shim.core.wire.chat import ChatLogprob, Chunk, Delta, Logprobs


class LogprobFilter:
    """The filter that gives the content of each chunk the entries of its own tokens."""

    done = False

    def __init__(self) -> None:
        self._pending = _PendingEntries()

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        choice = next((choice for choice in chunk.choices or () if not choice.index), None)
        delta = (choice.delta or choice.message) if choice is not None else None
        if choice is None or delta is None:
            return [chunk]
        own = (choice.logprobs.content if choice.logprobs else None) or []
        if delta.content:
            if self._pending or len(own) != 1 or own[0].token != delta.content:
                self._pending.add(own)
                entries = self._pending.take(delta)
                if entries is not None:
                    choice.logprobs = Logprobs(entries)
        elif delta.reasoning or delta.reasoning_content or delta.tool_calls or delta.refusal:
            self._pending.clear()
        else:
            self._pending.add(own)
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []

    def passes_as(self, field: Field) -> Field | None:
        return None if self._pending else field


class _PendingEntries:
    """The entries of tokens whose text has not come yet, in order, and what those tokens read.

    However many entries wait, each costs the same: the text of a chunk is looked for in what the first entries read,
    and only if it is not there, what the later ones read is joined to that. Then everything up to the match is taken,
    or nothing matches and everything is dropped.
    """

    def __init__(self) -> None:
        self.clear()

    def __bool__(self) -> bool:
        return bool(self._entries)

    def clear(self) -> None:
        """Drop all entries."""
        self._entries: deque[ChatLogprob] = deque()
        self._text = ""  # what the first entries read, from `_position` on
        self._position = 0
        self._later: list[str] = []  # the tokens of the other entries

    def add(self, entries: Sequence[ChatLogprob]) -> None:
        """Append entries."""
        self._entries += entries
        self._later += [entry.token for entry in entries]

    def take(self, delta: Delta) -> list[ChatLogprob] | None:
        """Remove and return the entries of the content of a delta; those before them are dropped.

        None if the tokens do not read like the content: then all entries are dropped.
        """
        if self._position > len(self._text) / 2:
            self._text, self._position = self._text[self._position :], 0
        content, thought = delta.content or "", delta.reasoning or delta.reasoning_content or ""
        thought_start = self._find(thought, self._position)
        start = self._find(content, thought_start + len(thought) if thought_start >= 0 else self._position)
        if start < 0:
            self.clear()
            return None
        end = start + len(content)
        entries: list[ChatLogprob] = []
        position = self._position
        while position < end:
            entry = self._entries.popleft()
            after = position + len(entry.token)
            # A token without text is the beginning of the character that follows.
            if after > start or (after == start and not entry.token):
                entries.append(entry)
            position = after
        self._position = position
        if thought_start < 0:
            self.clear()  # what is kept would be searched again for the next thought
        return entries

    def _find(self, text: str, start: int) -> int:
        """The position of `text` in what the entries read, from `start` on; -1 if it is not there."""
        found = self._text.find(text, start)
        if found < 0 and self._later:
            self._text, self._later = "".join([self._text, *self._later]), []
            found = self._text.find(text, start)
        return found
