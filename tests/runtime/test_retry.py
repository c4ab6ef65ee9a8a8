"""When a chat call is made again: the decision, which needs no clock, and the wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import format_datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.errors import InvalidRequest, ShimError, UpstreamError
from responses_shim.hosts import PROFILES
from responses_shim.hosts.profile import RetryRules
from responses_shim.hosts.remote import over_http
from responses_shim.runtime import retry
from responses_shim.runtime.retry import MAX_DELAY, MAX_RETRY_AFTER, Retries, RetryPolicy, retry_after
from responses_shim.runtime.signal import Signal

FIRST_DELAY = 0.5
IN_PROCESS = RetryPolicy(limit=3)
REMOTE = RetryPolicy(over_http(PROFILES["generic"]).retry, limit=3)
LIMITED = InvalidRequest("Slow down.", status=429)
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def real_delays(no_wait_before_a_retry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", FIRST_DELAY)


def failed(status: int, message: str = "No.", code: str | None = None) -> ShimError:
    return UpstreamError(message, status=status, code=code)


def after(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"Retry-After", value.encode("latin-1"))]


# Which failures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 500, 501, 502, 503, 504, 520])
def test_which_statuses_are_worth_another_call(status: int) -> None:
    assert IN_PROCESS.delay(failed(status), 0) is None
    assert (REMOTE.delay(failed(status), 0) is not None) == (status in (500, 502, 503, 504, 520))


def test_a_host_that_limits_requests_is_asked_again() -> None:
    assert IN_PROCESS.delay(LIMITED, 0) is not None
    assert REMOTE.delay(LIMITED, 0) is not None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("The host is busy.", None),  # what a 503 without a reason becomes
        ("SimpleEngine serialized route is busy; retry later", "text_generation_busy"),
        ("No.", "server_is_overloaded"),
        ("Service Unavailable", None),
        ("The queue is full.", None),
        ("At capacity.", None),
    ],
)
def test_a_503_of_a_host_that_says_it_is_busy_is_one_to_come_back_from(message: str, code: str | None) -> None:
    assert IN_PROCESS.delay(failed(503, message, code), 0) is not None


@pytest.mark.parametrize("message", ["No model is loaded.", "starting", "The engine is dead."])
def test_any_other_503_is_one_only_if_it_says_when(message: str) -> None:
    assert IN_PROCESS.delay(failed(503, message), 0) is None
    assert IN_PROCESS.delay(failed(503, message), 0, headers=after("1")) is not None


def test_a_quota_does_not_come_back() -> None:
    spent = InvalidRequest("You have spent it all.", status=429, code="insufficient_quota")
    assert REMOTE.delay(spent, 0) is None


def test_a_retry_after_makes_no_other_error_one_to_retry() -> None:
    assert IN_PROCESS.delay(failed(500), 0, headers=after("0")) is None
    assert REMOTE.delay(failed(404), 0, headers=after("0")) is None


def test_errors_in_the_opening_of_a_stream_have_statuses_of_their_own() -> None:
    busy = RetryPolicy(PROFILES["vllm-mlx"].retry, limit=3)
    assert busy.delay(failed(500), 0, in_opening=True) is not None
    assert busy.delay(failed(500), 0) is None
    assert busy.delay(failed(400), 0, in_opening=True) is None
    assert IN_PROCESS.delay(LIMITED, 0, in_opening=True) is None


def test_what_differs_between_hosts_is_which_failures() -> None:
    for profile in PROFILES.values():
        assert profile.retry.statuses == {429}
        assert profile.retry.busy_statuses == {503}
        assert over_http(profile).retry.statuses == {429, 500, 502, 503, 504, 520}


# How long ------------------------------------------------------------------------------------------------------------


def test_each_wait_is_twice_as_long() -> None:
    policy = RetryPolicy(limit=20)
    delays = [policy.delay(LIMITED, count) for count in range(20)]
    assert delays[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert set(delays[5:]) == {MAX_DELAY}


def test_chance_shortens_it_by_up_to_a_half() -> None:
    assert IN_PROCESS.delay(LIMITED, 1, chance=0.5) == 0.75
    assert IN_PROCESS.delay(LIMITED, 1, chance=1.0) == 0.5


def test_after_the_limit_there_is_none() -> None:
    assert IN_PROCESS.delay(LIMITED, 3) is None
    assert IN_PROCESS.delay(LIMITED, 3, headers=after("0")) is None
    assert RetryPolicy(limit=0).delay(LIMITED, 0) is None


def test_the_host_may_say_how_long() -> None:
    assert IN_PROCESS.delay(LIMITED, 0, headers=after("3")) == 3
    assert IN_PROCESS.delay(LIMITED, 2, headers=after("0"), chance=1.0) == 0
    assert IN_PROCESS.delay(LIMITED, 0, headers=after("2"), chance=0.5) == pytest.approx(2.1)


def test_it_may_not_say_too_long() -> None:
    assert IN_PROCESS.delay(LIMITED, 0, headers=after("10")) == MAX_RETRY_AFTER
    assert IN_PROCESS.delay(LIMITED, 0, headers=after("10.5")) is None
    assert IN_PROCESS.delay(LIMITED, 0, headers=after("9" * 5000)) is None


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", "1e3", "0x10", "١", "1; 2", "Wed, 99 Foo"])
def test_what_is_no_time_says_nothing(value: str) -> None:
    assert retry_after([(b"retry-after", value.encode())], NOW) is None
    assert IN_PROCESS.delay(LIMITED, 0, headers=[(b"retry-after", value.encode())]) == FIRST_DELAY


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), (" 7 ", 7.0), ("1.5", 1.5), ("0", 0.0), ("007", 7.0)])
def test_a_number_is_seconds(value: str, seconds: float) -> None:
    assert retry_after(after(value), NOW) == seconds


def test_a_date_is_what_is_left_until_then() -> None:
    date = datetime.fromtimestamp(NOW, timezone.utc)
    value = format_datetime(date, usegmt=True)
    assert retry_after(after(value), NOW - 4) == 4
    assert retry_after(after(value), NOW + 4) == 0
    assert retry_after(after(value.replace("GMT", "-0000")), NOW - 4) == 4
    assert IN_PROCESS.delay(LIMITED, 0, headers=after(value), now=NOW - 4) == 4
    assert IN_PROCESS.delay(LIMITED, 0, headers=after(value), now=NOW - 400) is None


@given(st.binary(max_size=80), st.floats(0, 1), st.integers(0, 5))
def test_no_value_makes_it_raise_or_wait_for_too_long(value: bytes, chance: float, retries: int) -> None:
    delay = IN_PROCESS.delay(LIMITED, retries, headers=[(b"retry-after", value)], chance=chance, now=NOW)
    assert delay is None or 0 <= delay <= MAX_RETRY_AFTER * 1.1


# The wait ------------------------------------------------------------------------------------------------------------


class Listening:
    """What a run is to the retries of its call."""

    def __init__(self, time_to_retry: float = 600.0) -> None:
        self.gone = Signal()
        self.call = anyio.CancelScope()
        self.retries = 0
        self.time_to_retry = time_to_retry

    def renew_call(self) -> None:
        self.call = anyio.CancelScope()

    def head(self, headers: object) -> None: ...

    async def data(self, data: bytes, more: bool) -> None: ...

    async def json(self, body: bytes) -> None: ...


def chances(*values: float) -> Iterator[float]:
    yield from values


@pytest.mark.anyio
async def test_a_wait_that_is_over_counts_as_a_retry() -> None:
    listener, reported = Listening(), []
    retries = Retries(IN_PROCESS, listener, lambda: reported.append(True), chance=chances(0.3, 0.3).__next__)
    for count in (1, 2):
        assert retries.plan(LIMITED, after("0"))
        assert await retries.wait()
        assert (listener.retries, len(reported)) == (count, count)


@pytest.mark.anyio
async def test_a_client_that_leaves_ends_the_wait() -> None:
    listener = Listening()
    retries = Retries(RetryPolicy(RetryRules(), 1), listener)
    assert retries.plan(LIMITED, after("9"))
    async with anyio.create_task_group() as group:

        async def leave() -> None:
            listener.gone.set()

        group.start_soon(leave)
        with anyio.fail_after(5):  # less than the wait
            assert not await retries.wait()
    assert listener.retries == 0


@pytest.mark.anyio
async def test_a_call_that_is_cancelled_ends_the_wait() -> None:
    listener = Listening()
    retries = Retries(IN_PROCESS, listener)
    assert retries.plan(LIMITED, after("9"))
    async with anyio.create_task_group() as group:

        async def cancel() -> None:
            listener.call.cancel()

        group.start_soon(cancel)
        with anyio.fail_after(5):  # less than the wait
            assert not await retries.wait()


@pytest.mark.anyio
async def test_no_wait_is_begun_that_would_last_longer_than_there_is_time() -> None:
    assert not Retries(IN_PROCESS, Listening(time_to_retry=3), chance=lambda: 0.0).plan(LIMITED, after("3"))
    assert Retries(IN_PROCESS, Listening(time_to_retry=3), chance=lambda: 0.0).plan(LIMITED, after("2"))
    assert not Retries(IN_PROCESS, Listening(time_to_retry=0)).plan(LIMITED, after("0"))


@pytest.mark.anyio
async def test_a_wait_after_which_the_time_is_over_is_no_retry() -> None:
    listener = Listening()
    retries = Retries(IN_PROCESS, listener)
    assert retries.plan(LIMITED, after("0"))
    listener.time_to_retry = 0
    assert not await retries.wait()
