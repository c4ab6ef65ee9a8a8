"""One HTTP request that is ours, and what its host and its operator say about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim.asgi.owner import owner_of
from responses_shim.core.request.options import TranslationOptions
from responses_shim.hosts import HostProfile
from responses_shim.runtime.interceptors import Interceptor
from responses_shim.runtime.sealing import Keys
from responses_shim.settings import Settings


@dataclass(frozen=True)
class Request:
    """One HTTP request that is ours. `prefix` is the part of its path before the route (a root_path, as a rule)."""

    app: ASGIApp
    settings: Settings
    keys: Keys
    interceptors: tuple[Interceptor, ...]
    profile: HostProfile
    prefix: str
    scope: Scope
    receive: Receive
    send: Send

    @cached_property
    def owners(self) -> list[bytes]:
        """Who is asking, by each of the keys: what is made is made for the first."""
        return [owner_of(self.scope["headers"], self.settings, key) for key in self.keys.owner_keys]

    @property
    def policy(self) -> TranslationOptions:
        """What the host takes and the operator allows."""
        settings, policy = self.settings, self.profile.policy
        beside_tools, reasoning = settings.format_with_tools, settings.reasoning_replay
        return replace(
            policy,
            format_with_tools=policy.format_with_tools if beside_tools == "auto" else beside_tools,
            reasoning=policy.reasoning if reasoning == "auto" else reasoning,
            opening="<think>\n" if settings.think_tags == "prefilled" else policy.opening,
            image_urls=settings.image_urls,
            system=settings.system_messages,
            unseal=lambda sealed: self.keys.open(self.owners, sealed),
        )
