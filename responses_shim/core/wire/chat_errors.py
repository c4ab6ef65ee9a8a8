"""A host's error, in whichever of the shapes that servers have, as one of ours.

{"error": {"message", "type", "param", "code"}}     OpenAI's, vLLM's (with the status as `code`), rapid-mlx's
{"error": "text"}                                   mlx-lm; vLLM's 401 and 503
{"detail": "text"}                                  FastAPI's HTTPException
{"detail": [{"loc", "msg", …}]}                     FastAPI's 422
{"detail": {"error": "code", "message": "text"}}    vllm-mlx when busy
{"detail": {"error": {…}}}                          mlx-openai-server
plain text, nothing at all; in a stream frame also the inner object or text alone
"""

from __future__ import annotations

import re
from typing import Any

from responses_shim.core.wire.lenient_json import whole
from responses_shim.errors import InvalidRequest, ShimError, UpstreamError

# Chat fields in a host's complaint, and what the client called them.
_PARAMS = {
    "messages": "input",
    "input_tokens": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
_OVERFLOW = re.compile(r"context (length|window)|maximum context|exceeds? the (available )?context", re.IGNORECASE)
_MESSAGES = {
    401: "The host refused the credentials.",
    403: "The host refused access.",
    404: "The host does not know that model or route.",
    429: "The host is limiting requests.",
    503: "The host is busy.",
}


def error_from(told: Any, status: int = 500) -> ShimError:
    """`told` is JSON data or text; `status` is what HTTP said, 500 for a frame inside a stream."""
    message: Any = None
    kind: Any = None
    param: Any = None
    code: Any = None
    for _ in range(4):  # unwrap {"detail": {"error": {…}}}, taking what each layer knows
        if isinstance(told, list):
            told = told[0] if told and isinstance(told[0], dict) else None
            message = told.get("msg") if told else None
            param = _location(told.get("loc")) if told else None
            break
        if not isinstance(told, dict):
            if isinstance(told, str) and message is not None:
                code = told  # {"error": "text_generation_busy", "message": "…"}
            elif isinstance(told, str):
                message = told
            break
        message = told.get("message", message)
        kind, param, code = told.get("type", kind), told.get("param", param), told.get("code", code)
        told = told.get("error", told.get("detail"))
    if isinstance(code, int) and not isinstance(code, bool):
        status = code if 400 <= code <= 599 else status
        code = None
    if status == 422:
        status = 400
    text = message if isinstance(message, str) and message.strip() else _MESSAGES.get(status)
    text = whole(text or f"The host failed with status {status} and did not say why.")
    code = whole(code) if isinstance(code, str) and code else None
    if status in (400, 413, 500) and code is None and _OVERFLOW.search(text):
        status, code = 400, "context_length_exceeded"
    error = InvalidRequest if 400 <= status < 500 else UpstreamError
    return error(
        text,
        status=status,
        type=_type(kind, status),
        code=code or {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(status),
        param=_param(param),
    )


def _type(kind: Any, status: int) -> str:
    if isinstance(kind, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+", kind) and kind != "internal_server_error":
        return kind
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if 400 <= status < 500 else "server_error"


def _param(param: Any) -> str | None:
    if not isinstance(param, str) or not param:
        return None
    name = param.removeprefix("body.")
    return None if name.isdecimal() else _PARAMS.get(name, whole(name))


def _location(loc: Any) -> str | None:
    return ".".join(str(step) for step in loc if step != "body") if isinstance(loc, list) else None
