"""Text inside content that is not content: `<think>` spans, split off before the state machine sees them.

A host without a reasoning parser sends what a reasoning model writes as it stands: `<think>…</think>` and then the
answer. `ThinkSplitter` makes of it what a host with a parser would have sent: chunks whose `reasoning` is the span
and whose `content` the rest. It works on the fly: of the text only what may be the beginning of a tag is held back.

Where a tag counts is the operator's to say (the setting `think_tags`):

- `leading`: at the beginning of the answer, any number of spans with nothing but white space between. The first word
  or call of the answer ends it, so an answer that talks about `<think>` keeps its text, and none costs more from there
  on than any other.
- `anywhere`: in the middle too, for models that think between sentences.
- `prefilled`: as `leading`, with the first tag already in the prompt: the answer begins inside a span.

A host that shows reasoning of its own has a parser, and is left alone from there on. White space before a span, and
between a span and a call or the end, belongs to the markup and is not kept; white space before the answer is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from responses_shim.core.wire.chat import ChatLogprob, Choice, Chunk, Delta, Logprobs

OPEN, CLOSE = "<think>", "</think>"


Where = Literal["leading", "anywhere", "prefilled"]


class Piece(NamedTuple):
    """A stretch of what was split: a thought or a part of the answer, and where it lies."""

    thought: bool
    text: str
    start: int


class ThinkText:
    """The text of one answer in, its pieces out. `kept` is what is held back, from which the next `feed` counts."""

    def __init__(self, where: Where) -> None:
        self.done = False
        self.kept = ""
        self._anywhere = where == "anywhere"
        self._thinking = where == "prefilled"
        self._blank = True  # the span has said nothing yet
        self._leading = True  # the answer has said nothing yet
        self._spanned = where == "prefilled"  # there has been a span

    def feed(self, text: str) -> list[Piece]:
        text = self.kept + text
        pieces: list[Piece] = []
        place = 0
        while True:
            piece, next_place = self._thought(text, place) if self._thinking else self._answer(text, place)
            if piece is not None and piece.text:
                pieces.append(piece)
            if next_place is None:
                self.kept = text[piece.start + len(piece.text) :] if piece is not None else text[place:]
                return pieces
            place = next_place

    def close(self) -> list[Piece]:
        """What was held back, before something that is no text. White space alone is nothing behind a span."""
        self.done = not self._anywhere
        kept, self.kept = self.kept, ""
        blank = (self._blank if self._thinking else self._leading and self._spanned) and not kept.strip()
        thinking, self._thinking, self._blank = self._thinking, False, True
        return [] if blank or not kept else [Piece(thinking, kept, 0)]

    def _thought(self, text: str, place: int) -> tuple[Piece | None, int | None]:
        """The span from `place` on, and where the text goes on behind it: None if it has not ended."""
        end = text.find(CLOSE, place)
        said = text[place : end if end >= 0 else len(text) - _overlap(text, CLOSE)]
        if self._blank and not said.strip():
            said = ""
            if end < 0:
                return None, None
        self._blank = end >= 0
        self._thinking = end < 0
        return Piece(True, said, place), end + len(CLOSE) if end >= 0 else None

    def _answer(self, text: str, place: int) -> tuple[Piece | None, int | None]:
        """The answer from `place` on, and where a span begins behind it: None if none does."""
        if self._leading:
            word = text[place:].lstrip()
            if OPEN.startswith(word[: len(OPEN)]):
                if len(word) < len(OPEN):
                    return None, None
                self._thinking = self._spanned = True
                return None, len(text) - len(word) + len(OPEN)
            self._leading = False
            self.done = not self._anywhere
        if not self._anywhere:
            return Piece(False, text[place:], place), None
        begin = text.find(OPEN, place)
        said = text[place : begin if begin >= 0 else len(text) - _overlap(text, OPEN)]
        self._thinking = begin >= 0
        return Piece(False, said, place), begin + len(OPEN) if begin >= 0 else None


def _overlap(text: str, tag: str) -> int:
    """How much of the end of `text` may be the beginning of `tag`."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)


class ThinkSplitter:
    """A `Mend` that splits the spans off the content of one chat call."""

    def __init__(self, where: Where) -> None:
        self.done = False
        self._text = ThinkText(where)
        self._logprobs: list[ChatLogprob] = []  # of what is kept

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        if chunk.error is not None:
            return [*self.close(), chunk]
        choice = next((choice for choice in chunk.choices or () if not choice.index), None)
        delta = (choice.delta or choice.message) if choice is not None else None
        if choice is None or delta is None or self.done:
            return [chunk]
        if delta.reasoning or delta.reasoning_content:
            held_back, self.done = self.close(), True
            return [*held_back, chunk]
        if not delta.content:
            return [*self.close(), chunk] if delta.tool_calls or delta.refusal else [chunk]
        length = len(self._text.kept) + len(delta.content)
        pieces = self._text.feed(delta.content)
        if pieces == [Piece(False, delta.content, 0)]:  # as it came, and so it is with most chunks
            self.done = self._text.done
            return [chunk]
        logprobs = self._logprobs + ((choice.logprobs.content if choice.logprobs else None) or [])
        chunks = [_chunk(piece, logprobs, length) for piece in pieces]
        self._logprobs = _within(logprobs, length - len(self._text.kept)) if self._text.kept else []
        if delta.tool_calls or delta.refusal:
            chunks += self.close()
        self.done = self._text.done
        # Everything else that the chunk says (calls, the finish, usage, token ids) follows its text.
        delta.content = choice.logprobs = None
        return [*chunks, chunk]

    def close(self) -> Sequence[Chunk]:
        chunks = [_chunk(piece, self._logprobs, len(piece.text)) for piece in self._text.close()]
        self._logprobs = []
        self.done = self._text.done
        return chunks


def _chunk(piece: Piece, logprobs: list[ChatLogprob], length: int) -> Chunk:
    """`length` is that of the text that `piece` was cut from."""
    if piece.thought:
        return Chunk(choices=[Choice(delta=Delta(reasoning=piece.text))])
    end = piece.start + len(piece.text)
    entries = _within(logprobs, piece.start, end if end < length else None)
    return Chunk(choices=[Choice(delta=Delta(content=piece.text), logprobs=Logprobs(entries) if entries else None)])


def _within(logprobs: list[ChatLogprob], start: int, end: int | None = None) -> list[ChatLogprob]:
    """The entries of the tokens that begin between two places of the text that they make."""
    place = 0
    found = []
    for entry in logprobs:
        if start <= place and (end is None or place < end):
            found.append(entry)
        place += len(entry.token)
    return found
