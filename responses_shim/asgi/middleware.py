"""`ResponsesShim`: the Responses API on an ASGI app that speaks Chat Completions.

What is ours: `/v1/responses`, what is below it, and `/v1/conversations` likewise; and `/v1/models` where Codex asks.
Everything else goes to the app untouched, with the very objects that the server handed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from responses_shim.asgi.create import create
from responses_shim.asgi.models import asks_for_catalog, model_catalog
from responses_shim.asgi.request import Request
from responses_shim.asgi.routes import not_found, upgrade_required, wrong_method
from responses_shim.errors import ConfigurationError
from responses_shim.hosts import PROFILES, HostProfile, detect
from responses_shim.runtime.interceptors import Interceptor, check_interceptors
from responses_shim.runtime.sealing import Keys
from responses_shim.settings import Options, Settings

if TYPE_CHECKING:
    from typing_extensions import Unpack  # comes with pydantic

_OURS = re.compile(r"/v1/(?P<collection>responses|conversations)(?P<rest>/[^?]*)?")
_MODELS = re.compile(r"/v1/models/?")
_OURS_UNPREFIXED = re.compile(r"(/v1)?/(?P<collection>responses|conversations)(?P<rest>/[^?]*)?")
_MODELS_UNPREFIXED = re.compile(r"(/v1)?/models/?")
# Paths that a proxy may read otherwise than we do are left to the host.
_ODD = re.compile(r"//|/\.\.?(/|$)")


class ResponsesShim:
    """ASGI middleware: `app.add_middleware(ResponsesShim)`, or `ResponsesShim(app)` around any ASGI app.

    Settings come as keyword arguments, as one `Settings`, or from `RESPONSES_SHIM_*` variables, so that a host that
    passes nothing but the app (`vllm serve --middleware`) can mount it. `interceptors` are code, and come as an
    argument only. Raises ConfigurationError.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings | None = None,
        *,
        interceptors: Sequence[Interceptor] = (),
        **options: Unpack[Options],
    ) -> None:
        if settings is not None and options:
            raise ConfigurationError("settings: give one Settings or keyword arguments, not both")
        self.app = app
        self.settings = settings if settings is not None else Settings.load(**options)
        self._ours = _OURS_UNPREFIXED if self.settings.unprefixed else _OURS
        self._models = _MODELS_UNPREFIXED if self.settings.unprefixed else _MODELS
        self._interceptors = check_interceptors(interceptors)
        self._keys = Keys.load(self.settings)
        self._profile: HostProfile | None = PROFILES.get(self.settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _route_path(scope) if scope["type"] in ("http", "websocket") else None
        ours = self._ours.fullmatch(path) if path is not None and self.settings.enabled else None
        if self._wants_catalog(scope, path):
            await model_catalog(self._request(scope, receive, send))
        elif ours is None or scope.get("method") == "OPTIONS" or _odd(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._refuse_websocket(scope, receive, send, ours)
        else:
            await self._answer(self._request(scope, receive, send), ours)

    def _request(self, scope: Scope, receive: Receive, send: Send) -> Request:
        return Request(
            self.app,
            self.settings,
            self._keys,
            self._interceptors,
            self._host(scope),
            _prefix(scope),
            scope,
            receive,
            send,
        )

    def _wants_catalog(self, scope: Scope, path: str | None) -> bool:
        return (
            path is not None
            and self.settings.enabled
            and self._models.fullmatch(path) is not None
            and asks_for_catalog(scope)
            and not _odd(scope)
            and self._host(scope).catalog
        )

    async def _answer(self, request: Request, ours: re.Match[str]) -> None:
        if ours["collection"] == "conversations" or ours["rest"] not in (None, "/"):
            await not_found(request)
        elif any(
            name.lower() == b"upgrade" and value.lower() == b"websocket" for name, value in request.scope["headers"]
        ):
            await upgrade_required(request.send)  # a server without WebSocket support shows the upgrade as a GET
        elif request.scope["method"] != "POST":
            await wrong_method(request)
        else:
            await create(request)

    async def _refuse_websocket(self, scope: Scope, receive: Receive, send: Send, ours: re.Match[str]) -> None:
        if ours["collection"] != "responses" or ours["rest"] not in (None, "/"):
            await self.app(scope, receive, send)
            return
        await receive()  # websocket.connect
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008, "reason": "use POST"})
            return

        async def send_http(message: Message) -> None:
            await send({**message, "type": f"websocket.{message['type']}"})

        await upgrade_required(send_http)

    def _host(self, scope: Scope) -> HostProfile:
        """The host's profile, found at the first request: routes may be added until then."""
        if self._profile is None:
            found = detect(self.app)
            self._profile = found if found.modules else detect(scope.get("app"))
        return self._profile


def _odd(scope: Scope) -> bool:
    return _ODD.search(scope["path"]) is not None or b"%2f" in (scope.get("raw_path") or b"").lower()


def _route_path(scope: Scope) -> str:
    """The path below root_path, as Starlette's routing sees it; servers differ in whether `path` has the root."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def _prefix(scope: Scope) -> str:
    path: str = scope["path"]
    return path[: len(path) - len(_route_path(scope))]
