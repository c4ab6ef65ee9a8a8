"""Whether a host has a route of its own for a path: one that is meant for it, not one that answers everything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.routing import Match

MAX_LAYERS = 20
"""How many middlewares are looked through for the app that has the routes."""

_REQUEST: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "server": ("127.0.0.1", 80),
    "client": ("127.0.0.1", 1),
    "root_path": "",
    "path_params": {},
    "query_string": b"",
    "headers": [],
}
"""The ASGI scope of a request without its path, with which routes are asked whether they would answer it."""


def has_route(app: Any, path: str) -> bool:
    """Whether the Starlette or FastAPI app that `app` is, or wraps, has a route for a POST at `path`.

    `path` is complete, as `/v1/responses` is. A middleware keeps the app that it wraps in its attribute `app`.
    """
    for _ in range(MAX_LAYERS):
        if app is None:
            break
        routes = getattr(app, "routes", None)
        if routes is not None:
            scope = {**_REQUEST, "app": app, "path": path, "raw_path": path.encode()}
            return _has_route(routes, scope, _ending(path))
        app = getattr(app, "app", None)
    return False


def _ending(path: str) -> str:
    """The end of the path, which the route itself must have: routers and mounts may bring the beginning."""
    return path.removeprefix("/v1")


def _has_route(routes: Iterable[Any], scope: dict[str, Any], ending: str) -> bool:
    """Whether a route answers the request of this scope, and its own path has this ending: a catch-all has another."""
    for route in routes:
        # Of routers that are included, FastAPI (since 0.165) keeps the originals: their routes have no prefix yet.
        included = getattr(route, "original_router", None)
        match, child_scope = route.matches({**scope})
        if match is not Match.FULL:
            continue
        if included is not None:
            found = _is_named(included.routes, ending)
        elif hasattr(route, "path_regex") and not getattr(route, "routes", None):
            found = route.path.endswith(ending)
        else:
            found = _has_route(getattr(route, "routes", None) or (), {**scope, **child_scope}, ending)
        if found:
            return True
    return False


def _is_named(routes: Iterable[Any], ending: str) -> bool:
    """Whether a route, or one inside it, has a path with this ending, or a part of it behind the router's prefix."""
    for route in routes:
        path = str(getattr(route, "path", ""))
        inner = getattr(getattr(route, "original_router", route), "routes", None) or ()
        if path.endswith(ending) or (path and ending.endswith(path)) or _is_named(inner, ending):
            return True
    return False
