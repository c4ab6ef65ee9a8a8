"""Reasoning in a host's text: `<think>` spans, split off before the state machine sees them.

A host without a reasoning parser sends what a reasoning model writes as it is: `<think>…</think>` and then the answer.
`ThinkTagFilter` makes of it what a host with a parser would have sent: chunks whose `reasoning` is the span and whose
`content` is the rest. For example

    "<th" · "ink>Hm." · "</think>" · "Hello"     becomes     reasoning "Hm." · content "Hello"

It works on the fly: only text that may be the beginning of a tag is held back.

Where a tag counts is the operator's choice (the setting `think_tags`):

- `leading`: at the beginning of the answer, any number of spans with nothing but white space between. The first word
  or call of the answer ends it, so an answer that talks about `<think>` keeps its text, and costs no more than one
  without tags.
- `anywhere`: in the middle too, for models that think between sentences.
- `prefilled`: as `leading`, with the first tag already in the prompt: the answer begins inside a span.

A host that sends reasoning of its own has a parser, and is left alone from there on. White space before a span, and
between a span and a call or the end, belongs to the markup and is dropped; white space before the answer is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from responses_shim.core.response.filters import Field
from responses_shim.core.wire.chat import ChatLogprob, Choice, Chunk, Delta, Logprobs

OPEN, CLOSE = "<think>", "</think>"
_NOT_BLANK = re.compile(r"\S")

Where = Literal["leading", "anywhere", "prefilled"]


class Piece(NamedTuple):
    """A stretch of text: whether it is reasoning, and where it begins in the text that was split."""

    reasoning: bool
    text: str
    start: int


class ThinkTagSplitter:
    """The text of one answer in, its pieces out.

    `held` is how many characters are held back: the next `feed` continues them, and counts positions from the first.
    """

    def __init__(self, where: Where) -> None:
        self.done = False
        """True once all further text is answer."""
        self.held = 0
        self._held: list[str] = []  # joined once something else than white space comes: there may be very much of that
        self._held_blank = True  # nothing but white space is held
        self._anywhere = where == "anywhere"
        self._in_span = where == "prefilled"
        self._blank_span = True  # nothing but white space in the span yet
        self._before_answer = True
        self._had_span = where == "prefilled"

    def feed(self, text: str) -> list[Piece]:
        """The pieces that `text` completes."""
        if self._undecided and self._held_blank and text.isspace():
            self._held.append(text)
            self.held += len(text)
            return []
        text = "".join([*self._held, text])
        pieces: list[Piece] = []
        position: int | None = 0
        while position is not None:
            piece, after = self._reasoning(text, position) if self._in_span else self._answer(text, position)
            if piece is not None and piece.text:
                pieces.append(piece)
            if after is None:
                self._hold(text[piece.start + len(piece.text) :] if piece is not None else text[position:])
            position = after
        return pieces

    def close(self) -> list[Piece]:
        """The pieces of the text that was held back, because something else follows it: a call, reasoning or the end.

        White space next to a span is markup, and dropped.
        """
        self.done = not self._anywhere
        held, held_blank = "".join(self._held), self._held_blank
        self._hold("")
        in_span, blank_span = self._in_span, self._blank_span
        self._in_span, self._blank_span = False, True
        markup = (blank_span if in_span else self._before_answer and self._had_span) and held_blank
        return [] if markup or not held else [Piece(in_span, held, 0)]

    @property
    def state(self) -> Literal["reasoning", "answer"] | None:
        """What the next text without a `<` will count as; None while that depends on what is held back."""
        if self.held or self._undecided:
            return None
        return "reasoning" if self._in_span else "answer"

    @property
    def _undecided(self) -> bool:
        """Whether white space would be held back, since it may be markup."""
        return self._blank_span if self._in_span else self._before_answer

    def _hold(self, text: str) -> None:
        """Hold back `text`, and nothing else."""
        self._held = [text] if text else []
        self.held = len(text)
        self._held_blank = not text.strip()

    def _reasoning(self, text: str, start: int) -> tuple[Piece | None, int | None]:
        """The span from `start` on, and where the text goes on behind it: None if the span has not ended."""
        end = text.find(CLOSE, start)
        reasoning = text[start : end if end >= 0 else len(text) - _overlap(text, CLOSE)]
        if self._blank_span and not reasoning.strip():
            reasoning = ""
            if end < 0:
                return None, None
        self._blank_span = end >= 0
        self._in_span = end < 0
        return Piece(True, reasoning, start), end + len(CLOSE) if end >= 0 else None

    def _answer(self, text: str, start: int) -> tuple[Piece | None, int | None]:
        """The answer from `start` on, and where a span begins behind it: None if none does."""
        if self._before_answer:
            found = _NOT_BLANK.search(text, start)
            word = found.start() if found is not None else len(text)
            after = word + len(OPEN)
            if OPEN.startswith(text[word:after]):
                if len(text) < after:
                    return None, None
                self._in_span = self._had_span = True
                return None, after
            self._before_answer = False
            self.done = not self._anywhere
        if not self._anywhere:
            return Piece(False, text[start:], start), None
        begin = text.find(OPEN, start)
        answer = text[start : begin if begin >= 0 else len(text) - _overlap(text, OPEN)]
        self._in_span = begin >= 0
        return Piece(False, answer, start), begin + len(OPEN) if begin >= 0 else None


def _overlap(text: str, tag: str) -> int:
    """How much of the end of `text` may be the beginning of `tag`."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)


