"""The response object: output items, content parts, usage.

Responses are written completely: every key that the OpenAI document or the Open Responses specification calls
required is there, with the null or the default they name.
"""

from __future__ import annotations

from typing import Any, Literal, Union

from msgspec import UNSET, Raw, Struct, UnsetType, field

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class TopLogprob(Struct, frozen=True):
    token: str
    logprob: float
    bytes: list[int]


class Logprob(Struct, frozen=True):
    """`bytes` is never null: OpenAI's type has no null there, so a host that leaves it out gets the token's own."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


NO_LOGPROBS = Raw(b"[]")


class OutputText(Struct, tag_field="type", tag="output_text"):
    """`logprobs` is a JSON array of `Logprob`, encoded: it is made once and stands in three events."""

    text: str
    annotations: list[dict[str, Any]] = field(default_factory=list)
    logprobs: Raw = NO_LOGPROBS


class Refusal(Struct, tag_field="type", tag="refusal"):
    refusal: str


class ReasoningText(Struct, tag_field="type", tag="reasoning_text"):
    text: str


class SummaryText(Struct, tag_field="type", tag="summary_text"):
    text: str


ContentPart = Union[OutputText, Refusal, ReasoningText]


class Item(Struct, tag_field="type", kw_only=True):
    """What every output item has.

    The last item of a chat call also carries the tokens of that call when the client asked for them
    (`return_token_ids`): those of the prompt, those that were generated, and the log-probability of each of these.
    """

    id: str
    status: ItemStatus
    prompt_token_ids: list[int] | UnsetType = UNSET
    generation_token_ids: list[int] | UnsetType = UNSET
    generation_log_probs: list[float] | UnsetType = UNSET
    routed_experts: Any = UNSET


class MessageItem(Item, tag="message", kw_only=True):
    role: Literal["assistant"] = "assistant"
    content: list[OutputText | Refusal]


class ReasoningItem(Item, tag="reasoning", kw_only=True):
    """`encrypted_content` is a string or absent: null fails the Open Responses schema."""

    summary: list[SummaryText] = field(default_factory=list)
    content: list[ReasoningText] = field(default_factory=list)
    encrypted_content: str | UnsetType = UNSET


class FunctionCallItem(Item, tag="function_call", kw_only=True):
    """`namespace` is there for a tool of a namespace only; Codex finds the tool by both."""

    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    arguments: str


class CustomToolCallItem(Item, tag="custom_tool_call", kw_only=True):
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    input: str


class ToolSearchCallItem(Item, tag="tool_search_call", kw_only=True):
    call_id: str
    execution: Literal["client"] = "client"
    arguments: dict[str, Any] = field(default_factory=dict)


class ExecAction(Struct, tag_field="type", tag="exec", kw_only=True, omit_defaults=True):
    """`env` is required by OpenAI's type, so it is there even when it is empty."""

    command: list[str]
    env: dict[str, str]
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellCallItem(Item, tag="local_shell_call", kw_only=True):
    call_id: str
    action: ExecAction


class ShellAction(Struct, kw_only=True):
    commands: list[str] = field(default_factory=list)
    timeout_ms: int | None = None
    max_output_length: int | None = None


class ShellCallItem(Item, tag="shell_call", kw_only=True):
    call_id: str
    action: ShellAction
    environment: dict[str, Any] | None = None


class CreateFile(Struct, tag_field="type", tag="create_file", kw_only=True):
    path: str
    diff: str


class UpdateFile(Struct, tag_field="type", tag="update_file", kw_only=True):
    path: str
    diff: str


class DeleteFile(Struct, tag_field="type", tag="delete_file", kw_only=True):
    path: str


PatchOperation = Union[CreateFile, UpdateFile, DeleteFile]


class ApplyPatchCallItem(Item, tag="apply_patch_call", kw_only=True):
    """OpenAI's type has no `incomplete` here. We say it all the same: half a patch must not pass for a whole one."""

    call_id: str
    operation: PatchOperation


CallItem = Union[
    FunctionCallItem,
    CustomToolCallItem,
    ToolSearchCallItem,
    LocalShellCallItem,
    ShellCallItem,
    ApplyPatchCallItem,
]

OutputItem = Union[MessageItem, ReasoningItem, CallItem]


ResponseStatus = Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"]


class InputTokensDetails(Struct):
    """OpenAI's type allows no null here, so a detail that the host does not tell is 0."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(Struct):
    reasoning_tokens: int = 0


class Usage(Struct, kw_only=True):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class IncompleteDetails(Struct):
    reason: Literal["max_output_tokens", "content_filter"]


class ResponseError(Struct):
    code: str
    message: str


class ReasoningEcho(Struct, omit_defaults=False):
    effort: str | None = None
    summary: str | None = None


class Response(Struct, kw_only=True):
    """The response object: OpenAI's keys, the 31 of Open Responses, and what the request asked for echoed.

    Times are Unix seconds. `temperature` to `top_logprobs` are never null (Open Responses), `usage` is null when the
    host told none: it is never guessed.
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: ResponseStatus = "in_progress"
    background: bool = False
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    model: str
    output: list[OutputItem] = field(default_factory=list)
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    conversation: dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, str] | UnsetType = UNSET
    reasoning: ReasoningEcho = field(default_factory=ReasoningEcho)
    safety_identifier: str | None = None
    service_tier: str = "default"
    store: bool = False
    temperature: float = 1.0
    text: dict[str, Any] = field(default_factory=lambda: {"format": {"type": "text"}})
    tool_choice: str | dict[str, Any] = "auto"
    tools: list[dict[str, Any]] = field(default_factory=list)
    top_logprobs: int = 0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    truncation: str = "disabled"
    usage: Usage | None = None
    user: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
