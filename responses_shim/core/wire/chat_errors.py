"""A host's error body, in any of the shapes that servers send, as a `ShimError`.

{"error": {"message", "type", "param", "code"}}     OpenAI's, vLLM's (with the status as `code`), rapid-mlx's
{"error": "text"}                                   mlx-lm; vLLM's 401 and 503
{"error": "text", "error_type": "validation"}       TGI
{"detail": "text"}                                  FastAPI's HTTPException
{"detail": [{"loc", "msg", …}]}                     FastAPI's 422
{"detail": {"error": "code", "message": "text"}}    vllm-mlx when busy
{"detail": {"error": {…}}}                          mlx-openai-server
{"code", "msg"}, {"errors": [{"message"}]}          gateways
plain text, or nothing; in a frame of a stream also the inner object or the text alone

A message may be a page of a gateway, or repeat the request: its first 2 kB are passed on. Codes and types come as words
or as an HTTP status, that as a number or as text; `"None"` and `"null"` are none.
"""

from __future__ import annotations

import re
from typing import Any

from responses_shim.core.wire.lenient_json import join_surrogates
from responses_shim.core.wire.overflow import CODES, says_too_long
from responses_shim.errors import MAX_QUOTED, InvalidRequest, ShimError, UpstreamError, excerpt

# Fields of the chat request that a host's error may name, and the client's names for them.
_PARAMS = {
    "messages": "input",
    "input_tokens": "input",
    "prompt": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "max_new_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
_STATUS_KEYS = ("status", "status_code")
_STATUS_OF_WORDS = (
    (429, re.compile(r"rate_?limit|too_?many_?requests|insufficient_?quota")),
    (503, re.compile(r"overloaded|busy|unavailable|capacity|queue_?full|slow_?down")),
    (401, re.compile(r"invalid_?api_?key|authentication|unauthorized")),
    (403, re.compile(r"permission|forbidden")),
    (404, re.compile(r"not_?found")),
    (504, re.compile(r"time_?d?_?out")),
    (400, re.compile(r"bad_?request|invalid_?(request|prompt|value|parameter)|^validation$|validation_?error")),
)
"""The status that the words of a code or type stand for, for an error that gives none: in a stream there is none."""
_OVERFLOW_STATUS = (400, 413, 500, 502)
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_MESSAGES = {
    401: "The host refused the credentials.",
    403: "The host refused access.",
    404: "The host does not know that model or route.",
    429: "The host is limiting requests.",
    503: "The host is busy.",
}


def error_from(body: Any, status: int | None = None) -> ShimError:
    """Read a host's error: an `InvalidRequest` for a status of 4xx, an `UpstreamError` for any other.

    - `body`: the JSON data or the text of the error, in one of the shapes above
    - `status`: the HTTP status; None for a frame inside a stream, whose status is what its code or type stands for, or
      500. A status that the body gives as its `code` counts before it, and a 422 becomes a 400.

    A prompt that is too long has the code `context_length_exceeded` and the status 400, whatever code and words the
    host uses.

    The message is cut to `MAX_QUOTED` bytes.
    """
    message: Any = None
    kind: Any = None
    param: Any = None
    code: Any = None
    given: Any = None  # a status in the body
    for _ in range(4):  # unwrap {"detail": {"error": {…}}}, and take from each layer what it has
        if isinstance(body, list):
            body = body[0] if body and isinstance(body[0], dict) else None
            message = body.get("msg", body.get("message")) if body else None
            param = _location(body.get("loc")) if body else None
            break
        if not isinstance(body, dict):
            if isinstance(body, str) and message is not None:
                code = body  # {"error": "text_generation_busy", "message": "…"}
            elif isinstance(body, str):
                message = body
            break
        message = body.get("message", body.get("msg", message))
        kind = body.get("type", body.get("error_type", kind))
        param, code = body.get("param", param), body.get("code", code)
        given = next((body[key] for key in _STATUS_KEYS if key in body), given)
        body = body.get("error", body.get("detail", body.get("errors")))
    kind, param, code = _short_word(kind), _short_word(param), _short_word(code)
    stated = next((number for value in (code, given, kind) if (number := _status(value)) is not None), None)
    code = None if isinstance(code, int) or _status(code) is not None else code
    kind = None if _status(kind) is not None else kind
    words = [word.lower() for word in (code, kind) if isinstance(word, str)]
    status = stated or status or _status_of(words) or 500
    if status == 422:
        status = 400
    text = _word(message) if isinstance(message, str) and message.strip() else None
    text = text or _MESSAGES.get(status) or _no_reason(status)
    param = _param(param)
    if not CODES.isdisjoint(words) or (
        status in _OVERFLOW_STATUS and param != "max_output_tokens" and says_too_long(text)
    ):
        status, code, kind = 400, "context_length_exceeded", "invalid_request_error"
    elif code is None and isinstance(kind, str) and kind in _KNOWN_CODES:
        code = kind
    error = InvalidRequest if 400 <= status < 500 else UpstreamError
    return error(
        excerpt(join_surrogates(text[: MAX_QUOTED + 1])),
        status=status,
        type=_type(kind, status),
        code=join_surrogates(code) if isinstance(code, str) else _CODES.get(status),
        param=param,
    )


_KNOWN_CODES = (
    "rate_limit_exceeded",
    "insufficient_quota",
    "server_is_overloaded",
    "invalid_api_key",
    "model_not_found",
)
"""OpenAI's codes that hosts also put into `type`."""


def _no_reason(status: int) -> str:
    return f"The host failed with status {status} and did not say why."


MAX_WORD = 200
"""The longest code, type or param of a host, in characters. What is longer is none."""


def _word(value: Any) -> Any:
    """`value`, or None where it is a text that stands for nothing."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none", "null") else value


def _short_word(value: Any) -> Any:
    """`_word`, or None for a text that is too long for a code."""
    return None if isinstance(value, str) and len(value) > MAX_WORD else _word(value)


def _status(value: Any) -> int | None:
    """An HTTP status of an error, which may be a text or a float; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) == 3:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 400 <= value <= 599:
        return None
    return int(value)


def _status_of(words: list[str]) -> int | None:
    """The status that the first known one of these words stands for."""
    return next((status for word in words for status, known in _STATUS_OF_WORDS if known.search(word)), None)


def _type(kind: Any, status: int) -> str:
    """The host's type of error if it is one of OpenAI's (`snake_case`, not a class name), else one for the status."""
    if isinstance(kind, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+", kind) and kind not in _NOT_TYPES:
        return kind
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if 400 <= status < 500 else "server_error"


_NOT_TYPES = ("internal_server_error", *_KNOWN_CODES)


def _param(param: Any) -> str | None:
    """The field that the host's error is about, by the client's name for it.

    Its path may be written `messages.0.content` or `messages[0].content`. The messages were made of the input, but not
    one from each item: a path into them names the input.
    """
    if not isinstance(param, str):
        return None
    steps = [step for step in re.split(r"[.\[\]]+", join_surrogates(param)) if step]
    if steps[:1] == ["body"]:
        steps = steps[1:]
    if not steps or steps[0].isdecimal():
        return None
    name = _PARAMS.get(steps[0], steps[0])
    rest = steps[1:]
    if name == "input":
        return name
    if name == "text.format":
        rest = [step for step in rest if step != "json_schema"]
    elif name in ("tools", "tool_choice"):
        rest = [step for step in rest if step != "function"]
    return name + "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in rest)


def _location(loc: Any) -> str | None:
    """FastAPI's `["body", "tools", 0]` as the path `tools.0`."""
    return ".".join(str(step) for step in loc if step != "body") if isinstance(loc, list) else None
