"""The stream events, and the order they may come in.

Every event has `type` and `sequence_number`; an SSE frame carries it as `event: <type>` and `data: <json>`. Fields
that the OpenAI document and the SDK disagree on are sent (`name` in `function_call_arguments.done`).
"""

from __future__ import annotations

from msgspec import Struct

from responses_shim.core.types import ContentPart, Logprob, OutputItem, Response


class Event(Struct, tag_field="type"):
    """What every event has besides its `type`, which is the name of its class on the wire."""

    sequence_number: int

    @property
    def wire_type(self) -> str:
        return str(self.__struct_config__.tag)


class Created(Event, tag="response.created"):
    response: Response


class InProgress(Event, tag="response.in_progress"):
    response: Response


class Completed(Event, tag="response.completed"):
    response: Response


class Incomplete(Event, tag="response.incomplete"):
    response: Response


class Failed(Event, tag="response.failed"):
    response: Response


class Ping(Event, tag="response.ping"):
    """Not of the API. Keeps clients alive whose idle timer counts events only (Codex; comments do not reset it)."""


class Error(Event, tag="error"):
    """Flat, as OpenAI's: with a top-level `error` key the OpenAI SDK would raise and never see `response.failed`."""

    code: str | None
    message: str
    param: str | None


class OutputItemAdded(Event, tag="response.output_item.added"):
    output_index: int
    item: OutputItem


class OutputItemDone(Event, tag="response.output_item.done"):
    output_index: int
    item: OutputItem


class ContentPartAdded(Event, tag="response.content_part.added"):
    item_id: str
    output_index: int
    content_index: int
    part: ContentPart


class ContentPartDone(Event, tag="response.content_part.done"):
    item_id: str
    output_index: int
    content_index: int
    part: ContentPart


class DeltaEvent(Event, gc=False):
    """A piece of a value that grows: the events that come once per token."""

    item_id: str
    output_index: int
    delta: str


class OutputTextDelta(DeltaEvent, tag="response.output_text.delta", gc=False):
    content_index: int
    logprobs: list[Logprob]


class OutputTextDone(Event, tag="response.output_text.done"):
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[Logprob]


class RefusalDelta(DeltaEvent, tag="response.refusal.delta", gc=False):
    content_index: int


class RefusalDone(Event, tag="response.refusal.done"):
    item_id: str
    output_index: int
    content_index: int
    refusal: str


class ReasoningTextDelta(DeltaEvent, tag="response.reasoning_text.delta", gc=False):
    content_index: int


class ReasoningTextDone(Event, tag="response.reasoning_text.done"):
    item_id: str
    output_index: int
    content_index: int
    text: str


class FunctionCallArgumentsDelta(DeltaEvent, tag="response.function_call_arguments.delta", gc=False):
    pass


class FunctionCallArgumentsDone(Event, tag="response.function_call_arguments.done"):
    item_id: str
    output_index: int
    arguments: str
    name: str


TERMINAL = (Completed, Incomplete, Failed)

# What may directly follow what among the events of one item (those with its output_index). Items may overlap: calls
# stay open side by side. Around all items: created, in_progress, …, then `error` (only before failed), one terminal;
# ping and a repeated in_progress may stand anywhere between created and the terminal event.
WITHIN_ITEM: dict[type[Event], tuple[type[Event], ...]] = {
    OutputItemAdded: (
        ContentPartAdded,
        FunctionCallArgumentsDelta,
        FunctionCallArgumentsDone,
        OutputItemDone,
    ),
    ContentPartAdded: (
        OutputTextDelta,
        OutputTextDone,
        RefusalDelta,
        RefusalDone,
        ReasoningTextDelta,
        ReasoningTextDone,
    ),
    OutputTextDelta: (OutputTextDelta, OutputTextDone),
    OutputTextDone: (ContentPartDone,),
    RefusalDelta: (RefusalDelta, RefusalDone),
    RefusalDone: (ContentPartDone,),
    ReasoningTextDelta: (ReasoningTextDelta, ReasoningTextDone),
    ReasoningTextDone: (ContentPartDone,),
    ContentPartDone: (ContentPartAdded, OutputItemDone),
    FunctionCallArgumentsDelta: (FunctionCallArgumentsDelta, FunctionCallArgumentsDone),
    FunctionCallArgumentsDone: (OutputItemDone,),
    OutputItemDone: (),
}
