"""The profile of llama-cpp-python: it sends nothing that the captures show to fail or to be ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.chunks import ChunkDecoder
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest
from responses_shim.hosts.llama_cpp import PROFILE, adapt, make_filter, read_error, read_exception
from tests.core.driver import Json
from tests.core.prepared import prepare_body, prepared
from tests.hosts.replay import CAPTURES

# The fields of the server's request model at 0.3.36. It ignores any other.
READ = {
    *["model", "messages", "functions", "function_call", "tools", "tool_choice", "max_tokens", "min_tokens"],
    *["logprobs", "top_logprobs", "temperature", "top_p", "min_p", "stop", "stream", "presence_penalty"],
    *["frequency_penalty", "logit_bias", "seed", "response_format", "n", "user", "top_k", "repeat_penalty"],
    *["logit_bias_type", "mirostat_mode", "mirostat_tau", "mirostat_eta", "grammar"],
}


def objections(chat: Json) -> Iterator[str]:
    """What in a chat request this server fails on or ignores."""
    yield from (f"{key} is not read" for key in chat.keys() - READ)
    yield from (f"{key} is null" for key, value in chat.items() if value is None)
    if chat.get("top_p", 1) is not None and not 0 <= chat.get("top_p", 1) <= 1:
        yield "top_p is over 1"
    for message in chat["messages"]:
        if message["role"] not in ("system", "user", "assistant", "tool"):
            yield f"role {message['role']}"
        content = message.get("content")
        if isinstance(content, list) and message["role"] == "user":
            if all(part["type"] == "text" for part in content):
                yield "a list without an image"
            yield from (
                f"a part of type {part['type']}" for part in content if part["type"] not in ("text", "image_url")
            )
        elif not isinstance(content, str):
            yield f"content {content!r} of {message['role']}"
    for tool in chat.get("tools", ()):
        if not isinstance(tool["function"].get("parameters"), dict):
            yield "a tool without parameters"
    choice = chat.get("tool_choice", "auto")
    if choice not in ("none", "auto") and not isinstance(choice, dict):
        yield f"tool_choice {choice}"
    if chat.get("logprobs") and "top_logprobs" not in chat:
        yield "log-probabilities without top_logprobs"
    if "grammar" in chat:
        yield "a grammar that may be wrong"
    if chat.get("response_format", {"type": "text"})["type"] not in ("text", "json_object"):
        yield "a response_format that is not known"


def request_of(name: str) -> Json:
    """The chat request of a capture."""
    body: Json = json.loads((CAPTURES / "llama_cpp" / f"{name}.json").read_text())["request"]["json"]
    return body


@pytest.mark.parametrize(
    "name",
    [
        "assistant_content_absent",
        "assistant_content_absent_stream",
        "assistant_content_null_stream",
        "assistant_content_parts_stream",
        "chatml_tools_required",
        "chatml_tools_required_stream",
        "developer_role",
        "developer_role_stream",
        "ignored_fields_stream",
        "json_schema_stream",
        "logprobs_without_top_stream",
        "max_completion_tokens_stream",
        "presence_penalty_null",
        "presence_penalty_null_stream",
        "system_parts_stream",
        "temperature_null_stream",
        "tool_round_content_null_stream",
        "tool_without_parameters_stream",
        "tools_required_stream",
        "top_p_too_large_stream",
        "usage_asked_stream",
        "user_input_text_stream",
        "user_parts",
        "user_parts_stream",
    ],
)
def test_objections_finds_what_failed_or_was_ignored_in_a_capture(name: str) -> None:
    assert list(objections(request_of(name)))


@pytest.mark.parametrize(
    "name",
    ["plain_stream", "named_tool_stream", "tool_round_stream", "json_object_schema_stream", "two_systems_stream"],
)
def test_objections_finds_nothing_in_a_capture_that_went_well(name: str) -> None:
    assert not list(objections(request_of(name)))


# Any request ---------------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=4)
TEXT_PARTS = st.lists(st.builds(lambda text: {"type": "input_text", "text": text}, TEXT), max_size=3)
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
MESSAGES = st.one_of(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "developer", "user"]),
        TEXT | TEXT_PARTS,
    ),
    st.builds(lambda text: {"role": "user", "content": [{"type": "input_text", "text": text}, IMAGE]}, TEXT),
    st.builds(lambda text: {"role": "assistant", "content": [{"type": "output_text", "text": text}]}, TEXT),
    st.builds(lambda text: {"type": "reasoning", "content": [{"type": "reasoning_text", "text": text}]}, TEXT),
    st.builds(lambda text: {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}, TEXT),
    st.just({"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}),
)
OUTPUTS = st.builds(
    lambda output: {"type": "function_call_output", "call_id": "a", "output": output},
    TEXT | TEXT_PARTS | st.just([IMAGE]),
)
HI: Json = {"role": "user", "content": "Hi"}
ITEMS = st.lists(MESSAGES, max_size=5).flatmap(
    lambda items: (
        st.lists(OUTPUTS, max_size=2).map(lambda outputs: [HI, *items, *outputs])
        if any("call_id" in item for item in items)
        else st.just([HI, *items])
    )
)
SCHEMAS = st.sampled_from([None, {}, {"type": "object", "properties": {"a": {"type": "string", "pattern": "\\d"}}}])
TOOLS = st.lists(
    st.builds(
        lambda name, schema: {"type": "function", "name": name, "parameters": schema},
        st.sampled_from(["f", "g"]),
        SCHEMAS,
    )
    | st.just({"type": "web_search"}),
    max_size=3,
    unique_by=lambda tool: tool.get("name"),
)
NUMBERS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.none() | st.floats(0, 2),
    "top_p": st.none() | st.floats(0, 1),
    "presence_penalty": st.none() | st.floats(-2, 2),
    "frequency_penalty": st.none() | st.floats(-2, 2),
    "max_output_tokens": st.none() | st.integers(1, 100),
    "top_logprobs": st.none() | st.integers(0, 20),
}
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "instructions": st.none() | TEXT,
    "tools": st.none() | TOOLS,
    "tool_choice": st.sampled_from([None, "none", "auto"]),
    "parallel_tool_calls": st.none() | st.booleans(),
    "reasoning": st.sampled_from([None, {}, {"effort": "low", "summary": "auto"}]),
    "return_token_ids": st.none() | st.booleans(),
    "include": st.sampled_from([None, [], ["message.output_text.logprobs"]]),
    "text": st.builds(
        lambda verbosity, form: {"verbosity": verbosity, "format": form},
        st.sampled_from([None, "low"]),
        st.sampled_from([None, {"type": "text"}, {"type": "json_object"}])
        | st.builds(
            lambda schema: {"type": "json_schema", "name": "a", "schema": schema or {}, "strict": True}, SCHEMAS
        ),
    ),
    "user": st.none() | TEXT,
    "metadata": st.none() | st.just({"k": "v"}),
    "store": st.none() | st.booleans(),
    "stream": st.none() | st.booleans(),
}
INPUT = TEXT | ITEMS.map(lambda items: [{"role": "user", "content": "Hi"}, *items])  # never empty
REQUESTS = st.fixed_dictionaries({"model": st.just("m"), "input": INPUT}, optional={**NUMBERS, **OTHERS})


def adapted(**fields: Any) -> tuple[Json, str]:
    """The chat request that the server gets for a request with these fields, and the report."""
    translation = prepared(options=PROFILE.policy, **fields)
    return adapt(translation.chat, translation.report), translation.report.header()


@given(REQUESTS, st.booleans())
def test_no_chat_request_contains_what_the_server_fails_on_or_ignores(request: Json, required: bool) -> None:
    if required and any(tool["type"] == "function" for tool in request.get("tools") or ()):
        request = {**request, "tool_choice": "required"}
    chat, _ = adapted(**request)
    assert not list(objections(chat))
    assert chat["stream"] is True
    json.dumps(chat)


@given(REQUESTS)
def test_adapting_does_not_change_the_request_in_place(request: Json) -> None:
    translation = prepare_body(request, options=PROFILE.policy)
    before = json.dumps(translation.chat)
    adapt(translation.chat, translation.report)
    assert json.dumps(translation.chat) == before


# Single fields -------------------------------------------------------------------------------------------------------


def test_all_fields_that_the_server_reads_are_passed_on() -> None:
    sent = {"temperature": 0.5, "top_p": 0.5, "presence_penalty": 1.0, "frequency_penalty": 1.0, "top_logprobs": 3}
    tool = {"type": "function", "name": "f", "description": "Does f", "parameters": {"type": "object"}}
    chat, _ = adapted(model="smollm2", tools=[tool], tool_choice="auto", user="u", **sent)
    assert chat == {
        "model": "smollm2",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "logprobs": True,
        "tools": [{"type": "function", "function": {name: tool[name] for name in tool if name != "type"}}],
        "tool_choice": "auto",
        **sent,
    }


THOUGHT = "<think>Hm.</think>"


def test_the_token_limit_is_sent_as_max_tokens() -> None:
    assert adapted(max_output_tokens=9)[0]["max_tokens"] == 9


@pytest.mark.parametrize(("thoughts", "content"), [([], ""), ([{"type": "reasoning", "content": "Hm."}], THOUGHT)])
def test_a_past_call_is_sent_with_content_that_is_a_string(thoughts: list[Json], content: str) -> None:
    """Past reasoning is in the content, as the model wrote it: the server reads no field for it."""
    call = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "a", "output": "4"}
    chat, _ = adapted(input=[*thoughts, call, output])
    function = {"name": "f", "arguments": "{}"}
    assert chat["messages"] == [
        {
            "role": "assistant",
            "content": content,
            "tool_calls": [{"id": "a", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "4"},
    ]


@pytest.mark.parametrize("kind", ["input_audio", "audio_url", "input_video"])
def test_audio_and_video_are_refused(kind: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        adapted(input=[{"role": "user", "content": [{"type": kind}]}])
    assert caught.value.param == "input[0].content[0].type"


def test_a_json_schema_is_sent_as_a_json_object_with_a_schema() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    chat, report = adapted(text={"format": {"type": "json_schema", "name": "city", "schema": schema}})
    assert chat["response_format"] == {"type": "json_object", "schema": schema}
    assert report == 'mapped=("text.format")'


def test_a_json_object_format_is_sent_as_it_is() -> None:
    assert adapted(text={"format": {"type": "json_object"}})[0]["response_format"] == {"type": "json_object"}


def test_a_schema_that_had_to_be_made_safe_is_reported() -> None:
    pattern = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^\\d$"}}}
    safe = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^[0-9]$"}}}
    chat, report = adapted(text={"format": {"type": "json_schema", "name": "a", "schema": pattern}})
    assert chat["response_format"]["schema"] == safe
    assert report == 'mapped=("text.format" "text.format.schema")'
    chat, report = adapted(
        tools=[{"type": "function", "name": "f"}, {"type": "function", "name": "g", "parameters": pattern}]
    )
    assert chat["tools"][1]["function"]["parameters"] == safe
    assert report == 'mapped=("tools[1].parameters")'


@pytest.mark.parametrize("parameters", [{}, {"parameters": None}, {"parameters": {}}])
def test_a_tool_always_has_parameters(parameters: Json) -> None:
    (tool,) = adapted(tools=[{"type": "function", "name": "f", **parameters}])[0]["tools"]
    assert tool["function"] == {"name": "f", "parameters": {"type": "object", "properties": {}}}


def test_with_tools_a_schema_is_described() -> None:
    """The model may call a tool in place of an answer, and the shim reads the call: a constraint would forbid it."""
    form = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}
    chat, _ = adapted(tools=[F], text={"format": form})
    assert "response_format" not in chat
    assert [message["role"] for message in chat["messages"]] == ["system", "user"]


F: Json = {"type": "function", "name": "f"}
G: Json = {"type": "function", "name": "g"}
NAMED: Json = {"type": "function", "function": {"name": "f"}}


def test_required_with_one_tool_names_it() -> None:
    chat, report = adapted(tools=[F], tool_choice="required")
    assert chat["tool_choice"] == NAMED
    assert report == 'mapped=("tool_choice")'


def test_required_with_several_tools_is_dropped_and_reported() -> None:
    chat, report = adapted(tools=[F, G], tool_choice="required")
    assert "tool_choice" not in chat
    assert len(chat["tools"]) == 2
    assert report == 'dropped=("tool_choice")'


@pytest.mark.parametrize(("choice", "asked"), [("none", "none"), ("auto", "auto"), (F, NAMED)])
def test_the_other_choices_are_passed_on(choice: Any, asked: Any) -> None:
    chat, report = adapted(tools=[F, G], tool_choice=choice)
    assert chat["tool_choice"] == asked
    assert report == ""


@pytest.mark.parametrize(
    ("fields", "report"),
    [
        ({"reasoning": {"effort": "low"}}, 'dropped=("reasoning.effort")'),
        ({"text": {"verbosity": "low"}}, 'dropped=("text.verbosity")'),
        ({"return_token_ids": True}, 'dropped=("return_token_ids")'),
        ({"user": "u", "metadata": {"k": "v"}}, ""),
    ],
)
def test_fields_that_the_server_would_ignore_are_dropped_and_reported(fields: Json, report: str) -> None:
    chat, header = adapted(**fields)
    assert header == report
    assert chat == adapted()[0]


def test_logprobs_are_kept_without_token_ids_if_the_client_wants_them() -> None:
    chat, report = adapted(return_token_ids=True, top_logprobs=2)
    assert (chat["logprobs"], chat["top_logprobs"]) == (True, 2)
    assert report == 'dropped=("return_token_ids")'


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_tool_calls_is_not_sent_since_the_shim_itself_enforces_it(parallel: bool) -> None:
    chat, report = adapted(tools=[F], parallel_tool_calls=parallel)
    assert "parallel_tool_calls" not in chat
    assert report == ""


# Answers -------------------------------------------------------------------------------------------------------------


def filtered(*deltas: Json, choice: Any = NAMED) -> list[str | None]:
    """The finish reasons of chunks with these deltas, behind the filter."""
    own = make_filter({"tool_choice": choice})
    assert own is not None
    chunks = [ChunkDecoder().decode(json.dumps({"choices": [delta]}).encode()) for delta in deltas]
    passed = [right for chunk in chunks for right in own.feed(chunk)]
    assert passed == chunks
    assert not own.close()
    assert not own.done, "the end is what it looks at"
    return [choice.finish_reason for chunk in passed for choice in chunk.choices or ()]


def argue(arguments: str, **choice: Any) -> Json:
    return {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}, **choice}


END: Json = {"delta": {}, "finish_reason": "tool_calls"}


@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_only_calls_that_were_asked_for_by_name_need_a_filter(choice: str | None) -> None:
    assert make_filter({"tool_choice": choice}) is None
    assert make_filter({}) is None


def test_a_complete_call_keeps_its_finish_reason() -> None:
    assert filtered(argue('{"a":'), argue("1}"), END) == [None, None, "tool_calls"]


@pytest.mark.parametrize("pieces", [[], [""], ["{"], ['{"a":', "1"], ['{"a": "']])
def test_a_call_that_was_cut_gets_finish_reason_length(pieces: list[str]) -> None:
    assert filtered(*map(argue, pieces), END)[-1] == "length"


def test_other_finish_reasons_are_kept() -> None:
    assert filtered(argue("{"), {"delta": {}, "finish_reason": "stop"})[-1] == "stop"
    assert filtered({"delta": None}, {"delta": {"tool_calls": [{"index": 0}]}}) == [None, None]


def test_a_call_in_an_answer_that_is_not_streamed_is_checked_too() -> None:
    def message(arguments: str) -> Json:
        calls = [{"id": "a", "function": {"name": "f", "arguments": arguments}}]
        return {"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}

    assert filtered(message("{}")) == ["tool_calls"]
    assert filtered(message("{")) == ["length"]


def test_chunks_without_choices_pass() -> None:
    own = make_filter({"tool_choice": NAMED})
    assert own is not None
    assert own.feed(Chunk(usage={})) == [Chunk(usage={})]


def test_everything_but_arguments_passes_it_by() -> None:
    own = make_filter({"tool_choice": NAMED})
    assert own is not None
    assert [own.passes_as(field) for field in ("content", "reasoning", "arguments")] == ["content", "reasoning", None]


def test_arguments_nested_too_deeply_count_as_cut() -> None:
    assert filtered(argue("[" * 100_000), END)[-1] == "length"


# Errors --------------------------------------------------------------------------------------------------------------

TRACEBACK = (
    '\\n\\n  File "/opt/llama_cpp/server/app.py", line 376, in create_chat_completion\\n    POST /v1/chat/completions'
)


def validation(*complaints: str) -> Json:
    """A validation error as the server sends it: pydantic's errors as Python prints them, then a traceback."""
    listed = "".join(f"\n  {complaint}" for complaint in complaints)
    message = f"{len(complaints)} validation error{'s'[: len(complaints) > 1]}:{listed}{TRACEBACK}"
    return {"error": {"message": message, "type": "internal_server_error", "param": None, "code": None}}


