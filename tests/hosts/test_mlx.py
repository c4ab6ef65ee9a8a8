"""The profiles of the MLX servers: what they are sent, and the filters for their streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.filters import Filter
from responses_shim.core.wire.chat import Choice, Chunk, Delta, FunctionDelta, ToolCallDelta
from responses_shim.core.wire.report import Report
from responses_shim.hosts import PROFILES
from responses_shim.hosts.mlx import BUSY, SERVERS

HOSTS = [*SERVERS]
Json = dict[str, Any]


def tool(name: str) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


NAMED = {"type": "function", "function": {"name": "b"}}


def adapted(host: str, **fields: Any) -> tuple[Json, str]:
    """The chat request that this host gets, and the report."""
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi."}], **fields}
    report = Report()
    report.tools = [f"tools[{index}]" for index in range(len(fields.get("tools", ())))]
    return PROFILES[host].adapt(chat, report), report.header()


def message(host: str, **fields: Any) -> Json:
    chat, _ = adapted(host, messages=[fields])
    [only] = chat["messages"]
    result: Json = only
    return result


# Requests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS)
def test_the_token_limit_goes_by_both_names(host: str) -> None:
    """vllm-mlx and mlx-vlm read `max_tokens` alone."""
    chat, _ = adapted(host, max_completion_tokens=7)
    assert (chat["max_tokens"], chat["max_completion_tokens"]) == (7, 7)
    assert "max_tokens" not in adapted(host)[0]


@pytest.mark.parametrize("host", HOSTS)
def test_null_fields_are_left_out(host: str) -> None:
    """mlx-vlm refuses a null temperature."""
    assert "temperature" not in adapted(host, temperature=None)[0]


@pytest.mark.parametrize("host", HOSTS)
def test_developer_messages_are_system_messages(host: str) -> None:
    """mlx-openai-server refuses the role."""
    assert message(host, role="developer", content="Be brief.") == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize("host", HOSTS)
def test_content_beside_calls_is_an_empty_text(host: str) -> None:
    """On mlx-openai-server a chat template fails on none."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    sent = message(host, role="assistant", content=None, tool_calls=[call])
    assert (sent["content"], sent["tool_calls"]) == ("", [call])


def test_the_output_of_a_tool_is_a_text_on_vllm_mlx() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert message("vllm-mlx", role="tool", tool_call_id="c", content=parts)["content"] == "one\ntwo"
    assert message("mlx-vlm", role="tool", tool_call_id="c", content=parts)["content"] == parts
    assert message("vllm-mlx", role="user", content=parts)["content"] == parts


@pytest.mark.parametrize("host", HOSTS)
def test_past_reasoning_goes_where_the_chat_template_sees_it(host: str) -> None:
    """mlx-vlm's has a field of it; the others drop that on their way to the template."""
    assert PROFILES[host].policy.reasoning_replay == ("field" if host == "mlx-vlm" else "think")
    sent = message(host, role="assistant", content="Hello.", reasoning="Hm.")
    assert sent["reasoning_content"] == sent["reasoning"] == "Hm."


UNREAD = {
    "vllm-mlx": {"logprobs", "top_logprobs", "seed", "frequency_penalty", "user"},
    "mlx-vlm": {"stop", "user"},
    "rapid-mlx": {"user"},
    "mlx-openai-server": {"logprobs", "top_logprobs"},
}
FIELDS: Json = {
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 3,
    "min_p": 0.1,
    "presence_penalty": 1,
    "frequency_penalty": 1,
    "seed": 7,
    "stop": ["x"],
    "user": "u",
    "logprobs": True,
    "top_logprobs": 2,
    "repetition_penalty": 1.1,
}


@pytest.mark.parametrize("host", HOSTS)
def test_what_the_host_does_not_read_is_left_out_and_reported(host: str) -> None:
    chat, report = adapted(host, **FIELDS, verbosity="low", return_token_ids=True, return_tokens_as_token_ids=False)
    assert FIELDS.keys() - chat.keys() == UNREAD[host]
    assert {"verbosity", "return_token_ids", "return_tokens_as_token_ids"}.isdisjoint(chat)
    reported = {"text.verbosity", "return_token_ids", *UNREAD[host]} - {"logprobs"}
    assert sorted(report.removeprefix("dropped=(").removesuffix(")").replace('"', "").split()) == sorted(reported)


@pytest.mark.parametrize(
    ("host", "effort", "sent"),
    [
        ("vllm-mlx", "none", {"reasoning_effort": "none", "enable_thinking": False}),
        ("vllm-mlx", "low", {"reasoning_effort": "low"}),
        ("mlx-vlm", "none", {"reasoning_effort": "none"}),
        ("rapid-mlx", "none", {"reasoning_effort": "none"}),
        ("mlx-openai-server", "none", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("mlx-openai-server", "minimal", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("mlx-openai-server", "low", {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "low"}}),
        ("mlx-openai-server", "xhigh", {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "high"}}),
    ],
)
def test_the_effort_of_reasoning_goes_where_it_has_an_effect(host: str, effort: str, sent: Json) -> None:
    chat, _ = adapted(host, reasoning_effort=effort)
    assert {name: value for name, value in chat.items() if name not in ("model", "messages")} == sent


