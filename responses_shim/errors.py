"""The errors that a client gets, and the one that an operator gets.

An error that a client gets says whose fault it is, and has the HTTP status and the four fields that OpenAI's errors
have. It is raised where the cause is known. Before the response has begun it is sent as an HTTP error with the JSON of
`body()`; after that it is an `error` event with the same fields, and its `failure_code` is the code in the
`response.failed` that follows.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_QUOTED = 2048
"""How much of a text from outside an error's message repeats, in bytes of UTF-8."""


def excerpt(text: str) -> str:
    """The beginning of a text that a client or a host has sent, for a message: up to `MAX_QUOTED` bytes of UTF-8.

    What was cut off is shown by `…` at the end. Half of a surrogate pair, which UTF-8 cannot hold, becomes `?`.
    """
    quoted = text[:MAX_QUOTED].encode("utf-8", "replace")
    if len(text) <= MAX_QUOTED and len(quoted) <= MAX_QUOTED:
        return quoted.decode()
    return quoted[: MAX_QUOTED - 3].decode("utf-8", "ignore") + "…"


class ConfigurationError(Exception):
    """A mistake of the operator: a wrong setting, a missing extra. The message is one line that names it."""


class ShimError(Exception):
    """An error that a client gets: its own fault (InvalidRequest), the host's (UpstreamError), or this server's.

        InvalidRequest("This model is for teams.", status=403, code="no_team")

    - `message`: a sentence for a person
    - `status`: the HTTP status
    - `type`, `code`: OpenAI's classification, such as `invalid_request_error` and `context_length_exceeded`
    - `param`: the path of the request field that is wrong, such as `input[2].content[0].text`
    - `headers`: HTTP headers to send with the error (Allow, Retry-After), pairs of name and value
    """

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        type: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = tuple(headers)
        self.code = code if code is not None else self.code
        self.status = status if status is not None else self.status
        self.type = type if type is not None else self.type

    def body(self) -> dict[str, dict[str, str | None]]:
        """The JSON body of the HTTP error: `{"error": {"message": …, "type": …, "param": …, "code": …}}`.

        All four keys are always there, as OpenAI's `Error` schema requires; `param` and `code` may be None.
        """
        return {
            "error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code},
        }

    @property
    def failure_code(self) -> str:
        """The code for `response.error.code`, by which clients decide whether to try again.

        Codex gives up on `invalid_prompt` and `context_length_exceeded`, waits on `rate_limit_exceeded`, and repeats
        the turn on any other code. So an error that would occur again must not be `server_error`.
        """
        if self.code in _FAILURE_CODES:
            return str(self.code)
        if self.status == 429:
            return "rate_limit_exceeded"
        return "invalid_prompt" if 400 <= self.status < 500 else "server_error"


class InvalidRequest(ShimError):
    """The client's fault: the request is wrong, or not allowed. The status is 400 unless another one is given."""

    status = 400
    type = "invalid_request_error"


class UpstreamError(ShimError):
    """The host's fault: it failed, or sent something unreadable. The status is 502 unless another one is given."""

    status = 502


# Codes with a meaning to clients (see `failure_code`): an error that has one keeps it.
_FAILURE_CODES = frozenset(
    {
        "context_length_exceeded",
        "insufficient_quota",
        "invalid_prompt",
        "rate_limit_exceeded",
        "server_error",
        "server_is_overloaded",
        "slow_down",
    }
)
