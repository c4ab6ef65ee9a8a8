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
    "TGI's": (
        {"error": "Model is overloaded", "error_type": "overloaded"},
        503,
        {"message": "Model is overloaded", "type": "server_error", "param": None, "code": None},
    ),
    "a gateway's": (
        {"code": "429", "msg": "Slow down."},
        200,
        {"message": "Slow down.", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"},
    ),
    "a list of errors": (
        {"errors": [{"message": "No."}, {"message": "Neither."}]},
        400,
        {"message": "No.", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "`None` and `null` as text": (
        {"error": {"message": "No.", "type": "None", "param": "null", "code": "None"}},
        400,
        {"message": "No.", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "a type that is a code": (
        {"error": {"message": "No money.", "type": "insufficient_quota", "param": None, "code": None}},
        429,
        {"message": "No money.", "type": "rate_limit_error", "param": None, "code": "insufficient_quota"},
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


@pytest.mark.parametrize(
    "error",
    [
        {"code": "429"},
        {"code": 429.0},
        {"code": " 429 "},
        {"type": "429"},
        {"status": 429},
        {"status_code": "429", "code": "busy"},
        {"code": "rate_limit_exceeded"},
        {"type": "rate_limit_error"},
        {"type": "RateLimitError"},
        {"type": "insufficient_quota"},
    ],
    ids=str,
)
def test_the_status_of_an_error_in_a_stream_is_read_wherever_it_stands(error: dict[str, Any]) -> None:
    assert error_from({"error": {"message": "No.", **error}}).status == 429


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("text_generation_busy", 503),
        ("overloaded_error", 503),
        ("ServiceUnavailableError", 503),
        ("invalid_api_key", 401),
        ("permission_error", 403),
        ("NotFoundError", 404),
        ("model_not_found", 404),
        ("invalid_request_error", 400),
        ("BadRequestError", 400),
        ("timeout", 504),
        ("InternalServerError", 500),
        ("their_own", 500),
        ("1213", 500),
    ],
)
@pytest.mark.parametrize("key", ["code", "type"])
def test_an_error_in_a_stream_has_the_status_that_its_words_stand_for(key: str, word: str, status: int) -> None:
    assert error_from({"message": "No.", key: word}).status == status
    assert error_from({"message": "No.", key: word}, 409).status == 409


# A prompt that is too long -----------------------------------------------------------------------------------------


# What hosts say about a prompt that is too long: vLLM, SGLang, llama.cpp, TGI, LM Studio, Ollama, MLX and others.
TOO_LONG = [
    "This model's maximum context length is 512 tokens. However, you requested 643 tokens.",
    "Requested tokens (631) exceed context window of 512",
    "The prompt is longer than the model's Context Window.",
    "the request exceeds the available context size, try increasing it",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "request (14429 tokens) exceeds the available context size (8192 tokens), try increasing it",
    "[address=0.0.0.0:37591] The decoder prompt (length 17772) is longer than the maximum model length of 16384.",
    "Prompt length of 5016 is longer than the maximum model length of 4096",
    "The prompt (total length 25938) is too long to fit into the model (context length 4096).",
    "prompt is too long: 208310 tokens > 200000 maximum",
    "Prompt too long",
    "prompt too long; exceeded max context length by 4 tokens",
    "Input is too long for requested model.",
    "input length and `max_tokens` exceed context limit: 174167 + 64000 > 200000",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "prompt token count of 128001 exceeds the limit of 128000",
    "Total prompt tokens (11573) exceeds safe limit (2048) for 1 requests. Reduce prompt length or batch size",
    "Prompt exceeds maximum context length",
    "Prompt exceeds n_ctx: 2892 > 2048",
    "Request needs 70076 context tokens (70012 prompt + 64 max generation), but MAX_KV_SIZE is 65536.",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3474 `inputs` tokens",
    "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168",
    "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).",
    "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
    "Requested token count exceeds the model's maximum context length of 4096 tokens.",
    "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with 32768.",
    "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "Context size has been exceeded.",
    "The input length exceeds the context length",
    "context window exceeds limit (2013)",
    "Your request exceeded model token limit: 262144 (requested: 291351)",
    "Please reduce the length of the messages or completion.",
    "Current length is 9000 while limit is 8192",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Prompt contains 45000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "The sum of prompt length (9351.0), query length (0) should not exceed max_num_tokens (8192)",
    "prompt length 5000 exceeds max_seq_len 4096",
    "Prompt length (200) exceeds maximum input length (1)",
]
# What they say about other limits.
NOT_TOO_LONG = [
    "max_tokens must be at least 1, got -1",
    "`max_tokens` must be less than or equal to the model's maximum context length",
    "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens.",
    "max_tokens=5000 cannot be greater than max_model_len=max_total_tokens=2048. Please request fewer output tokens.",
    "Invalid value for 'max_tokens': 0",
    "Input validation error: `max_new_tokens` must be strictly positive",
    "The host failed: ValueError: max_tokens exceeds the model's maximum context length",
    "Requested max_tokens exceeds the model's maximum context length",
    "The input tokens per minute exceed the limit of 6000",
    "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7274",
    "1 validation error: {'loc': ('body', 'messages'), 'input': 'Explain: prompt is too long'}",
    "Invalid 'tools': array too long. Expected an array with maximum length 128.",
    "Invalid 'messages[0].name': string too long. Expected a string with maximum length 64",
    "prompt_cache_key is too long",
    "Too many input images: 5 exceeds the limit of 3",
    "Request Entity Too Large",
    "Unsupported context length setting",
    "input image is too large: 40 MB",
    "temperature must be less than 2",
]


@pytest.mark.parametrize("message", TOO_LONG)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_a_prompt_that_is_too_long_has_the_same_code_and_status_on_every_host(message: str, status: int) -> None:
    error = error_from({"error": {"message": message}}, status)
    assert (error.status, error.code, error.failure_code) == (400, *["context_length_exceeded"] * 2)
    assert error.message == message


def test_a_503_is_never_taken_for_a_prompt_that_is_too_long() -> None:
    assert error_from(TOO_LONG[0], 503).code is None


@pytest.mark.parametrize(
    "fields",
    [{"code": "invalid_request_error"}, {"code": "400"}, {"code": 400}, {"code": "x"}, {"type": "BadRequestError"}],
)
def test_a_prompt_that_is_too_long_is_known_beside_any_other_code(fields: dict[str, Any]) -> None:
    error = error_from({"error": {"message": TOO_LONG[0], **fields}})
    assert (error.status, error.type, error.code) == (400, "invalid_request_error", "context_length_exceeded")


@pytest.mark.parametrize("code", ["context_length_exceeded", "exceed_context_size_error", "ContextWindowExceededError"])
@pytest.mark.parametrize("key", ["code", "type"])
def test_a_prompt_that_is_too_long_is_known_by_the_code_alone(key: str, code: str) -> None:
    error = error_from({"error": {"message": "No.", key: code}}, 500)
    assert (error.status, error.type, error.code) == (400, "invalid_request_error", "context_length_exceeded")


@pytest.mark.parametrize("message", NOT_TOO_LONG)
@pytest.mark.parametrize("status", [400, 413, 500])
def test_other_limits_are_not_taken_for_a_prompt_that_is_too_long(message: str, status: int) -> None:
    error = error_from({"error": {"message": message}}, status)
    assert (error.status, error.code) == (status, None)


@pytest.mark.parametrize("param", ["max_tokens", "max_completion_tokens", "body.max_tokens"])
def test_an_error_about_the_token_limit_is_not_taken_for_a_prompt_that_is_too_long(param: str) -> None:
    error = error_from({"error": {"message": TOO_LONG[0], "param": param}}, 400)
    assert (error.code, error.param) == (None, "max_output_tokens")


@pytest.mark.parametrize("text", ["x" * 3000, "é" * 3000, "😀" * 1_000_000, "\ud83d" * 3000], ids=len)
@pytest.mark.parametrize("shape", [lambda text: text, lambda text: {"error": {"message": text}}], ids=["text", "json"])
def test_a_message_is_cut_to_two_kilobytes(text: str, shape: Any) -> None:
    message = error_from(shape(text), 502).message
    assert 2040 < len(message.encode()) <= 2048
    assert message[-1] == "…"
    assert error_from(shape("é" * 1024), 502).message == "é" * 1024


def test_a_code_a_type_and_a_param_of_many_words_are_none() -> None:
    long = "a_b" * 100
    error = error_from({"error": {"message": "No.", "code": long, "type": long, "param": long}}, 400)
    assert (error.code, error.type, error.param) == (None, "invalid_request_error", None)


def test_of_a_very_long_message_only_the_beginning_is_searched() -> None:
    assert error_from("x" * 5000 + TOO_LONG[0], 400).code is None


def test_a_code_that_the_host_gives_is_kept() -> None:
    assert error_from({"error": {"message": "No.", "code": "their_code"}}, 400).code == "their_code"


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
        ("messages.0.content", "input"),
        ("messages[0]", "input"),
        ("messages[0].content[1].text", "input"),
        ("body.messages.0", "input"),
        ("response_format.type", "text.format.type"),
        ("response_format.json_schema.schema", "text.format.schema"),
        ("response_format.json_schema", "text.format"),
        ("tools.0.function.parameters", "tools[0].parameters"),
        ("tools[0].function.name", "tools[0].name"),
        ("tool_choice.function.name", "tool_choice.name"),
        ("stop.3", "stop[3]"),
        ("body", None),
        ("body.1", None),
        ("None", None),
        ("...", None),
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
    assert error_from({"detail": [{"loc": ["body", "tools", 0], "msg": "No."}]}, 422).param == "tools[0]"


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
