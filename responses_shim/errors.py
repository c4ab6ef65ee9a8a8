"""What can go wrong, told in the words of the API: whose fault it is, the HTTP status, and OpenAI's four keys.

An error is made once, where the cause is known, and is then shown in whichever of two forms the moment allows:
`body()` is the HTTP answer before a response has begun, `failure_code` goes into `response.failed` after it has.
"""

from __future__ import annotations

from collections.abc import Sequence


class ConfigurationError(Exception):
    """The operator's mistake: a bad setting, a missing extra. The message is one line that names it."""


class ShimError(Exception):
    """An error a client is shown. Not raised itself: its two children say whose fault it is.

    `status` is the HTTP status, `type` and `code` OpenAI's classification, `param` the request field at fault as
    a path (`input[2].content[0].text`), `headers` what the HTTP answer carries besides (Allow, Retry-After).
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
        """`{"error": {"message", "type", "param", "code"}}`: all four keys, always (OpenAI's `Error` schema)."""
        return {
            "error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code},
        }

    @property
    def failure_code(self) -> str:
        """The `code` of `response.error`, where clients choose between giving up and trying again.

        Codex gives up at once on `invalid_prompt` and `context_length_exceeded`, waits on `rate_limit_exceeded`,
        and retries the turn on anything else; so what a retry cannot mend must not be called `server_error`.
        """
        if self.code in _FAILURE_CODES:
            return str(self.code)
        if self.status == 429:
            return "rate_limit_exceeded"
        return "invalid_prompt" if 400 <= self.status < 500 else "server_error"


class InvalidRequest(ShimError):
    """The client's fault: a request that cannot be carried out as it stands. 400 unless said otherwise."""

    status = 400
    type = "invalid_request_error"


class UpstreamError(ShimError):
    """The host's fault, or its refusal passed on: its own status where it gave one, 502 where it gave nonsense."""

    status = 502


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
