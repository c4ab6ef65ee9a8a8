"""The tokens of a prompt from the host's own tokenize route, where its stream does not tell them.

vLLM's `POST /tokenize` takes the messages and what else its chat template sees, and answers `{"tokens": [...]}`.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.types import ASGIApp, Scope

from responses_shim.asgi.headers import headers_to_host
from responses_shim.asgi.inner import ask, inner_scope
from responses_shim.core.request.tokenize import tokenize_request
from responses_shim.hosts import HostProfile

logger = logging.getLogger("responses_shim")


class _Tokenized(msgspec.Struct):
    tokens: list[int]


async def prompt_tokens(
    app: ASGIApp, scope: Scope, prefix: str, profile: HostProfile, chat: dict[str, Any]
) -> list[int] | None:
    """The tokens of `chat`'s prompt; None if the host has no such route, or it does not tell them."""
    if profile.tokenize_path is None:
        return None
    body = msgspec.json.encode(tokenize_request(chat))
    headers = headers_to_host(scope["headers"], body, profile.request_id, accept=b"application/json")
    inner = inner_scope(scope, prefix + profile.tokenize_path, headers, method="POST", query_string=b"")
    try:
        status, answer = await ask(app, inner, body)
        if status == 200:
            return msgspec.json.decode(answer, type=_Tokenized).tokens or None  # llama.cpp's takes other requests
        logger.warning("the host's %s answered with status %d", profile.tokenize_path, status)
    except Exception as error:
        logger.warning("the host's %s failed: %s", profile.tokenize_path, type(error).__name__)
    return None
