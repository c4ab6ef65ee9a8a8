"""A host's error, in every shape that servers send."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.chunks import ChunkDecoder
from responses_shim.errors import InvalidRequest, UpstreamError
from tests.oracle import check_error

SHAPES: dict[str, tuple[Any, int, dict[str, str | None]]] = {
    "OpenAI's": (
        {"error": {"message": "No.", "type": "invalid_request_error", "param": "top_p", "code": "bad"}},
        400,
        {"message": "No.", "type": "invalid_request_error", "param": "top_p", "code": "bad"},
    ),
    "vLLM's, with the status as code": (
        {"error": {"message": "No model.", "type": "NotFoundError", "param": "model", "code": 404}},
        404,
        {"message": "No model.", "type": "invalid_request_error", "param": "model", "code": None},
    ),
    "vLLM's, older: the inner object alone": (
        {"object": "error", "message": "No.", "type": "BadRequestError", "param": None, "code": 400},
        400,
        {"message": "No.", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "a text under `error`": (
        {"error": "Unauthorized"},
        401,
        {"message": "Unauthorized", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"},
    ),
    "FastAPI's HTTPException": (
        {"detail": "Invalid API key"},
        401,
        {"message": "Invalid API key", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"},
    ),
    "FastAPI's validation": (
        {"detail": [{"type": "missing", "loc": ["body", "max_tokens"], "msg": "Field required", "input": {}}]},
        422,
        {"message": "Field required", "type": "invalid_request_error", "param": "max_output_tokens", "code": None},
    ),
    "a code and a message": (
        {"detail": {"error": "text_generation_busy", "message": "Busy."}},
        503,
        {"message": "Busy.", "type": "server_error", "param": None, "code": "text_generation_busy"},
    ),
    "OpenAI's inside FastAPI's": (
        {"detail": {"error": {"message": "No.", "type": "server_error", "param": None, "code": None}}},
        500,
        {"message": "No.", "type": "server_error", "param": None, "code": None},
    ),
    "plain text": (
        "Internal Server Error",
        500,
        {"message": "Internal Server Error", "type": "server_error", "param": None, "code": None},
    ),
    "llama-cpp-python's": (
        {
            "error": {
                "message": "Tool choice 'f' not found.",
                "type": "internal_server_error",
                "param": None,
                "code": None,
            }
        },
        500,
        {"message": "Tool choice 'f' not found.", "type": "server_error", "param": None, "code": None},
    ),
    "a limit": (
        {"error": {"message": "Slow down.", "type": None, "code": 429}},
        429,
        {"message": "Slow down.", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_becomes_the_one_with_four_keys(shape: str) -> None:
    body, status, expected = SHAPES[shape]
    error = error_from(body, status)
    check_error(error.body())
    assert error.body()["error"] == expected


NO_REASON = "The host failed with status 500 and did not say why."


@pytest.mark.parametrize(
    "body",
    [
        *["", "  ", None, 7, {}, []],
        *[{"error": {}}, {"error": None}, {"error": {"message": ""}}, {"error": {"message": {}}}],
        *[{"detail": []}, {"detail": ["x"]}, {"detail": [{}]}],
        {"detail": {"error": {"error": {"error": {"message": "too deep to be read"}}}}},
    ],
)
def test_an_error_without_a_message_gets_one(body: Any) -> None:
    assert error_from(body).message == NO_REASON
    check_error(error_from(body).body())


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "The host refused the credentials."),
        (403, "The host refused access."),
        (404, "The host does not know that model or route."),
        (429, "The host is limiting requests."),
        (503, "The host is busy."),
    ],
)
def test_an_empty_body_gets_a_message_for_its_status(status: int, message: str) -> None:
    assert error_from("", status).message == message


# Status --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 429])
def test_a_4xx_is_passed_on_as_the_clients_fault(status: int) -> None:
    error = error_from({"error": {"message": "No."}}, status)
    assert isinstance(error, InvalidRequest)
    assert error.status == status


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_5xx_is_passed_on_as_the_hosts_fault(status: int) -> None:
    error = error_from({"error": {"message": "No."}}, status)
    assert isinstance(error, UpstreamError)
    assert error.status == status


def test_a_422_becomes_a_400() -> None:
    assert error_from({"detail": "No."}, 422).status == 400


def test_in_a_stream_the_code_may_be_the_status() -> None:
    """A frame in a stream has no status line; vLLM puts the status into the code."""
    error = error_from({"message": "Too long.", "type": "BadRequestError", "code": 400})
    assert (error.status, error.code) == (400, None)


@pytest.mark.parametrize("code", [0, 200, 600, True])
def test_a_code_that_is_no_error_status_is_passed_over(code: int) -> None:
    error = error_from({"message": "No.", "code": code}, 503)
    assert (error.status, error.code) == (503, None)


# A prompt that is too long -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 512 tokens. However, you requested 643 tokens.",
        "Requested tokens (631) exceed context window of 512",
        "The prompt is longer than the model's Context Window.",
        "the request exceeds the available context size, try increasing it",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_a_prompt_that_is_too_long_has_the_same_code_and_status_on_every_host(message: str, status: int) -> None:
    error = error_from({"error": {"message": message}}, status)
    assert (error.status, error.code, error.failure_code) == (400, *["context_length_exceeded"] * 2)
    assert error.message == message


def test_a_503_is_never_taken_for_a_prompt_that_is_too_long() -> None:
    assert error_from("no room: context length", 503).code is None


def test_a_code_that_the_host_gives_is_kept() -> None:
    assert error_from({"error": {"message": "context length", "code": "their_code"}}, 400).code == "their_code"


# Params --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("messages", "input"),
        ("input_tokens", "input"),
        ("max_tokens", "max_output_tokens"),
        ("max_completion_tokens", "max_output_tokens"),
        ("response_format", "text.format"),
        ("reasoning_effort", "reasoning.effort"),
        ("body.max_tokens", "max_output_tokens"),
        ("temperature", "temperature"),
        ("42", None),
        ("", None),
        (7, None),
    ],
)
def test_a_param_has_the_name_that_the_client_uses(theirs: Any, ours: str | None) -> None:
    assert error_from({"error": {"message": "No.", "param": theirs}}, 400).param == ours


@pytest.mark.parametrize("loc", [["body"], [], None, "body"])
def test_an_error_about_the_body_itself_has_no_param(loc: Any) -> None:
    assert error_from({"detail": [{"loc": loc, "msg": "No."}]}, 422).param is None


def test_the_param_of_a_nested_field_is_a_path() -> None:
    assert error_from({"detail": [{"loc": ["body", "tools", 0], "msg": "No."}]}, 422).param == "tools.0"


# In a stream ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b'{"error": {"message": "Gone.", "code": 500}}',
        b'{"error": "Gone."}',
        b'{"error": {"message": "Gone."}, "choices": []}',
        b'{"message": "Gone.", "type": "server_error"}',
        b'{"detail": "Gone."}',
        b'{"detail": {"error": {"message": "Gone."}}}',
    ],
)
def test_an_error_frame_in_a_stream_is_read(payload: bytes) -> None:
    assert error_from(ChunkDecoder().decode(payload).error).message == "Gone."


def test_half_a_surrogate_pair_in_any_field_is_replaced() -> None:
    broken = b'{"error": {"message": "\\ud83d", "type": "\\ud83d", "param": "\\ud83d", "code": "\\ud83d"}}'
    body = error_from(ChunkDecoder().decode(broken).error).body()["error"]
    assert body == {"message": "�", "type": "server_error", "param": "�", "code": "�"}
