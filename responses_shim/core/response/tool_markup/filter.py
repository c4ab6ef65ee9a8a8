"""The filter that makes chat tool calls of the markup in one round's text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from responses_shim.core.response.filters import Field
from responses_shim.core.response.tool_markup.functions import Functions
from responses_shim.core.response.tool_markup.grammar import Block
from responses_shim.core.response.tool_markup.reader import MarkupReader
from responses_shim.core.response.tool_markup.source import Call, Piece, Text
from responses_shim.core.wire.chat import ChatLogprob, Choice, Chunk, Delta, FunctionDelta, Logprobs, ToolCallDelta
from responses_shim.core.wire.finish_reasons import end_of


def _say_nothing() -> None:
    pass


class ToolMarkupFilter:
    """Reads the calls in the content of one round. A host that sends calls of its own is left alone from there on.

    - `blocks`: the forms that calls may have
    - `functions`: those that may be called
    - `on_unclosed`: called if the answer ends within a call, before the last chunks are given out

    What was held back for a call when something else comes (an error, a call of the host's) is over with that.
    """

    def __init__(
        self, blocks: tuple[Block, ...], functions: Functions, on_unclosed: Callable[[], None] = _say_nothing
    ) -> None:
        self.done = False
        self._reader = MarkupReader(blocks, functions)
        self._thought: _ThoughtCalls | None = _ThoughtCalls(blocks, functions)
        self._on_unclosed = on_unclosed
        self._calls = 0
        self._finish_reason: str | None = None
        self._logprobs = _Entries()

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        if chunk.error is not None:
            return [*self._end(cut=True), chunk]
        choice = next((choice for choice in chunk.choices or () if not choice.index), None)
        if choice is None or self.done:
            return [chunk]
        self._finish_reason = choice.finish_reason or self._finish_reason
        delta = choice.delta or choice.message
        if delta is None:
            return [chunk]
        if delta.tool_calls:
            return [*self._end(cut=False), chunk]
        if self._thought is not None and (reasoning := delta.reasoning or delta.reasoning_content):
            self._thought.feed(reasoning)
        if not delta.content:
            return [chunk]
        if self._thought is not None and not delta.content.isspace():
            self._thought = None
        entries = choice.logprobs.content if choice.logprobs is not None else None
        if self._reader.passes(delta.content):  # as most chunks do
            return [chunk]
        if entries:
            self._logprobs.add(entries, self._reader.position)
        start = self._reader.position
        pieces = self._reader.feed(delta.content)
        if pieces == [Text(delta.content, start)]:
            self._logprobs.take(start, self._reader.position)
            return [chunk]
        chunks = [self._chunk(piece) for piece in pieces]
        if delta.reasoning or delta.reasoning_content:  # the end of the thinking, which comes before the text
            thought = Delta(reasoning=delta.reasoning, reasoning_content=delta.reasoning_content)
            chunks.insert(0, Chunk(choices=[Choice(delta=thought)]))
            delta.reasoning = delta.reasoning_content = None
        # Everything else in the chunk (the finish, usage, token ids) follows its text.
        delta.content = choice.logprobs = None
        return [*chunks, chunk]

    def close(self) -> Sequence[Chunk]:
        finish = self._finish_reason
        return self._end(cut=finish is None or end_of(finish) != "completed")

    def passes_as(self, field: Field) -> Field | None:
        if field == "reasoning" and self._thought is not None:
            return field if self._thought.idle else None
        return field if field != "content" or self.done or self._reader.idle else None

    def _end(self, *, cut: bool) -> list[Chunk]:
        """What was held back, for nothing that follows belongs to it."""
        if self.done:
            return []
        self.done = True
        pieces = self._reader.close(cut=cut)
        if self._thought is not None and not self._calls:
            pieces += self._thought.close()
        if self._reader.unclosed:
            self._on_unclosed()
        return [self._chunk(piece) for piece in pieces]

    def _chunk(self, piece: Piece) -> Chunk:
        if isinstance(piece, Text):
            entries = self._logprobs.take(piece.start, piece.start + len(piece.text))
            logprobs = Logprobs(entries) if entries else None
            return Chunk(choices=[Choice(delta=Delta(content=piece.text), logprobs=logprobs)])
        if isinstance(piece, Call):
            self._calls += 1
            call = ToolCallDelta(self._calls - 1, piece.id, FunctionDelta(piece.name))
        else:
            call = ToolCallDelta(self._calls - 1, None, FunctionDelta(arguments=piece.json))
        return Chunk(choices=[Choice(delta=Delta(tool_calls=[call]))])


class _ThoughtCalls:
    """Finds the calls with which the thinking of a model ends that calls a tool without ending to think first.

    Kimi K2 and Qwen 3.5 do that. The calls count if they are the last of the thinking, and nothing follows it; else the
    model has only thought of them.
    """

    def __init__(self, blocks: tuple[Block, ...], functions: Functions) -> None:
        self._reader = MarkupReader(tuple(block for block in blocks if not block.leading), functions)
        self._pieces: list[Piece] = []

    @property
    def idle(self) -> bool:
        """Whether reasoning without any of `MARKUP_CHARACTERS` changes nothing."""
        return self._reader.idle

    def feed(self, reasoning: str) -> None:
        """Take a piece of the reasoning."""
        self._add(self._reader.feed(reasoning))

    def close(self) -> list[Piece]:
        """The calls with which the reasoning ends; none if the last is not complete."""
        self._add(self._reader.close(cut=True))
        return [] if self._reader.unclosed else self._pieces

    def _add(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if not isinstance(piece, Text):
                self._pieces.append(piece)
            elif not piece.text.isspace():
                self._pieces.clear()


class _Entries:
    """The log-probabilities of text that has not passed yet, each with the position of its token in the answer."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, ChatLogprob]] = []

    def add(self, entries: Sequence[ChatLogprob], position: int) -> None:
        """Keep the entries of a chunk whose text begins at `position`."""
        for entry in entries:
            self._entries.append((position, entry))
            position += len(entry.token)

    def take(self, start: int, end: int) -> list[ChatLogprob]:
        """Those of the tokens that begin between two positions. What is before is dropped: it is markup's."""
        taken = [entry for position, entry in self._entries if start <= position < end]
        self._entries = [(position, entry) for position, entry in self._entries if position >= end]
        return taken
