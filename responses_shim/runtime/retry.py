"""Whether, and when, a chat call that has failed is made again. It is, as long as nobody has seen anything of it:

- The host has sent nothing of an answer: it has refused the call (a 429, a 503), or could not be reached.
- The client has been sent nothing since the call began. A stream begins `commit_after` seconds after its request, and
  from then on nothing more is tried: a wait that would last longer is not begun, so that the error has its HTTP status.
  What begins before its calls do (a response in the background, the second round of one) has all the time it needs.

`RetryPolicy` decides by what it is given, without a clock or chance of its own. `Retries` waits.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime

import anyio

from responses_shim.errors import ShimError
from responses_shim.hosts.profile import DEFAULT_RETRIES, RetryRules
from responses_shim.runtime.interfaces import Listener, RawHeaders

FIRST_DELAY = 0.5
"""Seconds before the first retry, at most: each wait is shortened at random by up to a half. They double each time."""
MAX_DELAY = 8.0
"""How many seconds they grow to."""
MAX_RETRY_AFTER = 10.0
"""The longest `Retry-After`, in seconds, that is waited for. With a longer one the error goes to the client."""

_SECONDS = re.compile(r"\d+(\.\d*)?", re.ASCII)
_BUSY = re.compile(r"busy|overload|unavailable|capacity|queue|slow.?down|too many|rate.?limit|again later|retry")
_FINAL_CODES = frozenset({"insufficient_quota", "upstream_unauthorized"})
"""The codes of errors that another call a moment later cannot change, whatever their status."""


@dataclass(frozen=True)
class RetryPolicy:
    """Decides by `rules` which failures are worth another call, and makes up to `limit` more."""

    rules: RetryRules = DEFAULT_RETRIES
    limit: int = 3

    def delay(
        self,
        error: ShimError,
        retries: int,
        *,
        headers: RawHeaders | None = None,
        in_opening: bool = False,
        chance: float = 0.0,
        now: float = 0.0,
    ) -> float | None:
        """How many seconds to wait before the call is made again; None if it is not.

        - `error`: why it failed
        - `retries`: how many times it has been made again
        - `headers`: those of the host's answer
        - `in_opening`: whether the error was in the event stream, before anything of the answer
        - `chance`: a random number from 0 to 1, by which calls that failed together do not come back together
        - `now`: Unix seconds, for a `Retry-After` that is a date
        """
        after = retry_after(headers or (), now)
        if retries >= self.limit or not self._may_pass(error, in_opening, asks=after is not None):
            return None
        if after is None:
            return float(min(FIRST_DELAY * 2**retries, MAX_DELAY) * (1 - chance / 2))
        return after * (1 + chance / 10) if after <= MAX_RETRY_AFTER else None

    def _may_pass(self, error: ShimError, in_opening: bool, *, asks: bool) -> bool:
        """Whether the reason of a failure may be gone in a moment. `asks`: there is a `Retry-After`."""
        if error.code in _FINAL_CODES:
            return False
        if in_opening:
            return error.status in self.rules.opening_statuses
        if error.status in self.rules.statuses:
            return True
        words = f"{error.code} {error.message}".lower()
        return error.status in self.rules.busy_statuses and (asks or _BUSY.search(words) is not None)


def retry_after(headers: Iterable[tuple[bytes, bytes]], now: float) -> float | None:
    """The seconds from `now`, Unix time, that a `Retry-After` asks for (RFC 9110 §10.2.3); None if there is none.

    It is a number, which may have a fraction, or a date. A date that has passed is 0.
    """
    given = next((value for name, value in headers if name.lower() == b"retry-after"), None)
    if given is None:
        return None
    text = given[:64].decode("latin-1").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, date.replace(tzinfo=date.tzinfo or timezone.utc).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


class Retries:
    """The retries of one chat call, which reports to `listener`: ask `plan` when it has failed, then await `wait`."""

    def __init__(
        self,
        policy: RetryPolicy,
        listener: Listener,
        on_retry: Callable[[], None] | None = None,
        *,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._listener = listener
        self._on_retry = on_retry
        self._chance = chance
        self._now = now
        self._count = 0
        self._delay = 0.0

    @property
    def possible(self) -> bool:
        """Whether the call may be made again at all, so that its request is still needed."""
        return self._count < self._policy.limit

    def plan(self, error: ShimError, headers: RawHeaders | None = None, *, in_opening: bool = False) -> bool:
        """Whether the call is to be made again after this error. The parameters are those of `RetryPolicy.delay`."""
        if not self.possible:
            return False
        delay = self._policy.delay(
            error, self._count, headers=headers, in_opening=in_opening, chance=self._chance(), now=self._now()
        )
        self._delay = delay or 0.0
        return delay is not None and delay < self._listener.time_to_retry

    async def wait(self) -> bool:
        """Wait as planned. False if the call is not to be made again after all, as for a client that has left."""
        listener = self._listener
        listener.renew_call()
        with listener.call as call, anyio.move_on_after(self._delay):
            await listener.gone.wait()
        if call.cancel_called or listener.gone.is_set() or listener.time_to_retry <= 0:
            return False
        listener.renew_call()
        listener.retries += 1
        self._count += 1
        if self._on_retry is not None:
            self._on_retry()
        return True
