"""Everything that can be set, from keyword arguments or from the environment; the only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from responses_shim.errors import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Unpack  # comes with pydantic

PREFIX = "RESPONSES_SHIM_"

Host = Literal["auto", "generic", "llama-cpp"]
PingKind = Literal["event", "in_progress", "comment", "off"]


class Options(TypedDict, total=False):
    """The fields of `Settings` as keyword arguments, for type checkers."""

    enabled: bool
    host: Host
    unprefixed: bool
    max_body: int
    commit_after: float
    ping: PingKind
    ping_interval: float
    upstream_idle: float
    write_timeout: float


class Settings(BaseModel):
    """One shim's settings. Each is also an environment variable: `ping_interval` is `RESPONSES_SHIM_PING_INTERVAL`.

    Times are seconds, sizes bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    enabled: bool = True
    """False lets every request through to the host, its own /v1/responses included."""

    host: Host = "auto"
    """Which host this is. `auto` recognises it by its routes."""

    unprefixed: bool = False
    """Answer /responses and /conversations too, without /v1."""

    max_body: int = Field(default=64 * 1024 * 1024, ge=1)
    """The largest request body, compressed or not; a larger one is a 413."""

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
