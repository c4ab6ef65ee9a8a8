"""OpenAI's Responses API for any ASGI server that speaks Chat Completions, mounted in its own process.

    app.add_middleware(ResponsesShim)

The names are loaded on first use, so that `responses_shim.core`, which is pure, can be imported alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from responses_shim.asgi.middleware import ResponsesShim as ResponsesShim
    from responses_shim.errors import ConfigurationError as ConfigurationError
    from responses_shim.errors import InvalidRequest as InvalidRequest
    from responses_shim.errors import ShimError as ShimError
    from responses_shim.errors import UpstreamError as UpstreamError
    from responses_shim.settings import Settings as Settings

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "InvalidRequest",
    "ResponsesShim",
    "Settings",
    "ShimError",
    "UpstreamError",
    "__version__",
]

_HOMES = {
    "ConfigurationError": "responses_shim.errors",
    "InvalidRequest": "responses_shim.errors",
    "ResponsesShim": "responses_shim.asgi.middleware",
    "Settings": "responses_shim.settings",
    "ShimError": "responses_shim.errors",
    "UpstreamError": "responses_shim.errors",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
