"""An HTTP request that the shim answers, with the shim's configuration and the host's profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from msgspec.structs import replace
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim.asgi.owner import owner_of
from responses_shim.asgi.tool_reading import ToolReading
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.request.tool_lists import ToolLists
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.errors import InvalidRequest
from responses_shim.hosts import HostProfile
from responses_shim.runtime.admissions import Admissions
from responses_shim.runtime.background import Runs
from responses_shim.runtime.client_store import ClientStore
from responses_shim.runtime.files import FileQueues
from responses_shim.runtime.interceptors import Interceptor
from responses_shim.runtime.sealing import Keys
from responses_shim.runtime.state import State
from responses_shim.settings import Settings


@dataclass(frozen=True)
class Request:
    """A request that the shim answers: what every endpoint gets.

    - `app`: the host
    - `settings`, `keys`, `interceptors`: the shim's configuration
    - `admissions`, `file_queues`: the clients that the host has let in, and whose files wait to be read
    - `tool_lists`: those of recent requests
    - `state`: the store; None if nothing is stored
    - `profile`: the host's
    - `prefix`: what comes before the route in `scope["path"]`: a root path, or `""`. The host's routes are below it too
    - `scope`, `receive`, `send`: the server's, as ASGI defines them
    - `path_params`: the ids in the path, by their names in the route
    """

    app: ASGIApp
    settings: Settings
    keys: Keys
    interceptors: tuple[Interceptor, ...]
    admissions: Admissions
    file_queues: FileQueues
    tool_lists: ToolLists
    state: State | None
    profile: HostProfile
    prefix: str
    scope: Scope
    receive: Receive
    send: Send
    path_params: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def owners(self) -> list[bytes]:
        """The client's owner id (see `owner_of`) under each key, the newest first.

        Seal for the first one, and open for any: what was sealed before a key rotation has an older id.
        """
        return [owner_of(self.scope["headers"], self.settings, key) for key in self.keys.owner_keys]

    async def client_store(self) -> ClientStore:
        """The store as this client sees it. Raises InvalidRequest if nothing is stored here, else StoreUnavailable."""
        if self.state is None:
            raise InvalidRequest("Responses and conversations are not stored here.", status=404, code="not_found")
        keys = await self.state.owner_keys()
        owners = [owner_of(self.scope["headers"], self.settings, key) for key in keys]
        return ClientStore(self.state.store, owners, self.state.unstored)

    def tool_reading(self, model: str) -> ToolReading | None:
        """How tools are offered to a model and its calls read; None where that is left to the host."""
        return ToolReading.of(self.settings, self.profile, model)

    @property
    def runs(self) -> Runs:
        """The runs in the background. There are some only where there is a store."""
        assert self.state is not None
        return self.state.runs

    def options_for(self, parsed: CreateRequest) -> TranslationOptions:
        """The translation options for this request, as it has been parsed."""
        replay_tokens = self.settings.nemo_gym or bool(parsed.return_token_ids)
        return replace(self.translation_options, replay_tokens=replay_tokens)

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
