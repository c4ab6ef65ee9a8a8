"""The body of `POST /v1/responses`: the create request, its parameters, and the declarations of its tools.

Requests are read tolerantly: unknown keys are skipped, null means the default. Names and limits are those of OpenAI's
API document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

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

ToolName = Annotated[str, Meta(max_length=256)]
"""OpenAI takes 128 characters."""

if TYPE_CHECKING:
    Objects = list[dict[str, Any]]
else:
    Objects = list[Any]
"""An array of objects that `validation.check_objects` is still to check.

msgspec would check them too, and copy each, which for many small ones takes as much memory as to decode them did.
"""

MetadataKey = Annotated[str, Meta(max_length=64)]

MetadataValue = Annotated[str, Meta(max_length=512)]


MAX_METADATA = 16
"""How many entries `metadata` may have, as in OpenAI's API."""

Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=MAX_METADATA)]


class ReasoningConfig(Struct, kw_only=True):
    """The request's `reasoning`."""

    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: Literal["standard", "pro"] | None = None


class TextFormat(Struct, tag_field="type", tag="text"):
    """`text.format`: plain text."""


class JsonObjectFormat(Struct, tag_field="type", tag="json_object"):
    """`text.format`: any JSON object."""


class JsonSchemaFormat(Struct, tag_field="type", tag="json_schema", kw_only=True):
    """`text.format`: JSON that is valid against `schema`."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextConfig(Struct, kw_only=True):
    """The request's `text`."""

    format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(Struct, kw_only=True):
    """The request's `stream_options`."""

    include_obfuscation: bool | None = None


class PromptCacheOptions(Struct, kw_only=True):
    """The request's `prompt_cache_options`."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None
    prewarm: bool | None = None


class CreateRequest(Struct, kw_only=True):
    """The body of `POST /v1/responses`. Input items and tools stay dicts here: there are many kinds, read elsewhere.

    The fields from `seed` on are not OpenAI's: chat hosts have them, under these names (vLLM's where hosts differ).
    `return_token_ids` asks for the token ids of prompt and answer, for training. `tool_outputs` is the shim's own: what
    calls do to the response, end it as in OpenAI's API, or make it wait for their outputs.
    """

    model: Annotated[str, Meta(max_length=4096)]
    input: str | Objects
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
    tools: Objects | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    include: list[Include] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: list[dict[str, Any]] | None = None
    metadata: Metadata | None = None
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
    tool_outputs: Literal["end", "wait"] | None = None


class FunctionTool(Struct, tag_field="type", tag="function", kw_only=True):
    """The declaration of a function; `parameters` is a JSON schema."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None


class TextInput(Struct, tag_field="type", tag="text"):
    """The input of a custom tool: free text."""


class GrammarInput(Struct, tag_field="type", tag="grammar", kw_only=True):
    """The input of a custom tool: text that a grammar in `definition` describes."""

    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(Struct, tag_field="type", tag="custom", kw_only=True):
    """The declaration of a custom tool, which takes text."""

    name: ToolName
    description: str | None = None
    format: TextInput | GrammarInput | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None


class NamespaceTool(Struct, tag_field="type", tag="namespace", kw_only=True):
    """The declaration of a namespace, with the declarations of its tools."""

    name: ToolName
    description: str | None = None
    tools: Objects


class ToolSearchTool(Struct, tag_field="type", tag="tool_search", kw_only=True):
    """The declaration of the tool search; `parameters` is a JSON schema."""

    execution: Literal["server", "client"] | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