@pytest.mark.parametrize(
    ("complaint", "message"),
    [
        ("{'type': 'x', 'loc': ('body', 'top_p'), 'msg': 'Too large', 'input': 'secret'}", "top_p: Too large."),
        (
            "{'type': 'x', 'loc': ('body', 'tools', 0, 'function'), 'msg': \"Not 'this'\", 'input': 'secret'}",
            "tools.0.function: Not 'this'.",
        ),
        ("{'type': 'x', 'loc': ('body',), 'msg': 'No', 'input': 'secret'}", "body: No."),
        ("{'type': 'x', 'loc': (), 'msg': 'No', 'input': 'secret'}", "body: No."),
        ("something else: secret", "body: it does not say why."),
    ],
)
def test_a_validation_error_becomes_a_400_with_the_first_field_and_its_reason(complaint: str, message: str) -> None:
    error = read_error(validation(complaint, "{'loc': ('body', 'another')}"), 500)
    assert error.message == f"The host refused the request: {message}"
    assert (error.status, error.type) == (400, "invalid_request_error")


def test_other_errors_are_read_as_any_hosts() -> None:
    assert read_error({"detail": "Invalid API key"}, 401).code == "invalid_api_key"
    assert read_error({"error": {"message": "No.", "type": "internal_server_error"}}, 500).message == "No."


