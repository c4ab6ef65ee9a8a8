"""Everything that can be set, from keyword arguments or from the environment; the only reader of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from responses_shim.errors import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Unpack  # comes with pydantic

PREFIX = "RESPONSES_SHIM_"

Host = Literal["auto", "generic", "llama-cpp"]
FileUrls = Literal["refuse", "fetch", "fetch-any"]
ImageUrls = Literal["pass", "data-only"]
SystemMessages = Literal["fold", "keep"]
FormatWithTools = Literal["auto", "describe", "constrain"]
ThinkTags = Literal["leading", "anywhere", "prefilled", "off"]
ReasoningReplay = Literal["auto", "field", "think"]
Overflow = Literal["error", "incomplete"]
PingKind = Literal["event", "in_progress", "comment", "off"]


class Options(TypedDict, total=False):
    """The fields of `Settings` as keyword arguments, for type checkers."""

    enabled: bool
    host: Host
    unprefixed: bool
    max_body: int
    max_file: int
    file_urls: FileUrls
    image_urls: ImageUrls
    system_messages: SystemMessages
    think_tags: ThinkTags
    format_with_tools: FormatWithTools
    reasoning_replay: ReasoningReplay
    overflow: Overflow
    return_token_ids: bool
    nemo_gym: bool
    audio_root: str | None
    commit_after: float
    ping: PingKind
    ping_interval: float
    upstream_idle: float
    write_timeout: float
    secret_keys: Sequence[str | SecretStr]
    owner_header: str | None
    trust_owner_header: bool


class Settings(BaseModel):
    """One shim's settings. Each is also an environment variable: `ping_interval` is `RESPONSES_SHIM_PING_INTERVAL`.

    Times are seconds, sizes bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    enabled: bool = True
    """False lets every request through to the host, its own /v1/responses included."""

    host: Host = "auto"
    """Which host this is. `auto` recognises it by its routes."""

    unprefixed: bool = False
    """Answer /responses and /conversations too, without /v1."""

    max_body: int = Field(default=64 * 1024 * 1024, ge=1)
    """The largest request body, compressed or not; a larger one is a 413."""

    max_file: int = Field(default=32 * 1024 * 1024, ge=1)
    """The largest file in an `input_file` part, decoded or fetched, or below `audio_root`; a larger one is a 400."""

    file_urls: FileUrls = "refuse"
    """What is done with an `input_file.file_url`: refused, fetched from public addresses, fetched from any address."""

    image_urls: ImageUrls = "pass"
    """Whether the URLs of images, audio and video go to the host, which fetches them, or only data URLs do."""

    system_messages: SystemMessages = "fold"
    """Whether system and developer messages make one leading system message, or stay where and what they are."""

    think_tags: ThinkTags = "leading"
    """Where `<think>` spans in a host's text are reasoning: before the answer, anywhere in it, before it with the
    first tag in the prompt already, or nowhere."""

    format_with_tools: FormatWithTools = "auto"
    """Whether `text.format`, beside tools, is told to the model in words or is the host's constraint, under which most
    hosts can call no tool. `auto`: what is right for the host."""

    reasoning_replay: ReasoningReplay = "auto"
    """Whether past reasoning goes to the host in a field of the assistant message, or in its content between
    `<think>` and `</think>`. `auto`: what is right for the host."""

    overflow: Overflow = "error"
    """What becomes of a request that is too long for the model: a 400, or an empty response that is `incomplete`."""

    return_token_ids: bool = False
    """Treat every request that does not say whether it wants the token ids as if it did."""

    nemo_gym: bool = False
    """Do as NeMo Gym's converter does where that is not what the API says, and read its keys in `metadata`."""

    audio_root: str | None = None
    """The directory below which NeMo Gym's audio paths lie, as an absolute path. Without it no path is read."""

    commit_after: float = Field(default=2.0, ge=0)
    """When a stream is begun although the host has not answered yet. Until then its errors keep their HTTP status."""

    ping: PingKind = "event"
    """What keeps a silent stream alive: a `response.ping` event, `response.in_progress` again, a comment, nothing."""

    ping_interval: float = Field(default=15.0, gt=0)
    """How long a stream may be silent before it is pinged."""

    upstream_idle: float = Field(default=600.0, gt=0)
    """How long the host may send nothing before the run fails."""

    write_timeout: float = Field(default=60.0, gt=0)
    """How long a client may take nothing of what it is sent before it counts as gone."""

    secret_keys: tuple[SecretStr, ...] = ()
    """What reasoning is sealed with: the first seals, all open. If none is set, each shim makes its own.

    In the environment they stand with commas between. Each has at least 16 visible ASCII characters, random ones:
    nothing slows down who guesses.
    """

    owner_header: str | None = Field(default=None, pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$")
    """A header that tells owners apart beside their credentials, in lower case."""

    trust_owner_header: bool = False
    """True if that header alone says who the owner is: a proxy in front must set it, and let no client's through."""

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """`new,old` is how an environment lists them; an empty variable is none."""
        if not isinstance(value, str):
            return value
        return [key.strip() for key in value.split(",")] if value else ()

    @field_validator("secret_keys")
    @classmethod
    def _strong(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for place, key in enumerate(keys, start=1):
            if not re.fullmatch(r"[!-+\--~]{16,}", key.get_secret_value()):
                raise PydanticCustomError(
                    "secret_key",
                    "Key {place} should have at least 16 characters, of visible ASCII without commas",
                    {"place": place},
                )
        return keys

    @field_validator("audio_root")
    @classmethod
    def _directory(cls, path: str | None) -> str | None:
        """An empty variable is none."""
        if path and not (os.path.isabs(path) and os.path.isdir(path)):
            raise PydanticCustomError("audio_root", "It should be the absolute path of a directory that exists")
        return path or None

    @field_validator("owner_header", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        """Names of headers have no case; an empty variable is none."""
        return (value.lower() or None) if isinstance(value, str) else value

    @field_validator("trust_owner_header")
    @classmethod
    def _something_to_trust(cls, trusted: bool, others: ValidationInfo) -> bool:
        if trusted and others.data.get("owner_header") is None:
            raise PydanticCustomError("owner_header", "There is no owner_header to trust")
        return trusted

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **options: Unpack[Options]) -> Settings:
        """Settings from `options`, then the environment, then defaults.

        Raises ConfigurationError, one line that names the setting: unknown names too, for a setting that is misspelt
        would otherwise silently not be set.
        """
        environ = os.environ if environ is None else environ
        names = {PREFIX + name.upper(): name for name in cls.model_fields}
        given: dict[str, Any] = dict(options)
        sources = dict.fromkeys(options, "")
        for variable, value in environ.items():
            if not variable.startswith(PREFIX):
                continue
            if variable not in names:
                raise ConfigurationError(f"{variable}: there is no such setting")
            if names[variable] not in given:
                given[names[variable]] = value
                sources[names[variable]] = variable
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise ConfigurationError(f"{sources.get(name) or name}: {first['msg']}") from None
