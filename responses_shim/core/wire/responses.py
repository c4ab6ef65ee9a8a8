"""The response object: output items, content parts, usage.

The types are those of OpenAI's API reference ("The response object"). Every key that the reference or the Open
Responses specification requires is written, with the null or the default that they name.
"""

from __future__ import annotations

from typing import Any, Literal, Union

from msgspec import UNSET, Raw, Struct, UnsetType, field

ItemStatus = Literal["in_progress", "completed", "incomplete"]
"""`in_progress` while the item grows, `incomplete` if the answer was cut in it."""


class TopLogprob(Struct, frozen=True):
    """A token that could have come: its text, the natural logarithm of its probability, its UTF-8 bytes."""

    token: str
    logprob: float
    bytes: list[int]


class Logprob(Struct, frozen=True):
    """An entry of `output_text.logprobs`: the token that came, and the likeliest that could have come in its place.

    `bytes` is never null: OpenAI's type allows none there.
    """

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


NO_LOGPROBS = Raw(b"[]")
"""The `logprobs` of text without any. Compare by identity."""


class OutputText(Struct, tag_field="type", tag="output_text"):
    """A part of a message: text.

    - `annotations`: citations in the text, each an object whose keys depend on its `type`
    - `logprobs`: a JSON array of `Logprob`, already encoded because several events contain the same array
    """

    text: str
    annotations: list[dict[str, Any]] = field(default_factory=list)
    logprobs: Raw = NO_LOGPROBS


class Refusal(Struct, tag_field="type", tag="refusal"):
    """A part of a message: the model's words with which it declines to answer."""

    refusal: str


class ReasoningText(Struct, tag_field="type", tag="reasoning_text"):
    """A part of a reasoning item's `content`: the reasoning itself."""

    text: str


class SummaryText(Struct, tag_field="type", tag="summary_text"):
    """A part of a reasoning item's `summary`."""

    text: str


ContentPart = Union[OutputText, Refusal, ReasoningText]
"""A part of an item's `content`."""


class BaseItem(Struct, tag_field="type", kw_only=True):
    """What every output item has.

    `id` begins with a prefix of the item's type: `msg_…`, `rs_…`, `fc_…`. The other fields are there on the last item
    of each chat call, if the client asked for token ids (`return_token_ids`): see `Tokens`.
    """

    id: str
    status: ItemStatus
    prompt_token_ids: list[int] | UnsetType = UNSET
    generation_token_ids: list[int] | UnsetType = UNSET
    generation_log_probs: list[float] | UnsetType = UNSET
    routed_experts: Any = UNSET


MessagePhase = Literal["commentary", "final_answer"]
"""Whether a message goes along with calls, or is what the user has asked for."""


class MessageItem(BaseItem, tag="message", kw_only=True):
    """What the model says to the user.

    `phase` is there where it is known: `commentary` on a message that goes along with calls. In such a message OpenAI's
    SDKs do not look for an answer in `text.format`.
    """

    role: Literal["assistant"] = "assistant"
    content: list[OutputText | Refusal]
    phase: MessagePhase | UnsetType = UNSET


class ReasoningItem(BaseItem, tag="reasoning", kw_only=True):
    """What the model thought: as raw text in `content`, as a summary, or as both; what is not shown is empty.

    `encrypted_content` is the reasoning in a sealed form that the client can keep and send back, if it asked for that
    (`include: ["reasoning.encrypted_content"]`). It is a string or absent: Open Responses allows no null.
    """

    summary: list[SummaryText] = field(default_factory=list)
    content: list[ReasoningText] = field(default_factory=list)
    encrypted_content: str | UnsetType = UNSET


class FunctionCallItem(BaseItem, tag="function_call", kw_only=True):
    """A call of a function. `arguments` is the text of a JSON object, as the model wrote it.

    `call_id` is what the output of the call refers to. `namespace` is there only for a tool of a namespace: Codex
    finds a tool by namespace and name.
    """

    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    arguments: str


