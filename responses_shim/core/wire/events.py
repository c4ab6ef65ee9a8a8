"""The events of a streamed response, and the order they may come in.

They are those of OpenAI's API reference ("Streaming events"). A field that the reference has and the SDK lacks, or the
other way round, is sent (`name` in `function_call_arguments.done`). Every event has `type` and `sequence_number`; an
SSE frame carries it as `event: <type>` and `data: <json>`.

What their fields mean is the same in all of them:

- `sequence_number`: counts the events of a response from 0
- `output_index`: the position of the item in `output`, from 0
- `content_index`, `summary_index`: the position of the part in the item's `content` or `summary`, from 0
- `item_id`: the `id` of the item, which never changes
- `delta`: a piece of a text. All of them joined are the value in the `done` event that follows them.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from responses_shim.core.wire.responses import ContentPart, OutputItem, Response, SummaryText


class Event(Struct, tag_field="type"):
    """What every event has; its `type` is the tag of its class."""

    sequence_number: int

    @property
    def wire_type(self) -> str:
        """The `type` of the event."""
        return str(self.__struct_config__.tag)


class Created(Event, tag="response.created"):
    """The first event: the response as it begins, with an empty `output`."""

    response: Response


class Queued(Event, tag="response.queued"):
    """The response waits for its run to begin. Only a response that runs in the background has it."""

    response: Response


class InProgress(Event, tag="response.in_progress"):
    """The second event, with the response of the first. It may come again as a ping, with the items done so far.

    No client is known that fails at the repetition, and Codex, whose idle timer counts events and no comments, waits
    on.
    """

    response: Response


class Completed(Event, tag="response.completed"):
    """The last event of a response that is complete."""

    response: Response


class Incomplete(Event, tag="response.incomplete"):
    """The last event of a response that was cut: `response.incomplete_details` says by what."""

    response: Response


class Failed(Event, tag="response.failed"):
    """The last event of a response that failed, right after `error`: `response.error` says why."""

    response: Response


class Ping(Event, tag="response.ping"):
    """Keeps a stream alive, as vLLM's fork does it (`ping: event`).

    It is no event of OpenAI's API. Many clients skip types that they do not know; openai-node's `responses.stream()`
    and the Java SDK fail at them.
    """


class ErrorDetails(Struct):
    """The `error` of an `error` event: what the body of an HTTP error would have had, and its status.

    - `type`, `code`, `param`: those of the host's error, where the host has failed or refused. `code` is never null:
      without one of its own it is that of `response.error`. An error without a code is taken by some clients for one
      that passes, and is tried again.
    - `status`: the HTTP status, had the stream not begun. The status is no key of OpenAI's. It is in here because at an
      `error` event the OpenAI SDKs raise an APIError with this object, and nothing else of the event.
    """

    type: str
    code: str
    message: str
    param: str | None
    status: int


class Error(Event, tag="error"):
    """Why a response fails: `response.failed` comes next.

    In two forms at once. `code`, `message` and `param` are what OpenAI's reference has; `error` is what its service
    sends, and what Open Responses requires. Clients that look for one form only (crewai, Haystack, LlamaIndex and
    others) take a response that has failed for a complete one if they find the other, in silence.

    It is the only event with a top-level `error`: there the OpenAI SDKs raise, and do not read on to `response.failed`.
    """

    code: str
    message: str
    param: str | None
    error: ErrorDetails


class OutputItemAdded(Event, tag="response.output_item.added"):
    """An item has begun: it is `in_progress`, and its content, arguments or commands are still empty."""

    output_index: int
    item: OutputItem


class OutputItemDone(Event, tag="response.output_item.done"):
    """An item is finished, and is in `item` as it will be in `output`."""

    output_index: int
    item: OutputItem


class ContentPartAdded(Event, tag="response.content_part.added"):
    """A part of a message or of reasoning has begun: its text is still empty."""

    item_id: str
    output_index: int
    content_index: int
    part: ContentPart


class ContentPartDone(Event, tag="response.content_part.done"):
    """A part is finished, with all its text."""

    item_id: str
    output_index: int
    content_index: int
    part: ContentPart


class DeltaExtras(Event, kw_only=True, gc=False):
    """What a delta carries besides its text, if the client asked for it.

    - `obfuscation`: random text that hides the length of the delta from whoever watches the encrypted connection
      (`stream_options.include_obfuscation`)
    - `generation_token_ids`, `generation_log_probs`: the tokens of the chat chunk that the delta was made of, and of
      chunks before it that became no delta (`return_token_ids`; no part of OpenAI's API)
    """

    obfuscation: str | UnsetType = UNSET
    generation_token_ids: list[int] | UnsetType = UNSET
    generation_log_probs: list[float] | UnsetType = UNSET


class DeltaEvent(DeltaExtras, gc=False):
    """A piece of a text that grows: the events that come once per token."""

    item_id: str
    output_index: int
    delta: str


class OutputTextDelta(DeltaEvent, tag="response.output_text.delta", gc=False):
    """More text of a message. `logprobs` is a JSON array with an entry for each token, empty unless asked for."""

    content_index: int
    logprobs: Raw


class OutputTextAnnotationAdded(Event, tag="response.output_text.annotation.added"):
    """A citation in the text so far. `annotation_index` is its position in the part's `annotations`."""

    item_id: str
    output_index: int
    content_index: int
    annotation_index: int
    annotation: dict[str, Any]


class OutputTextDone(Event, tag="response.output_text.done"):
    """All the text of a part of a message, with all its log-probabilities."""

    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: Raw


class RefusalDelta(DeltaEvent, tag="response.refusal.delta", gc=False):
    """More text of a refusal."""

    content_index: int


class RefusalDone(Event, tag="response.refusal.done"):
    """All the text of a refusal."""

    item_id: str
    output_index: int
    content_index: int
    refusal: str


class ReasoningTextDelta(DeltaEvent, tag="response.reasoning_text.delta", gc=False):
    """More of the reasoning itself."""

    content_index: int


class ReasoningTextDone(Event, tag="response.reasoning_text.done"):
    """All of the reasoning."""

    item_id: str
    output_index: int
    content_index: int
    text: str


class ReasoningSummaryPartAdded(Event, tag="response.reasoning_summary_part.added"):
    """A summary of reasoning has begun: its text is still empty."""

    item_id: str
    output_index: int
    summary_index: int
    part: SummaryText


class ReasoningSummaryPartDone(Event, tag="response.reasoning_summary_part.done"):
    """A summary of reasoning is finished, with all its text."""

    item_id: str
    output_index: int
    summary_index: int
    part: SummaryText


class ReasoningSummaryTextDelta(DeltaEvent, tag="response.reasoning_summary_text.delta", gc=False):
    """More text of a summary of reasoning."""

    summary_index: int


class ReasoningSummaryTextDone(Event, tag="response.reasoning_summary_text.done"):
    """All the text of a summary of reasoning."""

    item_id: str
    output_index: int
    summary_index: int
    text: str


class FunctionCallArgumentsDelta(DeltaEvent, tag="response.function_call_arguments.delta", gc=False):
    """More of the arguments of a function call, which are the text of a JSON object."""


class FunctionCallArgumentsDone(Event, tag="response.function_call_arguments.done"):
    """All the arguments of a function call, and the name of the function."""

    item_id: str
    output_index: int
    arguments: str
    name: str


class CustomToolCallInputDelta(DeltaEvent, tag="response.custom_tool_call_input.delta", gc=False):
    """More of the input of a custom tool: free text."""


class CustomToolCallInputDone(Event, tag="response.custom_tool_call_input.done"):
    """All the input of a custom tool."""

    item_id: str
    output_index: int
    input: str


class ShellCallCommandAdded(Event, tag="response.shell_call_command.added"):
    """A command of a shell call has begun: `command` is empty. `command_index` counts those of the call from 0.

    The events of a shell command have no `item_id`: OpenAI's have none.
    """

    output_index: int
    command_index: int
    command: str


class ShellCallCommandDelta(DeltaExtras, tag="response.shell_call_command.delta", gc=False):
    """More of a command."""

    output_index: int
    command_index: int
    delta: str


class ShellCallCommandDone(Event, tag="response.shell_call_command.done"):
    """All of a command."""

    output_index: int
    command_index: int
    command: str


ALL: tuple[type[Event], ...] = (
    Created,
    Queued,
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
"""Every event."""
TERMINAL = (Completed, Incomplete, Failed)
"""The events that end a stream (checked by the tests)."""
DELTAS = (DeltaEvent, ShellCallCommandDelta)
"""The classes of all deltas."""

# The order of events (checked by the tests).
# Items do not overlap. Around all of them: created, queued (in the background), in_progress, …, then `error` (only
# before failed), one terminal event; ping and a repeated in_progress may come anywhere between created and that.
ALLOWED_AFTER: dict[type[Event], tuple[type[Event], ...]] = {
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
        ReasoningSummaryPartAdded,
    ),
    OutputTextDelta: (OutputTextDelta, OutputTextAnnotationAdded, OutputTextDone),
    OutputTextAnnotationAdded: (OutputTextDelta, OutputTextAnnotationAdded, OutputTextDone),
    OutputTextDone: (ContentPartDone,),
    RefusalDelta: (RefusalDelta, RefusalDone),
    RefusalDone: (ContentPartDone,),
    # Reasoning and its summary may grow side by side: text, summary, text, summary, …, the text's end, the summary's.
    ReasoningTextDelta: (ReasoningTextDelta, ReasoningTextDone, ReasoningSummaryTextDelta),
    ReasoningTextDone: (ContentPartDone,),
    ContentPartDone: (ContentPartAdded, OutputItemDone, ReasoningSummaryTextDone),
    ReasoningSummaryPartAdded: (ReasoningSummaryTextDelta, ReasoningSummaryTextDone, ReasoningTextDelta),
    ReasoningSummaryTextDelta: (
        *(ReasoningSummaryTextDelta, ReasoningSummaryTextDone),
        *(ReasoningTextDelta, ReasoningTextDone),
    ),
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
"""For each event of an item, the events of the same item (with its `output_index`) that may directly follow it."""