def test_the_error_for_an_exception_has_its_message_or_its_class_name() -> None:
    shown = read_exception(ValueError("Automatic streaming tool choice is not supported"))
    assert (shown.status, shown.message) == (500, "The host failed: Automatic streaming tool choice is not supported")
    assert read_exception(AssertionError()).message == "The host failed: AssertionError"
    overflow = read_exception(ValueError("Requested tokens (631) exceed context window of 512"))
    assert (overflow.status, overflow.code) == (400, "context_length_exceeded")


def test_the_profile_has_uuid_request_ids_and_says_how_to_turn_interruptions_off() -> None:
    assert PROFILE.request_id == "uuid4"
    assert "--interrupt_requests False" in PROFILE.unfinished_message


def test_sampling_parameters_are_passed_on_under_the_servers_names() -> None:
    report = Report()
    sampling = {"seed": 7, "stop": ["a"], "top_k": 20, "min_p": 0.1}
    chat = adapt({"model": "m", "messages": [], "repetition_penalty": 1.1, **sampling}, report)
    assert chat == {"model": "m", "messages": [], "repeat_penalty": 1.1, **sampling}
    assert report.header() == 'mapped=("repetition_penalty")'


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("cannot open /opt/models/my-model.gguf: no such file", "cannot open my-model.gguf: no such file"),
        (
            "[Errno 2] No such file or directory: '/home/me/.cache/x y/a.gguf'",
            "[Errno 2] No such file or directory: 'x y/a.gguf'",
        ),
        (r"cannot open 'C:\Users\me\a.gguf'", "cannot open 'a.gguf'"),
        ("see ~/models/a.gguf", "see a.gguf"),
        ("roles must alternate user/assistant/user/assistant", "roles must alternate user/assistant/user/assistant"),
        ("see https://example.com/a/b", "see https://example.com/a/b"),
        ("1 / 2 and /v1", "1 / 2 and /v1"),
    ],
)
def test_clients_see_no_paths_of_the_servers_files(words: str, shown: str) -> None:
    error = {"error": {"message": words, "type": "internal_server_error", "param": None, "code": None}}
    assert read_error(error, 500).message == shown
    assert read_exception(RuntimeError(words)).message == f"The host failed: {shown}"
