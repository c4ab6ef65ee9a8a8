"""`ResponsesShim`, the ASGI middleware: it answers the Responses API's paths and passes everything else to the host.

The shim answers `/v1/responses`, `/v1/conversations` and what is below them, and `GET /v1/models` where Codex asks for
its catalogue. For any other request, the host's app is called with the server's own `scope`, `receive` and `send`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from responses_shim.asgi.headers import echoing, request_id_of
from responses_shim.asgi.host_routes import has_route
from responses_shim.asgi.models import model_catalog
from responses_shim.asgi.request import Request
from responses_shim.asgi.routes import Endpoint, route, upgrade_required
from responses_shim.core.request.tool_lists import ToolLists
from responses_shim.errors import ConfigurationError
from responses_shim.extensions.codex import is_catalog_request
from responses_shim.hosts import PROFILES, HostProfile, detect
from responses_shim.hosts.remote import over_http
from responses_shim.runtime.admissions import Admissions
from responses_shim.runtime.files import FileQueues
from responses_shim.runtime.interceptors import Interceptor, check_interceptors
from responses_shim.runtime.sealing import Keys
from responses_shim.runtime.state import State
from responses_shim.setting_types import SettingsArguments
from responses_shim.settings import Settings

if TYPE_CHECKING:
    from typing_extensions import Unpack  # comes with pydantic

_BELOW_VERSION = r"/(?:models/?|(?P<collection>responses|conversations)(?P<rest>/[^?]*)?)"
_API_PATH = re.compile(f"/v1{_BELOW_VERSION}")
_API_PATH_UNPREFIXED = re.compile(f"(/v1)?{_BELOW_VERSION}")
_AMBIGUOUS_PATH = re.compile(r"//|/\.\.?(/|$)")
_MOUNTED = "responses_shim.mounted"  # a key of the lifespan scope, for a second shim further in

logger = logging.getLogger("responses_shim")


class ResponsesShim:
    """ASGI middleware that adds the Responses API to a host that speaks Chat Completions.

        app.add_middleware(ResponsesShim, ping_interval=10)    # Starlette, FastAPI
        app = ResponsesShim(app)                               # any ASGI app

    Settings come as keyword arguments, as one `Settings` object, or from `RESPONSES_SHIM_*` environment variables, so
    that a host that only passes its app (`vllm serve --middleware`) can mount it too. `interceptors` are code, so they
    come as an argument only.

    Raises ConfigurationError for an unknown or wrong setting, for settings in both forms, for an interceptor that is
    not callable, and for `secret_keys` without the extra `encryption`.
    """

    _echoes_request_id = True
    """Whether answers have the client's X-Request-Id. Where a middleware further out sees to it there would be two."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings | None = None,
        *,
        interceptors: Sequence[Interceptor] = (),
        **options: Unpack[SettingsArguments],
    ) -> None:
        if settings is not None and options:
            raise ConfigurationError("settings: give one Settings or keyword arguments, not both")
        self.app = app
        self.settings = settings if settings is not None else Settings.load(**options)
        self._api_path = _API_PATH_UNPREFIXED if self.settings.unprefixed else _API_PATH
        self._interceptors = check_interceptors(interceptors)
        self._keys = Keys.load(self.settings)
        self._admissions = Admissions()
        self._file_queues = FileQueues(self.settings)
        self._tool_lists = ToolLists()
        self._state = State.of(self.settings, self._keys)
        self._profile: HostProfile | None = None
        self._has_warned = False
        self._is_native: bool | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run responses in the background until the block is left.

        Only a host that does not pass ASGI's lifespan on to its middleware needs this.
        """
        async with self._state.running() if self._state is not None else nullcontext():
            yield

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the host's lifespan on, and run responses in the background from its startup to its shutdown.

        A second shim further in, as where a host is told to mount it in two ways, answers no request and does nothing.
        """
        if _MOUNTED in scope:
            await self.app(scope, receive, send)
            return
        async with AsyncExitStack() as running:

            async def observe() -> Message:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    self._warn_of_processes(scope)
                    self._warn(self._detect(scope))
                    await running.enter_async_context(self.running())
                elif message["type"] == "lifespan.shutdown":
                    await running.aclose()  # while the host can still answer
                return message

            await self.app({**scope, _MOUNTED: True}, observe, send)

    def _warn_of_processes(self, scope: Scope) -> None:
        """Warn if several processes answer, each with a store of its own.

        By a log record of level ERROR: vLLM's server lets nothing less of other packages through.
        """
        processes = self._detect(scope).processes
        if processes > 1 and self.settings.store.get_secret_value().startswith("memory:"):
            logger.error(
                "%d processes answer requests, and each keeps what it stores to itself (store memory://): whether a "
                "response is found again is chance. Set RESPONSES_SHIM_STORE to a store that they share, such as "
                "sqlite:////var/lib/responses.db",
                processes,
            )

    def _warn(self, profile: HostProfile) -> None:
        """Log what the operator should know of how the host was started. Once."""
        if not self._has_warned and (text := profile.warning()) is not None:
            self._has_warned = True
            logger.warning("%s", text)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" and self.settings.enabled:
            await self._lifespan(scope, receive, send)
            return
        answering = self._answering(scope)
        if answering is None:
            await self.app(scope, receive, send)
            return
        endpoint, path_params = answering
        request_id = request_id_of(scope["headers"]) if self._echoes_request_id else None
        await endpoint(
            Request(
                self.app,
                self.settings,
                self._keys,
                self._interceptors,
                self._admissions,
                self._file_queues,
                self._tool_lists,
                self._state,
                self._host_profile(scope),
                _prefix(scope),
                scope,
                receive,
                send if request_id is None else echoing(request_id, send),
                path_params,
            )
        )

    def _answering(self, scope: Scope) -> tuple[Endpoint, Mapping[str, str]] | None:
        """The function that answers a request, and the ids in its path; None if that is the host's business."""
        if not self.settings.enabled or scope["type"] not in ("http", "websocket"):
            return None
        match = self._api_path.fullmatch(_route_path(scope))
        if match is None:  # so it is for whatever the host serves itself
            return None
        method = scope.get("method")  # a WebSocket has none
        if match["collection"] is None:
            wants_catalog = is_catalog_request(method, scope.get("query_string", b"")) and not _is_ambiguous(scope)
            return (model_catalog, {}) if wants_catalog and self._host_profile(scope).catalog else None
        if method == "OPTIONS" or _is_ambiguous(scope) or self._is_left_to_host(scope):
            return None
        is_create = match["collection"] == "responses" and match["rest"] in (None, "/")
        if scope["type"] == "websocket":
            return (_refuse_websocket, {}) if is_create else None
        if is_create and _is_websocket_upgrade(scope):
            return _refuse_upgrade, {}
        return route(f"/{match['collection']}{match['rest'] or ''}", str(method))

    def _is_left_to_host(self, scope: Scope) -> bool:
        """Whether the host answers the API's paths itself: it has a route for them, and the setting is `pass`.

        All of them, since an id of the host's means nothing here. It is looked up at the first request, as the profile.
        """
        if self._is_native is None:
            app = scope.get("app", self.app)
            self._is_native = self.settings.native == "pass" and has_route(app, "/v1/responses")
        return self._is_native

    def _host_profile(self, scope: Scope) -> HostProfile:
        """The host's profile. It is detected at the first request, since the host may add routes until then."""
        if self._profile is None:
            self._profile = self._detect(scope)
            self._warn(self._profile)
        return self._profile

    def _detect(self, scope: Scope) -> HostProfile:
        app = scope.get("app", self.app)  # Starlette puts the outermost application there
        profile = PROFILES.get(self.settings.host)
        if profile is None:
            profile = detect(self.app)
            if profile is PROFILES["generic"]:  # a middleware in between may hide its app
                profile = detect(app)
        profile = profile if profile.for_server is None else profile.for_server(app)
        return over_http(profile) if getattr(self.app, "is_remote", False) else profile