class ThinkTagFilter:
    """The filter that splits `<think>` spans off the content of one round."""

    def __init__(self, where: Where) -> None:
        self.done = False
        self._splitter = ThinkTagSplitter(where)
        self._logprobs: list[ChatLogprob] = []  # of the text that is held back

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        if chunk.error is not None:
            return [*self.close(), chunk]
        choice = next((choice for choice in chunk.choices or () if not choice.index), None)
        delta = (choice.delta or choice.message) if choice is not None else None
        if choice is None or delta is None or self.done:
            return [chunk]
        if delta.reasoning or delta.reasoning_content:
            held, self.done = self.close(), True
            return [*held, chunk]
        if not delta.content:
            return [*self.close(), chunk] if delta.tool_calls or delta.refusal else [chunk]
        length = self._splitter.held + len(delta.content)
        pieces = self._splitter.feed(delta.content)
        if pieces == [Piece(False, delta.content, 0)]:  # unchanged, as most chunks are
            self.done = self._splitter.done
            return [chunk]
        self._logprobs += (choice.logprobs.content if choice.logprobs else None) or ()
        chunks = self._take(pieces, length)
        if delta.tool_calls or delta.refusal:
            chunks += self.close()
        self.done = self._splitter.done
        # Everything else in the chunk (calls, the finish, usage, token ids) follows its text.
        delta.content = choice.logprobs = None
        return [*chunks, chunk]

    def close(self) -> Sequence[Chunk]:
        length = self._splitter.held
        chunks = self._take(self._splitter.close(), length)
        self._logprobs = []
        self.done = self._splitter.done
        return chunks

    def passes_as(self, field: Field) -> Field | None:
        state = self._splitter.state
        if field == "content" and state == "reasoning":
            return "reasoning"
        return field if state == "answer" and field != "reasoning" else None

    def _take(self, pieces: list[Piece], length: int) -> list[Chunk]:
        """A chunk for each piece of a text of that length, with the entries of the tokens that begin in it.

        The entries of what is held back stay, the others are dropped.
        """
        if not pieces and self._splitter.held == length:
            return []
        chunks: list[Chunk] = []
        entries = _EntryReader(self._logprobs)
        for piece in pieces:
            if piece.reasoning:
                chunks.append(Chunk(choices=[Choice(delta=Delta(reasoning=piece.text))]))
                continue
            end = piece.start + len(piece.text)
            own = entries.between(piece.start, end if end < length else None)
            logprobs = Logprobs(own) if own else None
            chunks.append(Chunk(choices=[Choice(delta=Delta(content=piece.text), logprobs=logprobs)]))
        self._logprobs = entries.between(length - self._splitter.held, None) if self._splitter.held else []
        return chunks


class _EntryReader:
    """Reads the entries of a text in order, by the positions of their tokens."""

    def __init__(self, entries: list[ChatLogprob]) -> None:
        self._entries = entries
        self._next = 0
        self._position = 0  # of the next entry's token

    def between(self, start: int, end: int | None) -> list[ChatLogprob]:
        """The entries of tokens that begin between two positions, those of the call before left behind."""
        while self._next < len(self._entries) and self._position < start:
            self._skip()
        first = self._next
        while self._next < len(self._entries) and (end is None or self._position < end):
            self._skip()
        return self._entries[first : self._next]

    def _skip(self) -> None:
        self._position += len(self._entries[self._next].token)
        self._next += 1