class CustomToolCallItem(BaseItem, tag="custom_tool_call", kw_only=True):
    """A call of a custom tool. `input` is free text."""

    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    input: str


class ToolSearchCallItem(BaseItem, tag="tool_search_call", kw_only=True):
    """A search for deferred tools, which the client carries out. `arguments` are the model's, an object here."""

    call_id: str
    execution: Literal["client"] = "client"
    arguments: dict[str, Any] = field(default_factory=dict)


class ExecAction(Struct, tag_field="type", tag="exec", kw_only=True, omit_defaults=True):
    """The action of a local shell call: one command as a list of words, like `["ls", "-l"]`.

    `timeout_ms` is in milliseconds. `env` is there even if it is empty: OpenAI's type requires it.
    """

    command: list[str]
    env: dict[str, str]
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellCallItem(BaseItem, tag="local_shell_call", kw_only=True):
    """A call of the tool `local_shell`: one command, which the client runs."""

    call_id: str
    action: ExecAction


class ShellAction(Struct, kw_only=True):
    """The action of a shell call: command lines, each run by itself, like `["git status", "ls -l"]`.

    `timeout_ms` is in milliseconds for each, `max_output_length` in characters; null where the model gave none.
    """

    commands: list[str] = field(default_factory=list)
    timeout_ms: int | None = None
    max_output_length: int | None = None


class ShellCallItem(BaseItem, tag="shell_call", kw_only=True):
    """A call of the tool `shell`. `environment` is null: the client runs the commands where it likes."""

    call_id: str
    action: ShellAction
    environment: dict[str, Any] | None = None


class CreateFile(Struct, tag_field="type", tag="create_file", kw_only=True):
    """A patch that makes a file. `diff` has its content, as lines that begin with `+`."""

    path: str
    diff: str


class UpdateFile(Struct, tag_field="type", tag="update_file", kw_only=True):
    """A patch that changes a file. `diff` is in OpenAI's V4A format."""

    path: str
    diff: str


class DeleteFile(Struct, tag_field="type", tag="delete_file", kw_only=True):
    """A patch that removes a file."""

    path: str


PatchOperation = Union[CreateFile, UpdateFile, DeleteFile]
"""What a patch does to one file."""


class ApplyPatchCallItem(BaseItem, tag="apply_patch_call", kw_only=True):
    """A call of the tool `apply_patch`: a change of one file, which the client makes.

    It may be `incomplete`, a status that OpenAI's type does not have here: half a patch must not pass for all of it.
    """

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
"""An output item that is a call of a tool: the client answers it with an output item of the same `call_id`."""

OutputItem = Union[MessageItem, ReasoningItem, CallItem]
"""An item of `output`."""


ResponseStatus = Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"]
"""The status of a response: all but the first two are final."""


class InputTokensDetails(Struct):
    """Tokens of the prompt that were read from a cache, and that were written to one. 0 if the host does not say."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(Struct):
    """Tokens of the answer that were reasoning. 0 if the host does not say."""

    reasoning_tokens: int = 0


class Usage(Struct, kw_only=True):
    """How many tokens a response took, over all its chat calls."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class IncompleteDetails(Struct):
    """Why a response is incomplete: a limit on its length, or the host's content filter."""

    reason: Literal["max_output_tokens", "content_filter"]


class ResponseError(Struct):
    """Why a response failed: a code for programs, a sentence for people."""

    code: str
    message: str


class ReasoningEcho(Struct):
    """The `reasoning` that the request asked for, as the response repeats it."""

    effort: str | None = None
    summary: str | None = None


class Response(Struct, kw_only=True):
    """The response object: its state, its output, and the parameters of the request repeated.

    It has the keys of OpenAI's reference and the 31 that Open Responses requires. Times are in Unix seconds. `usage` is
    null if the host gave none: it is never guessed. Parameters that the request left out have OpenAI's defaults, where
    Open Responses allows no null (`temperature`, `top_p`, `tool_choice` and the like).

    What is repeated of a large request is JSON already (`msgspec.Raw`): see `core.request.prepare.encode_echo`.
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