def _is_ambiguous(scope: Scope) -> bool:
    """Whether a proxy in front may read the path as another one: `//`, `/../`, an encoded slash.

    A proxy that guards paths would not have guarded the one that we see, so such a request goes to the host.
    """
    return _AMBIGUOUS_PATH.search(scope["path"]) is not None or b"%2f" in (scope.get("raw_path") or b"").lower()


def _is_websocket_upgrade(scope: Scope) -> bool:
    """Whether the client wants a WebSocket: a server without support for them shows that as an ordinary request."""
    return any(name.lower() == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"])


async def _refuse_upgrade(request: Request) -> None:
    await upgrade_required(request.send)


async def _refuse_websocket(request: Request) -> None:
    """Answer with the HTTP error 426 if the server can send one for a WebSocket, else close the connection."""
    await request.receive()  # websocket.connect
    if "websocket.http.response" not in (request.scope.get("extensions") or {}):
        await request.send({"type": "websocket.close", "code": 1008, "reason": "use POST"})
        return

    async def send_http(message: Message) -> None:
        await request.send({**message, "type": f"websocket.{message['type']}"})

    await upgrade_required(send_http)


def _route_path(scope: Scope) -> str:
    """The path below `root_path`, as Starlette's routing sees it: some servers leave the root path in `path`."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def _prefix(scope: Scope) -> str:
    """What comes before the route path in `path`: the root path or nothing."""
    path: str = scope["path"]
    return path[: len(path) - len(_route_path(scope))]
