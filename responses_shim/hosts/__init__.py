"""What differs between hosts, as data and small pure functions; and which host an app is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from responses_shim.hosts import generic, llama_cpp
from responses_shim.hosts.profile import HostProfile

__all__ = ["PROFILES", "HostProfile", "detect"]

PROFILES: dict[str, HostProfile] = {profile.name: profile for profile in (llama_cpp.PROFILE, generic.PROFILE)}


def detect(app: Any) -> HostProfile:
    """The profile of the host that `app` is, or wraps: middlewares keep what they wrap in `.app`.

    A host is known by the modules of its route functions, not by what can be imported: hosts install one another's
    packages.
    """
    for layer in _layers(app):
        for route in getattr(layer, "routes", ()):
            module = str(getattr(getattr(route, "endpoint", None), "__module__", ""))
            for profile in PROFILES.values():
                if any(module == name or module.startswith(f"{name}.") for name in profile.modules):
                    return profile
    return generic.PROFILE


def _layers(app: Any) -> Iterator[Any]:
    for _ in range(100):  # a chain of middlewares, not a ring
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)
