"""The stream events, and the order they may come in.

Every event has `type` and `sequence_number`; an SSE frame carries it as `event: <type>` and `data: <json>`. Fields
that the OpenAI document and the SDK disagree on are sent (`name` in `function_call_arguments.done`).
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from responses_shim.core.wire.responses import ContentPart, OutputItem, Response, SummaryText


class Event(Struct, tag_field="type"):
    """What every event has besides its `type`, which is the name of its class on the wire."""

    sequence_number: int

    @property
    def wire_type(self) -> str:
        tag: str = self.__struct_config__.tag  # type: ignore[assignment]  # a string in every event
        return tag


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


class DeltaExtras(Event, kw_only=True, gc=False):
    """What a delta carries besides its text, where the client asked for that.

    `obfuscation` is random text that hides the length of the delta from an observer of an encrypted connection
    (`stream_options.include_obfuscation`). The token ids are those of the chat chunk that the delta was made of, and of
    chunks before it that made none.
    """

    obfuscation: str | UnsetType = UNSET
    generation_token_ids: list[int] | UnsetType = UNSET
    generation_log_probs: list[float] | UnsetType = UNSET


class DeltaEvent(DeltaExtras, gc=False):
    """A piece of a value that grows: the events that come once per token."""

    item_id: str
    output_index: int
    delta: str


class OutputTextDelta(DeltaEvent, tag="response.output_text.delta", gc=False):
    content_index: int
    logprobs: Raw


class OutputTextAnnotationAdded(Event, tag="response.output_text.annotation.added"):
    item_id: str
    output_index: int
    content_index: int
    annotation_index: int
    annotation: dict[str, Any]


class OutputTextDone(Event, tag="response.output_text.done"):
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: Raw


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


class ReasoningSummaryPartAdded(Event, tag="response.reasoning_summary_part.added"):
    item_id: str
    output_index: int
    summary_index: int
    part: SummaryText


class ReasoningSummaryPartDone(Event, tag="response.reasoning_summary_part.done"):
    item_id: str
    output_index: int
    summary_index: int
    part: SummaryText


class ReasoningSummaryTextDelta(DeltaEvent, tag="response.reasoning_summary_text.delta", gc=False):
    summary_index: int


class ReasoningSummaryTextDone(Event, tag="response.reasoning_summary_text.done"):
    item_id: str
    output_index: int
    summary_index: int
    text: str


class FunctionCallArgumentsDelta(DeltaEvent, tag="response.function_call_arguments.delta", gc=False):
    pass


class FunctionCallArgumentsDone(Event, tag="response.function_call_arguments.done"):
    item_id: str
    output_index: int
    arguments: str
    name: str


class CustomToolCallInputDelta(DeltaEvent, tag="response.custom_tool_call_input.delta", gc=False):
    pass


class CustomToolCallInputDone(Event, tag="response.custom_tool_call_input.done"):
    item_id: str
    output_index: int
    input: str


class ShellCallCommandAdded(Event, tag="response.shell_call_command.added"):
    """The events of a shell command have no `item_id`: OpenAI's have none."""

    output_index: int
    command_index: int
    command: str


class ShellCallCommandDelta(DeltaExtras, tag="response.shell_call_command.delta", gc=False):
    output_index: int
    command_index: int
    delta: str


class ShellCallCommandDone(Event, tag="response.shell_call_command.done"):
    output_index: int
    command_index: int
    command: str


ALL: tuple[type[Event], ...] = (
    Created,
    InProgress,
    Completed,
    Incomplete,
    Failed,
    Ping,
    Error,
    OutputItemAdded,
    OutputItemDone,
    ContentPartAdded,
    ContentPartDone,
    OutputTextDelta,
    OutputTextDone,
    OutputTextAnnotationAdded,
    RefusalDelta,
    RefusalDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    ReasoningSummaryTextDone,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    ShellCallCommandAdded,
    ShellCallCommandDelta,
    ShellCallCommandDone,
)
TERMINAL = (Completed, Incomplete, Failed)
DELTAS = (DeltaEvent, ShellCallCommandDelta)

# What may directly follow what among the events of one item (those with its output_index). Items may overlap: calls
# stay open side by side. Around all items: created, in_progress, …, then `error` (only before failed), one terminal;
# ping and a repeated in_progress may stand anywhere between created and the terminal event.
WITHIN_ITEM: dict[type[Event], tuple[type[Event], ...]] = {
    OutputItemAdded: (
        ContentPartAdded,
        ReasoningSummaryPartAdded,
        FunctionCallArgumentsDelta,
        FunctionCallArgumentsDone,
        CustomToolCallInputDelta,
        CustomToolCallInputDone,
        ShellCallCommandAdded,
        OutputItemDone,
    ),
    ContentPartAdded: (
        OutputTextDelta,
        OutputTextAnnotationAdded,
        OutputTextDone,
        RefusalDelta,
        RefusalDone,
        ReasoningTextDelta,
        ReasoningTextDone,
    ),
    OutputTextDelta: (OutputTextDelta, OutputTextAnnotationAdded, OutputTextDone),
    OutputTextAnnotationAdded: (OutputTextDelta, OutputTextAnnotationAdded, OutputTextDone),
    OutputTextDone: (ContentPartDone,),
    RefusalDelta: (RefusalDelta, RefusalDone),
    RefusalDone: (ContentPartDone,),
    ReasoningTextDelta: (ReasoningTextDelta, ReasoningTextDone),
    ReasoningTextDone: (ContentPartDone,),
    ContentPartDone: (ContentPartAdded, OutputItemDone),
    ReasoningSummaryPartAdded: (ReasoningSummaryTextDelta, ReasoningSummaryTextDone),
    ReasoningSummaryTextDelta: (ReasoningSummaryTextDelta, ReasoningSummaryTextDone),
    ReasoningSummaryTextDone: (ReasoningSummaryPartDone,),
    ReasoningSummaryPartDone: (OutputItemDone,),
    FunctionCallArgumentsDelta: (FunctionCallArgumentsDelta, FunctionCallArgumentsDone),
    FunctionCallArgumentsDone: (OutputItemDone,),
    CustomToolCallInputDelta: (CustomToolCallInputDelta, CustomToolCallInputDone),
    CustomToolCallInputDone: (OutputItemDone,),
    ShellCallCommandAdded: (ShellCallCommandDelta, ShellCallCommandDone),
    ShellCallCommandDelta: (ShellCallCommandDelta, ShellCallCommandDone),
    ShellCallCommandDone: (ShellCallCommandAdded, OutputItemDone),
    OutputItemDone: (),
}
