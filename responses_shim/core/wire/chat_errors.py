"""A host's error body, in any of the shapes that servers send, as a `ShimError`.

{"error": {"message", "type", "param", "code"}}     OpenAI's, vLLM's (with the status as `code`), rapid-mlx's
{"error": "text"}                                   mlx-lm; vLLM's 401 and 503
{"detail": "text"}                                  FastAPI's HTTPException
{"detail": [{"loc", "msg", …}]}                     FastAPI's 422
{"detail": {"error": "code", "message": "text"}}    vllm-mlx when busy
{"detail": {"error": {…}}}                          mlx-openai-server
plain text, or nothing; in a frame of a stream also the inner object or the text alone
"""

from __future__ import annotations

import re
from typing import Any

from responses_shim.core.wire.lenient_json import join_surrogates
from responses_shim.errors import InvalidRequest, ShimError, UpstreamError

# Fields of the chat request that a host's error may name, and the client's names for them.
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


def error_from(body: Any, status: int = 500) -> ShimError:
    """Read a host's error: an `InvalidRequest` for a status of 4xx, an `UpstreamError` for any other.

    - `body`: the JSON data or the text of the error, in one of the shapes above
    - `status`: the HTTP status; 500 for a frame inside a stream, which has none. A status that the body gives as its
      `code` counts before it, and a 422 becomes a 400.

    A prompt that is too long has the code `context_length_exceeded` and the status 400, whatever words the host uses.
    """
    message: Any = None
    kind: Any = None
    param: Any = None
    code: Any = None
    for _ in range(4):  # unwrap {"detail": {"error": {…}}}, and take from each layer what it has
        if isinstance(body, list):
            body = body[0] if body and isinstance(body[0], dict) else None
            message = body.get("msg") if body else None
            param = _location(body.get("loc")) if body else None
            break
        if not isinstance(body, dict):
            if isinstance(body, str) and message is not None:
                code = body  # {"error": "text_generation_busy", "message": "…"}
            elif isinstance(body, str):
                message = body
            break
        message = body.get("message", message)
        kind, param, code = body.get("type", kind), body.get("param", param), body.get("code", code)
        body = body.get("error", body.get("detail"))
    if isinstance(code, int) and not isinstance(code, bool):
        status = code if 400 <= code <= 599 else status
        code = None
    if status == 422:
        status = 400
    text = message if isinstance(message, str) and message.strip() else _MESSAGES.get(status)
    text = join_surrogates(text or f"The host failed with status {status} and did not say why.")
    code = join_surrogates(code) if isinstance(code, str) and code else None
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
    """The host's type of error if it is one of OpenAI's (`snake_case`, not a class name), else one for the status."""
    if isinstance(kind, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+", kind) and kind != "internal_server_error":
        return kind
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if 400 <= status < 500 else "server_error"


def _param(param: Any) -> str | None:
    """The field that the host's error is about, by the client's name for it."""
    if not isinstance(param, str) or not param:
        return None
    name = param.removeprefix("body.")
    return None if name.isdecimal() else _PARAMS.get(name, join_surrogates(name))


def _location(loc: Any) -> str | None:
    """FastAPI's `["body", "tools", 0]` as the path `tools.0`."""
    return ".".join(str(step) for step in loc if step != "body") if isinstance(loc, list) else None
