"""OpenAI's Responses API for any ASGI server that speaks Chat Completions, mounted in its own process.

    app.add_middleware(ResponsesShim)

The public names are imported on first use, so that importing `responses_shim.core`, which is pure, loads no framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from responses_shim.asgi.middleware import ResponsesShim as ResponsesShim
    from responses_shim.errors import ConfigurationError as ConfigurationError
    from responses_shim.errors import InvalidRequest as InvalidRequest
    from responses_shim.errors import ShimError as ShimError
    from responses_shim.errors import UpstreamError as UpstreamError
    from responses_shim.runtime.interceptors import Interceptor as Interceptor
    from responses_shim.settings import Settings as Settings
    from responses_shim.views.items import Message as Message
    from responses_shim.views.items import Part as Part
    from responses_shim.views.items import ToolCall as ToolCall
    from responses_shim.views.request import RequestView as RequestView
    from responses_shim.views.request import Tool as Tool
    from responses_shim.views.response import ResponseView as ResponseView

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "Interceptor",
    "InvalidRequest",
    "Message",
    "Part",
    "RequestView",
    "ResponseView",
    "ResponsesShim",
    "Settings",
    "ShimError",
    "Tool",
    "ToolCall",
    "UpstreamError",
    "__version__",
]

_MODULES = {
    "ConfigurationError": "responses_shim.errors",
    "Interceptor": "responses_shim.runtime.interceptors",
    "InvalidRequest": "responses_shim.errors",
    "Message": "responses_shim.views.items",
    "Part": "responses_shim.views.items",
    "RequestView": "responses_shim.views.request",
    "ResponseView": "responses_shim.views.response",
    "ResponsesShim": "responses_shim.asgi.middleware",
    "Settings": "responses_shim.settings",
    "ShimError": "responses_shim.errors",
    "Tool": "responses_shim.views.request",
    "ToolCall": "responses_shim.views.items",
    "UpstreamError": "responses_shim.errors",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