def test_what_the_client_says_to_the_template_comes_first() -> None:
    options = {"enable_thinking": True}
    assert adapted("vllm-mlx", reasoning_effort="none", **options)[0]["enable_thinking"] is True
    chat, _ = adapted("mlx-openai-server", reasoning_effort="none", chat_template_kwargs=options)
    assert chat["chat_template_kwargs"] == {"enable_thinking": True}
    chat, _ = adapted("mlx-openai-server", reasoning_effort="none", chat_template_kwargs=[1])
    assert chat["chat_template_kwargs"] == [1]  # for the host to refuse


@pytest.mark.parametrize("host", HOSTS)
def test_log_probabilities_for_token_ids_alone_are_left_out_with_them(host: str) -> None:
    ids = {"return_token_ids": True, "return_tokens_as_token_ids": True, "logprobs": True, "top_logprobs": 0}
    chat, report = adapted(host, **ids)
    assert (ids.keys() & chat.keys(), report) == (set(), 'dropped=("return_token_ids")')


def test_mlx_openai_server_is_offered_the_tools_alone_that_may_be_called() -> None:
    """It shows the model all of them, whatever the choice is."""
    tools = [tool("a"), tool("b")]
    none, _ = adapted("mlx-openai-server", tools=tools, tool_choice="none", parallel_tool_calls=True)
    assert {"tools", "tool_choice", "parallel_tool_calls"}.isdisjoint(none)
    named, report = adapted("mlx-openai-server", tools=tools, tool_choice=NAMED)
    assert (named["tools"], report) == ([tool("b")], 'mapped=("tool_choice")')
    required, report = adapted("mlx-openai-server", tools=tools, tool_choice="required")
    assert (required["tools"], report) == (tools, 'dropped=("tool_choice")')
    assert adapted("mlx-openai-server", tools=tools, tool_choice="auto")[0]["tools"] == tools


@pytest.mark.parametrize("choice", ["none", "required", NAMED])
@pytest.mark.parametrize("host", ["vllm-mlx", "mlx-vlm", "rapid-mlx"])
def test_the_others_see_to_the_tool_choice(host: str, choice: Any) -> None:
    chat, report = adapted(host, tools=[tool("a"), tool("b")], tool_choice=choice)
    assert (chat["tools"], chat["tool_choice"], report) == ([tool("a"), tool("b")], choice, "")


@pytest.mark.parametrize("host", HOSTS)
def test_the_request_is_not_changed(host: str) -> None:
    messages = [{"role": "assistant", "content": None, "reasoning": "Hm."}]
    chat = {"model": "m", "messages": messages, "reasoning_effort": "none", "tools": [tool("a")], "tool_choice": "none"}
    PROFILES[host].adapt(chat, Report())
    assert messages == [{"role": "assistant", "content": None, "reasoning": "Hm."}]
    assert chat.keys() == {"model", "messages", "reasoning_effort", "tools", "tool_choice"}


@pytest.mark.parametrize("host", HOSTS)
def test_none_composes_a_format_and_calls(host: str) -> None:
    assert PROFILES[host].policy.composes_format == "never"
    assert PROFILES[host].probe.path == "/v1/models"
    assert PROFILES[host].tokenize_path is None
    assert "chat_template_kwargs" in PROFILES[host].engine_fields


# Answers -------------------------------------------------------------------------------------------------------------


def text(content: str, finish: str | None = None) -> Chunk:
    return Chunk(choices=[Choice(delta=Delta(content=content), finish_reason=finish)])


def end(reason: str, tokens: int | None = None) -> Chunk:
    usage = {"completion_tokens": tokens} if tokens is not None else None
    return Chunk(choices=[Choice(delta=Delta(), finish_reason=reason)], usage=usage)


def call(name: str | None, arguments: str, content: str | None = None) -> Chunk:
    delta = ToolCallDelta(index=0, function=FunctionDelta(name=name, arguments=arguments))
    return Chunk(choices=[Choice(delta=Delta(content=content, tool_calls=[delta]))])


def fed(host: str, chunks: list[Chunk], **chat: Any) -> list[Any]:
    """What becomes of the chunks: texts, arguments as `[…]`, finish_reasons as `(…)`, and errors."""
    chain: Filter | None = PROFILES[host].make_filter(chat)
    passed = chunks if chain is None else [out for chunk in chunks for out in chain.feed(chunk)] + [*chain.close()]
    seen: list[Any] = []
    for chunk in passed:
        for choice in chunk.choices or ():
            delta = choice.delta or Delta()
            seen += [f"[{one.function.arguments}]" for one in delta.tool_calls or () if one.function]
            seen += [delta.content] if delta.content else []
            seen += [f"({choice.finish_reason})"] if choice.finish_reason else []
        seen += [chunk.error] if chunk.error else []
    return seen


