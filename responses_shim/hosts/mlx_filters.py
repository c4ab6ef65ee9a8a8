"""Filters for what the servers of MLX models get wrong in their streams. See `mlx` for which needs which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from responses_shim.core.response.filters import Field
from responses_shim.core.wire.chat import Choice, Chunk, Delta, has_any_answer
from responses_shim.core.wire.chat_errors import error_from
from responses_shim.errors import ShimError


class LimitFilter:
    """The filter that gives an answer which the token limit has cut the finish_reason `length`.

    - `limit`: the most tokens that were asked for
    - `reasons`: the finish_reasons that the host gives a cut answer

    The usage must be in the chunk that has the finish_reason. An answer that ends by itself with its last token counts
    as cut, for nothing tells the two apart.
    """

    done = False

    def __init__(self, limit: int, reasons: frozenset[str]) -> None:
        self._limit = limit
        self._reasons = reasons

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        tokens = chunk.usage.get("completion_tokens") if isinstance(chunk.usage, dict) else None
        if isinstance(tokens, int) and tokens >= self._limit:
            for choice in chunk.choices or ():
                if choice.finish_reason in self._reasons:
                    choice.finish_reason = "length"
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []

    def passes_as(self, field: Field) -> Field | None:
        return field


class BusyFilter:
    """The filter that makes an error before any of the answer a 503, with `message`.

    vllm-mlx sends its role and then `Internal server error`, with the code 500, where it is busy with another request.
    """

    def __init__(self, message: str) -> None:
        self.done = False
        self._message = message

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        if has_any_answer(chunk):
            self.done = True
        elif isinstance(chunk.error, dict) and chunk.error.get("type") == "InternalServerError":
            chunk.error = {"message": self._message, "type": "server_error", "code": 503}
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []

    def passes_as(self, field: Field) -> Field | None:
        return field if self.done else None


class CutCallFilter:
    """The filter that makes the error with which mlx-vlm ends a cut call the finish_reason `length`.

    Before the error `message` it sends all of the call's markup as text, beside or behind the call that it has begun:

        a call of get_weather · text `<tool_call>{"name": "get_wea` · the error      becomes     the call · `length`

    So, once there was a call, text is held back until the next chunk.
    """

    done = False

    def __init__(self, message: str) -> None:
        self._message = message
        self._calling = False
        self._held: str | None = None

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        if chunk.error == self._message:
            self._held = None
            return [Chunk(choices=[Choice(delta=Delta(), finish_reason="length")])]
        before = self.close()
        delta = _delta(chunk)
        if delta is not None:
            self._calling = self._calling or bool(delta.tool_calls)
            if self._calling and delta.content:
                self._held, delta.content = delta.content, None
        return [*before, chunk]

    def close(self) -> Sequence[Chunk]:
        held, self._held = self._held, None
        return [Chunk(choices=[Choice(delta=Delta(content=held))])] if held is not None else []

    def passes_as(self, field: Field) -> Field | None:
        return None if self._held is not None or (self._calling and field == "content") else field


class TruncationNoticeFilter:
    """The filter that removes the text which rapid-mlx puts behind an answer that its token limit has cut.

    It is `notice`, and the reasoning once more, in the chunk with the finish_reason:

        [truncated — reasoning incomplete; raise max_tokens]

        They greet me.
    """

    done = False

    def __init__(self, notice: str) -> None:
        self._notice = notice

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        delta = _delta(chunk)
        if delta is not None and delta.content and delta.content.startswith(self._notice):
            delta.content = None
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []

    def passes_as(self, field: Field) -> Field | None:
        return field  # the notice begins with one of MARKUP_CHARACTERS


class HiddenErrorFilter:
    """The filter that puts the error of a stream into the words of `public`, a function from an error to another."""

    done = False

    def __init__(self, public: Callable[[ShimError], ShimError]) -> None:
        self._public = public

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        if chunk.error is not None:
            error = self._public(error_from(chunk.error))
            shown: dict[str, Any] = {**error.body()["error"], "status": error.status}
            chunk.error = shown
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []

    def passes_as(self, field: Field) -> Field | None:
        return field


def _delta(chunk: Chunk) -> Delta | None:
    """The delta of the answer, or its message where it is not streamed; None if the chunk has neither."""
    choice = next((choice for choice in chunk.choices or () if not choice.index), None)
    return (choice.delta or choice.message) if choice is not None else None
