"""The nouns of the Responses API: the request, output items, content parts, usage, and the response itself.

Requests are read tolerantly (unknown keys are skipped, null means default), responses are written completely: every
key that the OpenAI document or the Open Responses specification calls required is there, with the null or the
default they name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from msgspec import UNSET, Meta, Struct, UnsetType, field

# Requests ------------------------------------------------------------------------------------------------------

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Summary = Literal["auto", "concise", "detailed"]
Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
MetadataKey = Annotated[str, Meta(max_length=64)]
MetadataValue = Annotated[str, Meta(max_length=512)]


class ReasoningConfig(Struct, kw_only=True):
    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: Literal["standard", "pro"] | None = None


class TextFormat(Struct, tag_field="type", tag="text"):
    pass


class JsonObjectFormat(Struct, tag_field="type", tag="json_object"):
    pass


class JsonSchemaFormat(Struct, tag_field="type", tag="json_schema", kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextConfig(Struct, kw_only=True):
    format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(Struct, kw_only=True):
    include_obfuscation: bool | None = None


class PromptCacheOptions(Struct, kw_only=True):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None
    prewarm: bool | None = None


class CreateRequest(Struct, kw_only=True):
    """The body of `POST /v1/responses`. Items and tools stay plain dicts here: `inputs` and `offers` read them.

    `seed` and what follows are not OpenAI's. They have the names that chat hosts know them by, vLLM's where those
    differ; `return_token_ids` asks for the tokens themselves, for training.
    """

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    parallel_tool_calls: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    include: list[Include] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: list[dict[str, Any]] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=16)] | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    safety_identifier: Annotated[str, Meta(max_length=128)] | None = None
    user: str | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    moderation: dict[str, Any] | None = None
    generate: bool | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    top_k: int | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0)] | None = None
    return_token_ids: bool | None = None


# Tools ---------------------------------------------------------------------------------------------------------


class FunctionTool(Struct, tag_field="type", tag="function", kw_only=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None


class TextInput(Struct, tag_field="type", tag="text"):
    pass


class GrammarInput(Struct, tag_field="type", tag="grammar", kw_only=True):
    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(Struct, tag_field="type", tag="custom", kw_only=True):
    name: str
    description: str | None = None
    format: TextInput | GrammarInput | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None


class NamespaceTool(Struct, tag_field="type", tag="namespace", kw_only=True):
    name: str
    description: str | None = None
    tools: list[dict[str, Any]]


class ToolSearchTool(Struct, tag_field="type", tag="tool_search", kw_only=True):
    execution: Literal["server", "client"] | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None


# Output items --------------------------------------------------------------------------------------------------

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


class OutputText(Struct, tag_field="type", tag="output_text"):
    text: str
    annotations: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)


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


# The response --------------------------------------------------------------------------------------------------

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
