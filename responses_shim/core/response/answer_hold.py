"""Holds back the text of an answer until it has been checked against the format that the client asked for.

The model may call tools or answer, and only the answer has a format. Which of the two it does is not known before it
calls something, so its text is held back until then:

    "Let me see."  then a call        the text was no answer: it goes out as it came, then the call
    '{"city": "Par' '"is"}'  then the end     the text is the answer: it is checked, and then sent or dropped

An `AnswerHold` is the last filter of a round, so that a message that is held back has no id and no index yet. What is
left in it at the end of the round the translator asks for, since somebody has to decide what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from responses_shim.core.response.filters import Field
from responses_shim.core.wire.chat import Choice, Chunk, Delta, Logprobs

MAX_HELD = 32 * 1024 * 1024
"""How much may be held back: bytes, roughly. It is some 300,000 tokens, or 100,000 with log-probabilities."""

_TOO_LONG = "The answer is too long to be checked against text.format."
_DELTA_BYTES = 100  # what a delta takes besides its characters
_LOGPROB_BYTES = 200  # what an entry of log-probabilities takes


class AnswerHold:
    """Holds back the text of one round, and whatever follows it, until `pass_on`, `send` or `drop` is called.

    Reasoning before the text passes. A call and a refusal show that the text is no answer: they release it. `done` is
    True once nothing is held back any more. An answer of more than `MAX_HELD` fails the response.

    `on_call` is called when the first call has come, before anything of the round is released. With `hides_errors` an
    error that the host sends in its stream does not pass: another answer is at hand.
    """

    def __init__(self, on_call: Callable[[], None], *, hides_errors: bool = False) -> None:
        self.done = False
        self._on_call = on_call
        self._hides_errors = hides_errors
        self._held: list[Choice] = []
        self._has_text = False  # more than white space is held
        self._size = 0

    @property
    def text(self) -> str:
        """The text that is held back."""
        return "".join([content for choice in self._held if choice.delta and (content := choice.delta.content)])

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        """The chunks that `chunk` becomes, which is changed in place: what passes now."""
        if self.done:
            return (chunk,)
        if chunk.error is not None:
            return () if self._hides_errors else (self.pass_on(), chunk)
        for choice in chunk.choices or ():
            delta = choice.delta or choice.message
            if choice.index or delta is None:
                continue
            if _names_a_call(delta):
                self._on_call()
                return (self.pass_on(), chunk)
            if delta.refusal:
                return (self.pass_on(), chunk)
            if delta.content or delta.annotations or (self._has_text and (delta.reasoning or delta.reasoning_content)):
                self._hold(choice, delta)
        return (chunk,) if self._size <= MAX_HELD else (Chunk(error={"message": _TOO_LONG}),)

    def close(self) -> Sequence[Chunk]:
        """Nothing: what is still held back waits for `send` or `drop`."""
        return ()

    def passes_as(self, field: Field) -> Field | None:
        return None if field == "content" or (field == "reasoning" and self._has_text) else field

    def _hold(self, choice: Choice, delta: Delta) -> None:
        """Move text, and reasoning behind text, from the choice to what is held back."""
        held = Delta(content=delta.content, annotations=delta.annotations)
        if self._has_text:
            held.reasoning, held.reasoning_content = delta.reasoning, delta.reasoning_content
            delta.reasoning = delta.reasoning_content = None
        self._held.append(Choice(delta=held, logprobs=choice.logprobs))
        content = delta.content or ""
        self._has_text = self._has_text or bool(content.strip())
        self._size += _DELTA_BYTES + len(content) + len(held.reasoning or held.reasoning_content or "")
        for entry in (choice.logprobs.content if choice.logprobs is not None else None) or ():
            self._size += _LOGPROB_BYTES * (1 + len(entry.top_logprobs or ()))
        delta.content = delta.annotations = choice.logprobs = None

    def pass_on(self) -> Chunk:
        """Everything that was held back, as it came: it is not to be an answer in the format."""
        return self._release(self._held)

    def send(self, text: str) -> Chunk:
        """What was held back as one message with this text, behind all of the reasoning.

        Log-probabilities and annotations are those of the text that came, so they go out only with that.
        """
        content = Delta(content=text)
        logprobs = None
        if text == self.text:
            deltas = [choice.delta for choice in self._held if choice.delta is not None]
            content.annotations = [annotation for delta in deltas for annotation in delta.annotations or ()]
            entries = [
                entry for choice in self._held if choice.logprobs is not None for entry in choice.logprobs.content or ()
            ]
            logprobs = Logprobs(entries) if entries else None
        return self._release([*self._reasoning(), Choice(delta=content, logprobs=logprobs)])

    def drop(self) -> Chunk:
        """The reasoning that was held back. The text is dropped."""
        return self._release(self._reasoning())

    def _reasoning(self) -> list[Choice]:
        return [
            Choice(delta=Delta(reasoning=delta.reasoning, reasoning_content=delta.reasoning_content))
            for choice in self._held
            if (delta := choice.delta) is not None and (delta.reasoning or delta.reasoning_content)
        ]

    def _release(self, choices: list[Choice]) -> Chunk:
        self.done, self._held = True, []
        return Chunk(choices=choices)


def _names_a_call(delta: Delta) -> bool:
    """Whether there is a call in a delta: one without a name is none, and opens no item."""
    return any(call.function is not None and call.function.name for call in delta.tool_calls or ())
