"""The settings of the shim, from keyword arguments or RESPONSES_SHIM_* variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from responses_shim.environment import environment, find_settings, variable_of
from responses_shim.errors import ConfigurationError
from responses_shim.setting_types import (
    FileUrls,
    FormatWithTools,
    Host,
    ImageUrls,
    Native,
    Overflow,
    PingKind,
    ReasoningDisplay,
    ReasoningReplay,
    SettingsArguments,
    SystemMessages,
    ThinkTags,
    ToolMarkup,
    ToolOutputs,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack  # comes with pydantic


class Settings(BaseModel):
    """The settings of one shim. They do not change once made.

        Settings.load(ping_interval=10)                                # RESPONSES_SHIM_* variables count for the rest
        Settings(ping_interval=10)                                     # the environment is not read

    Each setting is also an environment variable: `ping_interval` is `RESPONSES_SHIM_PING_INTERVAL`. Times are in
    seconds, sizes in bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    enabled: bool = True
    """Whether the shim answers anything. If not, every request goes to the host, its own /v1/responses included."""

    native: Native = "replace"
    """Who answers where the host has a `/v1/responses` of its own: the shim (`replace`), or the host (`pass`)."""

    host: Host = "auto"
    """Which kind of host this is, by the name of its profile; `auto` recognises it by its routes if it can."""

    unprefixed: bool = False
    """Whether /responses, /conversations and, for Codex's catalogue, /models are answered too, without /v1."""

    default_model: str | None = None
    """The model of requests that name none. Without it such a request is a 400, as OpenAI's is."""

    auth_probe: str = Field(default="auto", pattern=r"^(auto|off|/[!->@-~]*)$")
    """How the host is asked whether it lets a client in, before its files are read or its large body is.

    `auto`: by the request that is right for this kind of host. A path such as `/v1/models`: by a GET of that route,
    which must need the client's key and should cost little. `off`: not at all; the chat call alone decides.
    """

    max_body: int = Field(default=32 * 1024 * 1024, ge=1)
    """The largest request body, before and after decompression. A larger one is a 413.

    The text of a million tokens is 4 to 5 MB; the rest is for images and PDFs in base64, a dozen screenshots or a file
    of 24 MB. Agents keep below 32 MB, because other providers' APIs take no more.
    """

    max_text: int = Field(default=10 * 1024 * 1024, ge=1)
    """The most bytes of a request body in strings with an escape or beyond ASCII, so not in base64. More are a 413.

    The text of a million tokens is 4 to 5 MB. It is decoded in one go, during which nothing else runs in the process:
    10 MB take 20 ms at worst, and 40 MB, since one emoji makes a string take four bytes for each character; to be
    translated, up to 70 MB.
    """

    max_nodes: int = Field(default=100_000, ge=1)
    """The most arrays, objects and keys in a request body, together. More are a 413.

    A coding agent's conversation of a million tokens has some 70,000. They are decoded in one go, during which nothing
    else runs in the process: 100,000 take about 10 ms, and 10 to 20 MB. A body between 100 kB and 3.6 MB may have a
    fifth of them, and more in proportion to its size.
    """

    max_values: int = Field(default=1_000_000, ge=1)
    """The most values in the arrays and objects of a request body, together. More are a 413.

    A training run that sends token ids and log-probabilities back may have some hundred thousand of them.
    """

    max_echo: int = Field(default=4 * 1024 * 1024, ge=1)
    """The most bytes of a request that its response repeats: `instructions`, `tools` and the like. More are a 413.

    They are in three events of every stream, and in each ping of the kind `in_progress`.
    """

    max_file: int = Field(default=32 * 1024 * 1024, ge=1)
    """The largest file in an `input_file` part, decoded or fetched, or below `audio_root`. A larger one is a 400."""

    pdfs_at_once: int = Field(default=2, ge=1)
    """How many PDFs are read at a time, for all clients. Each takes a process, for up to a minute."""

    fetches_at_once: int = Field(default=8, ge=1)
    """How many files are fetched at a time, for all clients. Each may take `max_file` bytes of memory.

    A request whose audio files are read below `audio_root` counts as one.
    """

    files_waiting: int = Field(default=32, ge=0)
    """How many PDFs may wait to be read, and how many files to be fetched, for all clients. One more is a 429.

    The clients take turns. When all places are taken, the client with the most files waiting gives up one for another.
    """

    file_urls: FileUrls = "refuse"
    """Whether an `input_file.file_url`, which the client chooses, is fetched.

    `refuse`: not at all. `fetch`: from public addresses. `fetch-any`: also from those of the local network.
    """

    image_urls: ImageUrls = "pass"
    """Whether URLs of images, audio and video are passed on for the host to fetch, or only data URLs (`data-only`)."""

    system_messages: SystemMessages = "fold"
    """Where system and developer messages go.

    `fold`: into one leading system message, which every chat template accepts. `keep`: each keeps its role and its
    position.
    """

    think_tags: ThinkTags = "leading"
    """Where a `<think>` span in the host's text is reasoning.

    `leading`: before the answer. `anywhere`: also within the answer. `prefilled`: before the answer, with the opening
    tag already in the prompt. `off`: nowhere.
    """

    format_with_tools: FormatWithTools = "auto"
    """How `text.format` is enforced in a request with tools.

    `verify`: the format is described to the model in words; its answer is held back and checked, and one that is not in
    the format is asked for again under the host's constraint. `describe`: the format is described, and the answer sent
    as it comes. `constrain`: the host constrains the answer, and then most hosts cannot call tools. `auto`: whichever
    is right for the host.
    """

    tool_markup: ToolMarkup = "auto"
    """Whether the calls that a model writes in its text are read there, for a host that has no tool parser.

    `auto`: where the host is known to have none: llama-cpp-python, and vLLM and MLX servers that were started without
    one. `detect`: always; the form is that of the model's response template, its chat template or its name. A form's
    name, such as `hermes`: always, and in this form. `off`: never; calls are left to the host. Where the host's chat
    template does not show tools to the model, they are described in the system message.
    """

    reasoning_display: ReasoningDisplay = "auto"
    """How a client is shown the reasoning.

    `text`: as the raw text that it is. `summary`: as a summary, which many clients show and nothing else. Nothing is
    summarised: the text is the same. `both`: as both at once, which takes two events for each token. `auto`: as a
    summary if the request asks for one, else as text.
    """

    reasoning_replay: ReasoningReplay = "auto"
    """How past reasoning is sent to the host.

    `field`: in a field of the assistant message. `think`: in its content, between `<think>` and `</think>`. `auto`:
    whichever is right for the host.
    """

    overflow: Overflow = "error"
    """The answer to a request that is too long for the model: a 400 (`error`), or an empty response (`incomplete`)."""

    cache_salt: bool = True
    """Whether `prompt_cache_key` sets prompts apart in the host's prefix cache, where the host has a salt for that.

    Then prompts share cached prefixes with those of the same client and the same key only.
    """

    return_token_ids: bool = False
    """Whether a request that does not have `return_token_ids` gets the token ids."""

    nemo_gym: bool = False
    """Whether to do as NeMo Gym's converter does where that differs from the API, and read its keys in `metadata`."""

    audio_root: str | None = None
    """The absolute path of the directory below which NeMo Gym's audio files are. Without it no file is read."""

    commit_after: float = Field(default=2.0, ge=0)
    """How long to wait for the first of the host's answer before the stream is begun, with status 200.

    If the host fails before that, the client gets the HTTP status of the error; afterwards it gets an error event.
    """

    max_retries: int = Field(default=3, ge=0, le=20)
    """How many times a chat call that the host refuses for the moment is made again, before the answer begins.

    After a 429, or a 503 that says the host is busy; with `responses-shim proxy` also after a 500, 502, 504 or 520, or
    if the host cannot be reached. The first wait is up to half a second, each next one up to twice as long, unless the
    host says how long (`Retry-After`, up to 10 seconds). A stream begins after `commit_after`, and from then on no call
    is made again.
    """

    ping: PingKind = "in_progress"
    """What is sent to keep a silent stream alive.

    `in_progress`: `response.in_progress` again, which every client knows. `event`: a `response.ping` event, which is
    not OpenAI's: openai-node's `responses.stream()` and the Java SDK fail at it. `comment`: an SSE comment, which
    resets no idle timer that counts events. `off`: nothing.
    """

    ping_interval: float = Field(default=15.0, gt=0)
    """How long a stream may be silent before a ping is sent."""

    upstream_idle: float = Field(default=600.0, gt=0)
    """How long the host may send nothing before the response fails."""

    write_timeout: float = Field(default=60.0, gt=0)
    """How long one write to the client may take before the client is given up."""

    tool_timeout: float = Field(default=300.0, gt=0)
    """How long a response that waits for the outputs of its calls waits before it fails (`tool_outputs`)."""

    max_tool_output: int = Field(default=4 * 1024 * 1024, ge=1, le=4 * 1024 * 1024)
    """The largest output that is posted to a response that waits, as JSON. A larger one is a 400."""

    store: SecretStr = SecretStr("memory://")
    """Where responses and conversations are kept, as a URL; `off` keeps nothing.

    `memory://`: in this process, as long as it lives. `sqlite:////path`: in a file, for all processes of a machine.
    `redis://host`, `rediss://host`: in Redis, for several machines. It may hold a password, so it is not shown.
    """

    store_trees: int | None = Field(default=None, ge=1)
    """How many conversations and chains of responses the store keeps.

    By default 1,000 in memory, a million elsewhere.
    """

    store_size: int | None = Field(default=None, ge=1)
    """How many bytes the store keeps; by default 256 MB in memory, 10 GB elsewhere.

    Of what is too much the owner with the most bytes loses what was not used for the longest time.
    """

    store_age: float | None = Field(default=None, gt=0)
    """For how long a conversation or a chain is kept after its last use.

    By default an hour in memory, 30 days elsewhere.
    """

    tool_outputs: ToolOutputs = "end"
    """What calls do to a response with tools whose request has no `tool_outputs`.

    `end`: they end it, as in OpenAI's API. `wait`: it waits until their outputs are posted to
    `/v1/responses/{id}/tool_outputs`, and goes on; but not one with `store: false`.
    """

    secret_keys: tuple[SecretStr, ...] = ()
    """The keys for encrypted reasoning. The first encrypts, all decrypt. Without any, each shim makes a random one.

    In the environment they are separated by commas. Each has at least 16 visible ASCII characters, which should be
    random: guessing is not slowed down.
    """

    owner_header: str | None = Field(default=None, pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$")
    """The name of a header that tells the owners of encrypted reasoning apart, in addition to their credentials."""

    trust_owner_header: bool = False
    """Whether that header alone says who the owner is. A proxy in front must then set it, and drop a client's own."""

    @field_validator("tool_outputs")
    @classmethod
    def _check_tool_outputs(cls, kind: ToolOutputs, info: ValidationInfo) -> ToolOutputs:
        store: SecretStr | None = info.data.get("store")
        if kind == "wait" and store is not None and store.get_secret_value() == "off":
            raise PydanticCustomError("tool_outputs", "Responses can wait for tool outputs only where they are stored")
        return kind

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split_secret_keys(cls, value: object) -> object:
        """A string, as in the environment, is a list with commas; an empty one is an empty list."""
        if not isinstance(value, str):
            return value
        return [key.strip() for key in value.split(",")] if value else ()

    @field_validator("secret_keys")
    @classmethod
    def _check_secret_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for position, key in enumerate(keys, start=1):
            # visible ASCII, "!" to "~", without the comma that separates keys
            if not re.fullmatch(r"[!-+\--~]{16,}", key.get_secret_value()):
                raise PydanticCustomError(
                    "secret_key",
                    "Key {position} should have at least 16 characters, of visible ASCII without commas",
                    {"position": position},
                )
        return keys

    @field_validator(
        *("default_model", "store_trees", "store_size", "store_age", "audio_root", "owner_header"), mode="before"
    )
    @classmethod
    def _normalize_unset(cls, value: object) -> object:
        """An empty string, as an environment variable may be, is None."""
        return None if value == "" else value

    @field_validator("audio_root")
    @classmethod
    def _check_audio_root(cls, path: str | None) -> str | None:
        if path is not None and not (os.path.isabs(path) and os.path.isdir(path)):
            raise PydanticCustomError("audio_root", "It should be the absolute path of a directory that exists")
        return path

    @field_validator("owner_header", mode="before")
    @classmethod
    def _normalize_owner_header(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("trust_owner_header")
    @classmethod
    def _check_trust_owner_header(cls, trusted: bool, info: ValidationInfo) -> bool:
        if trusted and info.data.get("owner_header") is None:
            raise PydanticCustomError("owner_header", "There is no owner_header to trust")
        return trusted

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **options: Unpack[SettingsArguments]) -> Settings:
        """The settings from keyword arguments, else from the environment, else the defaults.

        `environ` is the environment, by default that of the process.

        Raises ConfigurationError, one line that names the setting or the variable, for a wrong value and for an unknown
        keyword argument. An unknown variable is logged as a warning.
        """
        found = find_settings(environment() if environ is None else environ, cls.model_fields)
        values: dict[str, Any] = {**found, **options}
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            given = name if name in options else variable_of(name)
            raise ConfigurationError(f"{given}: {first['msg']}") from None
