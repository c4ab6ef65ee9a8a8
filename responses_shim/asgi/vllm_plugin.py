"""The shim as a plugin of vLLM's API server (entry-point group `vllm.endpoint_plugins`, as in vLLM 0.32).

    VLLM_PLUGINS=responses_shim vllm serve MODEL

mounts it where vLLM adds its own middlewares around it: inside the check of the key, CORS and request ids. vLLM loads
such a plugin only if `VLLM_PLUGINS` names it. Settings come from the environment.
"""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette

from responses_shim.asgi.middleware import ResponsesShim


class _NumberedOutside(ResponsesShim):
    """The shim behind vLLM's own `XRequestIdMiddleware` (`--enable-request-id-headers`)."""

    _echoes_request_id = False


class VLLMPlugin:
    """What vLLM makes of the entry point: its protocol `EndpointPlugin` (`vllm.plugins.endpoint_plugins.interface`)."""

    name = "responses_shim"
    """What `VLLM_PLUGINS` calls it."""

    required_tasks = ("generate",)
    """vLLM mounts it only on a server that does one of these: one for embeddings has no chat route."""

    def attach_router(self, app: Starlette) -> None:
        """Mount the shim. vLLM calls this when its routes are there and before it adds its middlewares."""
        numbered_outside = getattr(getattr(app.state, "args", None), "enable_request_id_headers", False)
        app.add_middleware(_NumberedOutside if numbered_outside else ResponsesShim)

    async def init_state(self, engine_client: Any, state: Any, args: Any) -> None:
        """Do nothing: the shim reaches the engine by the chat route alone."""