@pytest.mark.parametrize(
    ("host", "reason", "tokens", "became"),
    [
        ("vllm-mlx", "tool_calls", 10, "(length)"),
        ("vllm-mlx", "tool_calls", 9, "(tool_calls)"),
        ("vllm-mlx", "stop", 10, "(stop)"),  # it says `length` itself
        ("mlx-openai-server", "stop", 10, "(length)"),
        ("mlx-openai-server", "tool_calls", 10, "(length)"),
        ("mlx-openai-server", "stop", 9, "(stop)"),
        ("mlx-openai-server", "stop", None, "(stop)"),
        ("mlx-vlm", "stop", 10, "(stop)"),
        ("rapid-mlx", "stop", 10, "(stop)"),
    ],
)
def test_an_answer_of_as_many_tokens_as_were_asked_for_is_cut(
    host: str, reason: str, tokens: int | None, became: str
) -> None:
    assert fed(host, [end(reason, tokens)], max_tokens=10) == [became]
    assert fed(host, [end(reason, tokens)]) == [f"({reason})"]


@pytest.mark.parametrize("host", ["vllm-mlx", "rapid-mlx", "mlx-openai-server"])
def test_line_ends_around_calls_are_dropped(host: str) -> None:
    chunks = [text("Well.\n"), call("f", "{}"), text("\n"), text("\n"), call("f", "{}"), text("\n"), end("tool_calls")]
    assert fed(host, chunks, tools=[tool("f")]) == ["Well.", "[{}]", "[{}]", "(tool_calls)"]
    chunks = [call("f", "{}"), text("\nThen.\n"), end("stop")]
    assert fed(host, chunks, tools=[tool("f")]) == ["[{}]", "\nThen.", "(stop)", "\n"]
    assert fed(host, [text("\n"), end("stop")]) == ["\n", "(stop)"]


CUT_CALL = Chunk(error="Generation ended with an incomplete tool call.")


def test_the_markup_of_a_cut_call_is_dropped_on_mlx_vlm() -> None:
    tools = [tool("f")]
    assert fed("mlx-vlm", [call("f", ""), text("<tool_call>"), CUT_CALL], tools=tools) == ["[]", "(length)"]
    assert fed("mlx-vlm", [call("f", '{"'), call(None, "a", "<tool_call>"), CUT_CALL], tools=tools) == [
        '[{"]',
        "[a]",
        "(length)",
    ]
    chunks = [text("Well."), call("f", "{}"), text("Then"), text(" this."), end("stop")]
    assert fed("mlx-vlm", chunks, tools=tools) == ["Well.", "[{}]", "Then", " this.", "(stop)"]


@given(st.lists(st.sampled_from(["text", "call", "end"]), max_size=8))
def test_nothing_is_lost_but_the_markup_of_a_cut_call(kinds: list[str]) -> None:
    make = {"text": lambda: text("a"), "call": lambda: call("f", "{}"), "end": lambda: end("stop")}
    shown = {"text": "a", "call": "[{}]", "end": "(stop)"}
    assert fed("mlx-vlm", [make[kind]() for kind in kinds], tools=[tool("f")]) == [shown[kind] for kind in kinds]


INTERNAL = {"message": "Internal server error", "type": "InternalServerError", "param": None, "code": 500}


def test_an_error_before_the_answer_is_a_503_on_vllm_mlx() -> None:
    [error] = fed("vllm-mlx", [Chunk(choices=[Choice(delta=Delta())]), Chunk(error=dict(INTERNAL))])
    assert (error["code"], error["message"]) == (503, BUSY)
    assert fed("vllm-mlx", [text("a"), Chunk(error=dict(INTERNAL))]) == ["a", INTERNAL]


def test_the_notice_of_rapid_mlx_is_dropped() -> None:
    notice = "[truncated — reasoning incomplete; raise max_tokens]\n\nHm."
    assert fed("rapid-mlx", [text("a"), text(notice, "length")]) == ["a", "(length)"]
    assert fed("rapid-mlx", [text("[truncated"), text("b", "stop")]) == ["[truncated", "b", "(stop)"]


@pytest.mark.parametrize("host", ["mlx-vlm", "mlx-openai-server"])
def test_the_words_of_an_exception_are_not_shown(host: str) -> None:
    [error] = fed(host, [Chunk(error="/home/me/secret.py failed")])
    assert (error["message"], error["status"]) == ("The host failed with status 500; its log says more.", 500)
    [error] = fed(
        host, [Chunk(error={"message": "The prompt needs 9,000 tokens, but MAX_KV_SIZE is 4096", "code": 500})]
    )
    assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize("host", HOSTS)
def test_text_passes_by_where_the_filters_need_not_see_it(host: str) -> None:
    """All of it but the first on vllm-mlx, and on mlx-vlm what comes behind a call."""
    chain = PROFILES[host].make_filter({"max_tokens": 10, "tools": [tool("f")]})
    assert chain is not None
    assert chain.passes_as("content") == (None if host == "vllm-mlx" else "content")
    chain.feed(text("a"))
    assert chain.passes_as("content") == "content"
    chain.feed(call("f", ""))
    assert chain.passes_as("arguments") == "arguments"
    chain.feed(text("b"))
    assert chain.passes_as("arguments") == (None if host == "mlx-vlm" else "arguments")
