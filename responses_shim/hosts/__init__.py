"""The differences between hosts: a profile for each kind, and the detection of which kind an app is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from responses_shim.hosts import generic, llama_cpp, mlx, vllm
from responses_shim.hosts.profile import HostProfile, Probe

__all__ = ["PROFILES", "HostProfile", "Probe", "detect"]

PROFILES: dict[str, HostProfile] = {
    profile.name: profile for profile in (llama_cpp.PROFILE, vllm.PROFILE, *mlx.PROFILES, generic.PROFILE)
}
"""Every profile by its name, which is also a value of the setting `host`."""

MAX_LAYERS = 20
"""How many middlewares, and how many routers one in another, are searched. There may be a cycle."""


def detect(app: Any) -> HostProfile:
    """The profile of the host that the ASGI app `app` is, or that it wraps as a middleware; the generic one if unknown.

    A host is recognised by the module in which the function of its chat route is defined. Which packages are installed
    says nothing, since hosts install one another's; nor do other routes, which an app may have of anybody.
    """
    for layer in _layers(app):
        for module in _chat_modules(layer):
            for profile in PROFILES.values():
                if _defines(profile, module):
                    return profile
    return generic.PROFILE


def _defines(profile: HostProfile, module: str) -> bool:
    """Whether the host of a profile defines its routes in that module."""
    if profile.also_loaded is not None and profile.also_loaded not in sys.modules:
        return False
    return any(module == name or module.startswith(f"{name}.") for name in profile.modules)


def _layers(app: Any) -> Iterator[Any]:
    """The app and what it wraps: a middleware keeps that in its attribute `app`."""
    for _ in range(MAX_LAYERS):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)


def _chat_modules(router: Any, depth: int = 0) -> Iterator[str]:
    """The modules of the functions of an app's or router's chat routes, those of routers inside it included.

    Those are in a route's own `routes` (Starlette's Mount) or in its `original_router` (FastAPI since 0.165), whose
    routes have the end of the path alone.
    """
    for route in getattr(router, "routes", None) or ():
        if endpoint := getattr(route, "endpoint", None):
            path = str(getattr(route, "path", ""))
            if path.endswith("/chat/completions") or (path and "/v1/chat/completions".endswith(path)):
                yield str(getattr(endpoint, "__module__", ""))
        elif depth < MAX_LAYERS:
            yield from _chat_modules(getattr(route, "original_router", route), depth + 1)
