"""An HTTP request that the shim answers, with the shim's configuration and the host's profile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim.asgi.owner import owner_of
from responses_shim.core.request.options import TranslationOptions
from responses_shim.hosts import HostProfile
from responses_shim.runtime.admissions import Admissions
from responses_shim.runtime.files import FileQueues
from responses_shim.runtime.interceptors import Interceptor
from responses_shim.runtime.sealing import Keys
from responses_shim.settings import Settings


@dataclass(frozen=True)
class Request:
    """A request that the shim answers: what every endpoint gets.

    - `app`: the host
    - `settings`, `keys`, `interceptors`: the shim's configuration
    - `admissions`, `file_queues`: the clients that the host has let in, and whose files wait to be read
    - `profile`: the host's
    - `prefix`: what comes before the route in `scope["path"]`: a root path, or `""`. The host's routes are below it too
    - `scope`, `receive`, `send`: the server's, as ASGI defines them
    """

    app: ASGIApp
    settings: Settings
    keys: Keys
    interceptors: tuple[Interceptor, ...]
    admissions: Admissions
    file_queues: FileQueues
    profile: HostProfile
    prefix: str
    scope: Scope
    receive: Receive
    send: Send

    @cached_property
    def owners(self) -> list[bytes]:
        """The client's owner id (see `owner_of`) under each key, the newest first.

        Seal for the first one, and open for any: what was sealed before a key rotation has an older id.
        """
        return [owner_of(self.scope["headers"], self.settings, key) for key in self.keys.owner_keys]

    @property
    def translation_options(self) -> TranslationOptions:
        """The host's policy, with the settings that the operator has made in place of its defaults."""
        settings, policy = self.settings, self.profile.policy
        format_with_tools, reasoning = settings.format_with_tools, settings.reasoning_replay
        return replace(
            policy,
            format_with_tools=policy.format_with_tools if format_with_tools == "auto" else format_with_tools,
            reasoning_replay=policy.reasoning_replay if reasoning == "auto" else reasoning,
            # Chat templates that write the opening tag into the prompt write a line end after it.
            think_opening="<think>\n" if settings.think_tags == "prefilled" else policy.think_opening,
            image_urls=settings.image_urls,
            system_messages=settings.system_messages,
            unseal=lambda sealed: self.keys.open(self.owners, sealed),
        )
