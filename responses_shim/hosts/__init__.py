"""What differs between hosts, as data and small pure functions; and which host an app is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from responses_shim.hosts import generic, llama_cpp
from responses_shim.hosts.profile import HostProfile

MAX_LAYERS = 20

__all__ = ["PROFILES", "HostProfile", "detect"]

PROFILES: dict[str, HostProfile] = {profile.name: profile for profile in (llama_cpp.PROFILE, generic.PROFILE)}


def detect(app: Any) -> HostProfile:
    """The profile of the host that `app` is, or wraps: middlewares keep what they wrap in `.app`.

    A host is known by the modules of its route functions, not by what can be imported: hosts install one another's
    packages.
    """
    for layer in _layers(app):
        for module in _modules(layer):
            for profile in PROFILES.values():
                if any(module == name or module.startswith(f"{name}.") for name in profile.modules):
                    return profile
    return generic.PROFILE


def _layers(app: Any) -> Iterator[Any]:
    for _ in range(MAX_LAYERS):  # a chain of middlewares, not a ring
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)


def _modules(routed: Any, depth: int = 0) -> Iterator[str]:
    """The modules of the route functions, those of routers inside included (a Mount's; FastAPI's, since 0.165)."""
    for route in getattr(routed, "routes", None) or ():
        if endpoint := getattr(route, "endpoint", None):
            yield str(getattr(endpoint, "__module__", ""))
        elif depth < MAX_LAYERS:
            yield from _modules(getattr(route, "original_router", route), depth + 1)
