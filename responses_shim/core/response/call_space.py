"""White space between a text and the call behind it, which the markup of the call has, and not the text.

A model that writes `Let me look.\\n<tool_call>…` has the line end from the chat template, which puts one before each
call. A parser that looks for the tag alone leaves it in the text. Were it kept, the template would write it twice in
the next turn, and the engine would have to read everything from there on again: it no longer finds its prefix in its
cache. For example, with a line end as the white space of the template,

    "Let me look." · "\\n" · a call       becomes     "Let me look." · a call
    "Let me look." · "\\n" · "Then"       becomes     "Let me look." · "\\nThen"
"""

from __future__ import annotations

from collections.abc import Sequence

from responses_shim.core.response.filters import Field
from responses_shim.core.wire.chat import ChatLogprob, Choice, Chunk, Delta, Logprobs


class CallSpaceFilter:
    """The filter that drops what a chat template writes between a text and a call: `space`, of line ends.

    Text that ends with line ends is held back as far as they go, until it is known what follows. `around`: those
    between two calls and behind the last one are dropped too, as many as there are.
    """

    done = False

    def __init__(self, space: str, *, around: bool = False) -> None:
        self._space = space
        self._around = around
        self._behind_call = False
        self._held: list[str] = []  # line ends; joined only when something follows, for there may be very many
        self._logprobs: list[ChatLogprob] = []  # of their tokens

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        choice = next((choice for choice in chunk.choices or () if not choice.index), None)
        delta = (choice.delta or choice.message) if choice is not None else None
        if choice is None or delta is None:
            return [*self.close(), chunk] if chunk.error is not None else [chunk]
        before = self.close() if delta.reasoning or delta.reasoning_content else []
        if delta.content:
            self._hold_line_ends(choice, delta)
        if self._held and (delta.tool_calls or delta.refusal):
            held = "".join(self._held)
            if delta.tool_calls:
                held = "" if self._around and self._behind_call else held.removesuffix(self._space)
            delta.content = (delta.content or "") + held
            if self._logprobs:
                own = (choice.logprobs.content if choice.logprobs else None) or []
                choice.logprobs = Logprobs([*own, *self._logprobs])
            self._held, self._logprobs = [], []
        if delta.tool_calls:
            self._behind_call = True
        elif delta.content:
            self._behind_call = False
        return [*before, chunk]

    def _hold_line_ends(self, choice: Choice, delta: Delta) -> None:
        """Hold back the line ends at the end of a text, and put those that were held back before it."""
        text = delta.content or ""
        entries = (choice.logprobs.content if choice.logprobs else None) or []
        kept = text.rstrip("\n")
        if not kept:
            self._held.append(text)
            self._logprobs += entries
            delta.content = choice.logprobs = None
            return
        if self._held or len(kept) < len(text):
            delta.content = "".join([*self._held, kept])
            position = count = 0
            while count < len(entries) and position < len(kept):
                position += len(entries[count].token)
                count += 1
            own = [*self._logprobs, *entries[:count]]
            choice.logprobs = Logprobs(own) if own else None
            self._held, self._logprobs = [text[len(kept) :]] if len(kept) < len(text) else [], entries[count:]

    def close(self) -> list[Chunk]:
        if self._around and self._behind_call:
            self._held, self._logprobs = [], []
        if not self._held:
            return []
        logprobs = Logprobs(self._logprobs) if self._logprobs else None
        held = Chunk(choices=[Choice(delta=Delta(content="".join(self._held)), logprobs=logprobs)])
        self._held, self._logprobs = [], []
        return [held]

    def passes_as(self, field: Field) -> Field | None:
        return None if self._held else field
