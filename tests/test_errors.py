"""Errors: the body of an HTTP error, and the failure code by which a client decides whether to try again."""

from __future__ import annotations

import pytest

from responses_shim.errors import ConfigurationError, InvalidRequest, ShimError, UpstreamError
from tests.oracle import check_error


def test_the_body_always_has_all_four_keys() -> None:
    error = InvalidRequest("No.")
    check_error(error.body())
    assert error.body() == {"error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}}
    assert str(error) == "No."
    assert error.headers == ()


def test_status_type_code_param_and_headers_can_be_given() -> None:
    error = UpstreamError("No.", param="input", code="c", status=503, type="t", headers=[("retry-after", "3")])
    assert error.body() == {"error": {"message": "No.", "type": "t", "param": "input", "code": "c"}}
    assert (error.status, error.headers) == (503, (("retry-after", "3"),))


def test_each_class_has_a_default_status_and_type() -> None:
    assert (InvalidRequest("").status, InvalidRequest("").type) == (400, "invalid_request_error")
    assert (UpstreamError("").status, UpstreamError("").type) == (502, "server_error")
    assert issubclass(InvalidRequest, ShimError)
    assert issubclass(UpstreamError, ShimError)
    assert not issubclass(ConfigurationError, ShimError), "a client must never see the operator's mistake"


@pytest.mark.parametrize(
    "code",
    [
        "context_length_exceeded",
        "insufficient_quota",
        "invalid_prompt",
        "rate_limit_exceeded",
        "server_error",
        "server_is_overloaded",
        "slow_down",
    ],
)
def test_a_code_that_clients_know_is_the_failure_code(code: str) -> None:
    assert UpstreamError("", code=code).failure_code == code
    assert InvalidRequest("", code=code, status=429).failure_code == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("", code="invalid_value"), "invalid_prompt"),
        (InvalidRequest("", status=401, code="invalid_api_key"), "invalid_prompt"),
        (InvalidRequest("", status=499), "invalid_prompt"),
        (InvalidRequest("", status=429), "rate_limit_exceeded"),
        (UpstreamError("", status=500), "server_error"),
        (UpstreamError("", status=503, code="text_generation_busy"), "server_error"),
    ],
)
def test_for_any_other_code_the_failure_code_says_whether_a_retry_helps(error: ShimError, code: str) -> None:
    assert error.failure_code == code
