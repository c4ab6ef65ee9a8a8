"""The types of the settings: what those take that have a few words to choose from, and all of them as arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from pydantic import SecretStr

Native = Literal["replace", "pass"]
Host = Literal["auto", "generic", "llama-cpp", "mlx-openai-server", "mlx-vlm", "rapid-mlx", "vllm", "vllm-mlx"]
FileUrls = Literal["refuse", "fetch", "fetch-any"]
ImageUrls = Literal["pass", "data-only"]
SystemMessages = Literal["fold", "keep"]
FormatWithTools = Literal["auto", "verify", "describe", "constrain"]
ThinkTags = Literal["leading", "anywhere", "prefilled", "off"]
ReasoningDisplay = Literal["auto", "text", "summary", "both"]
ReasoningReplay = Literal["auto", "field", "think"]
ToolMarkup = Literal[
    "auto",
    "detect",
    "off",
    "hermes",
    "qwen3_coder",
    "glm",
    "kimi_k2",
    "kimi_k3",
    "deepseek_v3",
    "deepseek_dsml",
    "step3",
    "minimax",
    "minimax_m3",
    "gemma4",
    "mistral",
    "llama3_json",
    "pythonic",
    "harmony",
]
Overflow = Literal["error", "incomplete"]
ToolOutputs = Literal["end", "wait"]
PingKind = Literal["event", "in_progress", "comment", "off"]


class SettingsArguments(TypedDict, total=False):
    """The fields of `Settings` as keyword arguments of `ResponsesShim`, for type checkers."""

    enabled: bool
    native: Native
    host: Host
    unprefixed: bool
    default_model: str | None
    auth_probe: str
    max_body: int
    max_text: int
    max_nodes: int
    max_values: int
    max_echo: int
    max_file: int
    pdfs_at_once: int
    fetches_at_once: int
    files_waiting: int
    file_urls: FileUrls
    image_urls: ImageUrls
    system_messages: SystemMessages
    think_tags: ThinkTags
    format_with_tools: FormatWithTools
    tool_markup: ToolMarkup
    reasoning_display: ReasoningDisplay
    reasoning_replay: ReasoningReplay
    overflow: Overflow
    cache_salt: bool
    return_token_ids: bool
    nemo_gym: bool
    audio_root: str | None
    commit_after: float
    max_retries: int
    ping: PingKind
    ping_interval: float
    upstream_idle: float
    write_timeout: float
    tool_timeout: float
    max_tool_output: int
    store: str | SecretStr
    store_trees: int | None
    store_size: int | None
    store_age: float | None
    tool_outputs: ToolOutputs
    secret_keys: Sequence[str | SecretStr]
    owner_header: str | None
    trust_owner_header: bool
