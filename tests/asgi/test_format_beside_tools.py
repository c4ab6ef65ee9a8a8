"""`text.format` beside tools: what a client gets when the answer is in the format, and when it is not."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.response import answer_hold
from responses_shim.hosts import generic
from responses_shim.runtime import json_schema
from tests.caller import Reply, call, payloads
from tests.conformance.answers_out_of_format import OUT_OF_FORMAT, REPORT, VALID, WRAPPED, obeys_when_constrained
from tests.conformance.asking import (
    WEATHER,
    Json,
    ask,
    events_of,
    items_of,
    refusal_of,
    response_of,
    streaming,
    text_of,
)
from tests.oracle import check_error, check_stream
from tests.scripted import (
    DONE,
    Hold,
    Script,
    ScriptedHost,
    Step,
    Wait,
    chunk,
    text_answer,
    usage,
)
from tests.scripted import (
    Json as JsonAnswer,
)
from tests.scripted import (
    call as call_delta,
)

pytestmark = pytest.mark.anyio

FORMAT: Json = {"type": "json_schema", "name": "report", "schema": REPORT, "strict": True}
NOT_STRICT: Json = {**FORMAT, "strict": None}
ANY_OBJECT: Json = {"type": "json_object"}
WORDS = "The weather is fine."
STOP = chunk(finish_reason="stop")


def beside(answer_format: Json = FORMAT, **fields: Any) -> Json:
    """The fields of a request with a format and a tool."""
    return {"tools": [WEATHER], "text": {"format": answer_format}, **fields}


def report_of(reply: Reply) -> str:
    return str(reply.headers.get("responses-shim-report", ""))


async def failure_of(shim: ResponsesShim, *, stream: bool, **fields: Any) -> str:
    """The message of the error with which the response fails."""
    if not stream:
        reply = await ask(shim, **fields)
        assert reply.status == 502, reply.body
        check_error(reply.json)
        assert reply.json["error"]["param"] == "text.format"
        return str(reply.json["error"]["message"])
    response = (await events_of(shim, **fields))[-1]["response"]
    assert response["status"] == "failed"
    assert items_of(response, "message") == []
    return str(response["error"]["message"])


# Answers -------------------------------------------------------------------------------------------------------------


@streaming
async def test_a_valid_answer_is_sent_as_it_came(stream: bool) -> None:
    text = f"\n {VALID}\n"
    host = ScriptedHost(text_answer(text[:10], text[10:]))
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    assert text_of(response) == text
    assert len(host.requests) == 1
    assert "response_format" not in host.requests[0]
    assert response["usage"]["output_tokens"] == 2


@streaming
@pytest.mark.parametrize("name", OUT_OF_FORMAT)
async def test_an_answer_out_of_format_is_asked_for_again(name: str, stream: bool) -> None:
    host = ScriptedHost(obeys_when_constrained(OUT_OF_FORMAT[name]))
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    assert text_of(response).strip() == VALID
    assert [item["type"] for item in response["output"]] == ["reasoning", "reasoning", "message"]
    first, second = host.requests
    assert second["response_format"]["json_schema"]["schema"] == REPORT
    assert second["messages"] == first["messages"], "the prompt keeps its beginning"
    assert second.keys() - first.keys() == {"response_format"}
    assert first.keys() - second.keys() == {"tools"}


@streaming
@pytest.mark.parametrize("name", WRAPPED)
async def test_an_answer_with_a_wrapping_is_sent_without_it(name: str, stream: bool) -> None:
    host = ScriptedHost(obeys_when_constrained(WRAPPED[name]))
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    assert text_of(response) == VALID
    assert len(host.requests) == 1


async def test_nothing_of_an_answer_is_sent_before_it_is_checked_and_pings_go_on() -> None:
    more, reasons = anyio.Event(), anyio.Event()
    host = ScriptedHost(
        [chunk(reasoning="Hm."), Wait(reasons), chunk(VALID[:20]), Wait(more), *text_answer(VALID[20:])],
    )
    shim = ResponsesShim(host, ping_interval=0.02)
    body = {"model": "m", "input": "Hi", "stream": True, **beside()}
    async with call(shim, "POST", "/v1/responses", json=body) as exchange:
        events = []

        async def next_name() -> str | None:
            event = await exchange.next_event()
            assert event is not None
            events.append(event)
            return event.name

        while await next_name() != "response.reasoning_text.delta":
            pass
        reasons.set()
        assert [await next_name() for _ in range(3)] == ["response.in_progress"] * 3
        more.set()
        events += await exchange.events()
    check_stream(payloads(events))
    deltas = [event.data["delta"] for event in events if event.name == "response.output_text.delta"]
    assert deltas == [VALID]


@streaming
async def test_any_object_will_do_for_json_object(stream: bool) -> None:
    host = ScriptedHost(obeys_when_constrained(WORDS))
    assert text_of(await response_of(ResponsesShim(host), stream=stream, **beside(ANY_OBJECT))).strip() == VALID
    assert host.requests[1]["response_format"] == {"type": "json_object"}
    host = ScriptedHost(text_answer('{"anything": []}'))
    await response_of(ResponsesShim(host), stream=stream, **beside(ANY_OBJECT))
    assert len(host.requests) == 1


@streaming
@pytest.mark.parametrize(("text", "calls"), [(VALID, 1), (WORDS, 2)])
async def test_a_host_that_does_not_stream_is_checked_too(stream: bool, text: str, calls: int) -> None:
    def answer(content: str) -> list[Step]:
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        return [JsonAnswer(200, {"choices": [choice], "usage": usage(1, 2)})]

    host = ScriptedHost(answer(text), answer(VALID))
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    assert text_of(response) == VALID
    assert len(host.requests) == calls


@streaming
async def test_the_usage_of_both_rounds_counts(stream: bool) -> None:
    first = [chunk(WORDS), STOP, chunk(usage=usage(10, 4, cached=2)), DONE]
    second = [chunk(VALID), STOP, chunk(usage=usage(11, 20, cached=9)), DONE]
    response = await response_of(ResponsesShim(ScriptedHost(first, second)), stream=stream, **beside())
    counts = response["usage"]
    assert (counts["input_tokens"], counts["output_tokens"], counts["total_tokens"]) == (21, 24, 45)
    assert counts["input_tokens_details"]["cached_tokens"] == 11


@pytest.mark.parametrize(("spent", "left"), [(30, 70), (120, 1), (None, 100)])
async def test_a_token_limit_is_one_for_both_rounds(spent: int | None, left: int) -> None:
    counted = [chunk(usage=usage(10, spent))] if spent is not None else []
    host = ScriptedHost([chunk(WORDS), STOP, *counted, DONE], text_answer(VALID))
    await response_of(ResponsesShim(host), max_output_tokens=100, **beside())
    assert [request["max_tokens"] for request in host.requests] == [100, left]
    assert host.requests[1]["max_completion_tokens"] == left


# What is no answer ---------------------------------------------------------------------------------------------------


@streaming
async def test_words_before_a_call_are_commentary(stream: bool) -> None:
    called = chunk(tool_calls=[call_delta(0, "call_1", "get_weather", '{"city": "Paris"}')])
    host = ScriptedHost(
        [chunk("Let "), chunk("me see."), called, chunk(" So."), chunk(finish_reason="tool_calls"), DONE]
    )
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    assert [item["type"] for item in response["output"]] == ["message", "function_call", "message"]
    assert [item["phase"] for item in items_of(response, "message")] == ["commentary"] * 2
    assert text_of(response) == "Let me see. So."
    assert len(host.requests) == 1


async def test_words_before_a_call_go_out_when_the_call_comes() -> None:
    host = ScriptedHost([chunk("Let me"), chunk(tool_calls=[call_delta(0, "call_1", "get_weather", "{")]), Hold()])
    body = {"model": "m", "input": "Hi", "stream": True, **beside()}
    async with call(ResponsesShim(host), "POST", "/v1/responses", json=body) as exchange:
        events = [await exchange.next_event() for _ in range(10)]
    names = [event.name for event in events if event is not None]
    assert names[-2:] == ["response.output_item.added", "response.function_call_arguments.delta"]
    assert "response.output_text.delta" in names


@streaming
async def test_a_refusal_passes(stream: bool) -> None:
    host = ScriptedHost([chunk("{"), chunk(refusal="I won't."), STOP, DONE])
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    (message,) = response["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert "phase" not in message
    assert len(host.requests) == 1


@streaming
@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_was_cut_is_incomplete_as_it_is(stream: bool, reason: str) -> None:
    host = ScriptedHost(text_answer(VALID[:20], finish_reason=reason))
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    assert response["status"] == "incomplete"
    assert text_of(response) == VALID[:20]
    assert len(host.requests) == 1


@pytest.mark.parametrize("end", [[], [b'data: {"error": {"message": "out of memory"}}\n\n']])
async def test_an_answer_that_breaks_off_fails_as_it_is(end: list[Step]) -> None:
    host = ScriptedHost([chunk(VALID[:20]), *end])
    response = await response_of(ResponsesShim(host), stream=True, **beside())
    assert response["status"] == "failed"
    assert text_of(response) == VALID[:20]
    assert ("out of memory" if end else "ended its stream before") in response["error"]["message"]
    assert len(host.requests) == 1


@streaming
async def test_the_other_round_may_be_cut_too(stream: bool) -> None:
    host = ScriptedHost(text_answer(WORDS), text_answer(VALID[:20], finish_reason="length"))
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    assert (response["status"], text_of(response)) == ("incomplete", VALID[:20])


@streaming
@pytest.mark.parametrize("fields", [{"tools": None}, {"text": None}, {"tool_choice": "none"}])
async def test_without_tools_or_a_format_nothing_is_checked(stream: bool, fields: Json) -> None:
    host = ScriptedHost(text_answer(WORDS))
    assert text_of(await response_of(ResponsesShim(host), stream=stream, **{**beside(), **fields})) == WORDS
    assert len(host.requests) == 1


@streaming
async def test_a_forced_call_that_does_not_come_is_not_asked_for_as_an_answer(stream: bool) -> None:
    host = ScriptedHost(text_answer(WORDS))
    response = await response_of(ResponsesShim(host), stream=stream, **beside(tool_choice="required"))
    assert text_of(response) == WORDS
    assert len(host.requests) == 1


# No valid answer -----------------------------------------------------------------------------------------------------


@streaming
@pytest.mark.parametrize(
    ("answer_format", "text", "reason"),
    [
        (FORMAT, WORDS, "it is not JSON"),
        (FORMAT, OUT_OF_FORMAT["none of the enumeration"], "$.sky: 'blue' is not one of ['clear', 'clouded']"),
        (FORMAT, "", "it is empty"),
        (ANY_OBJECT, f"[{VALID}]", "it is not a JSON object"),
    ],
)
async def test_what_cannot_be_had_fails(answer_format: Json, text: str, reason: str, stream: bool) -> None:
    host = ScriptedHost(text_answer(text))
    message = await failure_of(ResponsesShim(host), stream=stream, **beside(answer_format))
    assert message.startswith(
        "The model gave no answer in text.format, not even when the host was asked to enforce it."
    )
    assert message.endswith(f"Of the last answer: {reason}.")
    assert len(host.requests) == 2


@streaming
async def test_a_schema_that_is_not_strict_is_a_wish(stream: bool) -> None:
    host = ScriptedHost(text_answer(WORDS), text_answer("Once more: ", WORDS))
    response = await response_of(ResponsesShim(host), stream=stream, **beside(NOT_STRICT))
    assert text_of(response) == f"Once more: {WORDS}"
    assert response["status"] == "completed"
    assert "strict" not in host.requests[1]["response_format"]["json_schema"]


REFUSED = JsonAnswer(400, {"error": {"message": "response_format is not supported", "type": "BadRequestError"}})
BROKEN: dict[str, Script] = {
    "refused": [REFUSED],
    "an error in the stream": [chunk(reasoning="Hm."), b'data: {"error": {"message": "no"}}\n\n', DONE],
    "cut off": [chunk("{")],
}


@streaming
@pytest.mark.parametrize("name", BROKEN)
async def test_a_host_that_cannot_constrain_leaves_the_first_answer(name: str, stream: bool) -> None:
    host = ScriptedHost(text_answer("The weather", " is fine."), BROKEN[name])
    response = await response_of(ResponsesShim(host), stream=stream, **beside(NOT_STRICT))
    assert (response["status"], text_of(response)) == ("completed", WORDS)
    assert response["usage"] is None, "what the second round cost is not known"


@pytest.mark.parametrize("name", BROKEN)
async def test_a_host_that_cannot_constrain_fails_what_is_strict(name: str) -> None:
    host = ScriptedHost(text_answer(WORDS), BROKEN[name])
    response = await response_of(ResponsesShim(host), stream=True, **beside())
    assert response["status"] == "failed"
    assert WORDS not in json.dumps(response)


@streaming
async def test_calls_of_the_other_round_stand_even_if_it_fails(stream: bool) -> None:
    """They are an answer of their own: nothing is added to them."""
    called = chunk(tool_calls=[call_delta(0, "call_1", "get_weather", "{}")])
    host = ScriptedHost(text_answer(WORDS), [called, chunk(finish_reason="tool_calls"), DONE])
    response = await response_of(ResponsesShim(host), stream=stream, **beside(NOT_STRICT))
    assert [item["type"] for item in response["output"]] == ["function_call"]
    host = ScriptedHost(text_answer(WORDS), [called])
    events = await events_of(ResponsesShim(host), **beside(NOT_STRICT))
    assert events[-1]["type"] == "response.failed"


async def test_an_answer_that_is_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_hold, "MAX_HELD", 5_000)
    host = ScriptedHost([*[chunk("x" * 1_000)] * 6, Hold()])
    response = await response_of(ResponsesShim(host), stream=True, **beside())
    assert response["status"] == "failed"
    assert response["error"]["message"] == "The answer is too long to be checked against text.format."


# What belongs to the text token by token -----------------------------------------------------------------------------


def with_logprobs(*tokens: str) -> list[Step]:
    return [
        *[
            chunk(token, logprobs={"content": [{"token": token, "logprob": -0.5, "top_logprobs": []}]})
            for token in tokens
        ],
        STOP,
        DONE,
    ]


@streaming
async def test_log_probabilities_are_those_of_the_text_that_is_sent(stream: bool) -> None:
    include = ["message.output_text.logprobs"]
    fenced = with_logprobs("```\n", VALID[:9], VALID[9:], "\n```")
    host = ScriptedHost(fenced, with_logprobs(VALID[:9], VALID[9:]))
    response = await response_of(ResponsesShim(host), stream=stream, include=include, **beside())
    ((part,),) = [item["content"] for item in response["output"]]
    assert [entry["token"] for entry in part["logprobs"]] == [VALID[:9], VALID[9:]]
    assert part["text"] == VALID
    assert len(host.requests) == 2, "nothing is cut out of a text with log-probabilities"


def with_token_ids(prompt: list[int], *tokens: tuple[int, str]) -> list[Step]:
    steps: list[Step] = []
    for number, text in tokens:
        logprobs = {"content": [{"token": f"token_id:{number}", "logprob": -0.5}]}
        data = json.loads(chunk(text, logprobs=logprobs).removeprefix(b"data: "))
        data["prompt_token_ids"] = prompt
        steps.append(b"data: " + json.dumps(data).encode() + b"\n\n")
    return [*steps, STOP, DONE]


@streaming
async def test_token_ids_are_those_of_the_round_that_answers(stream: bool) -> None:
    host = ScriptedHost(
        with_token_ids([1, 2], (3, "The "), (4, "city")),
        with_token_ids([1, 5], (6, VALID[:9]), (7, VALID[9:])),
    )
    response = await response_of(ResponsesShim(host), stream=stream, return_token_ids=True, **beside())
    (message,) = response["output"]
    assert (message["prompt_token_ids"], message["generation_token_ids"]) == ([1, 5], [6, 7])


@streaming
async def test_an_empty_message_stands_for_no_answer_that_was_asked_for_again(stream: bool) -> None:
    host = ScriptedHost(obeys_when_constrained(""))
    response = await response_of(ResponsesShim(host, nemo_gym=True), stream=stream, **beside())
    assert [item["type"] for item in response["output"]] == ["reasoning", "reasoning", "message"]


async def test_the_token_ids_of_the_prompt_are_asked_for_with_the_request_of_the_round() -> None:
    """A host without `prompt_token_ids` in its stream gives those of the prompt on another route."""
    asked: list[Json] = []

    class Host(ScriptedHost):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope.get("path") != "/tokenize":
                await super().__call__(scope, receive, send)
                return
            asked.append(json.loads((await receive())["body"]))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b'{"tokens": [1, 2]}'})

    def without_prompt(*tokens: tuple[int, str]) -> list[Step]:
        return [
            step.replace(b', "prompt_token_ids": [9]', b"") if isinstance(step, bytes) else step
            for step in with_token_ids([9], *tokens)
        ]

    host = Host(without_prompt((3, WORDS)), without_prompt((4, VALID)))
    response = await response_of(ResponsesShim(host), return_token_ids=True, **beside())
    assert response["output"][0]["prompt_token_ids"] == [1, 2]
    assert ["tools" in request for request in asked] == [False]


# The report, the settings, the extra ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "outcome"), [(VALID, "described"), (WORDS, "repaired"), (WRAPPED["a fence"], "repaired")]
)
async def test_the_report_of_a_response_that_is_not_streamed_has_the_last_step(text: str, outcome: str) -> None:
    reply = await ask(ResponsesShim(ScriptedHost(obeys_when_constrained(text))), **beside())
    assert f'{outcome}=("text.format")' in report_of(reply)


async def test_the_report_of_a_stream_has_the_first_step_and_the_log_the_last(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="responses_shim")
    reply = await ask(ResponsesShim(ScriptedHost(obeys_when_constrained(WORDS))), stream=True, **beside())
    assert report_of(reply) == 'described=("text.format")'
    assert "was asked for again, to have it in its format" in caplog.text
    assert WORDS not in caplog.text


async def test_the_schema_is_sent_in_the_hosts_own_form() -> None:
    host = ScriptedHost(text_answer(WORDS), text_answer(VALID))
    shim = ResponsesShim(host, host="llama-cpp", format_with_tools="verify", auth_probe="off")
    reply = await ask(shim, **beside())
    assert host.requests[1]["response_format"]["type"] == "json_object"
    assert host.requests[1]["response_format"]["schema"]["required"] == REPORT["required"]
    assert "tools" not in host.requests[1]
    assert 'repaired=("text.format")' in report_of(reply)


async def test_a_host_that_composes_calls_and_a_format_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = TranslationOptions(composes_format="always")
    monkeypatch.setattr(generic, "PROFILE", dataclasses.replace(generic.PROFILE, policy=policy))
    host = ScriptedHost(text_answer(VALID[:20], VALID[20:]))
    reply = await ask(ResponsesShim(host), stream=True, **beside())
    assert report_of(reply) == 'composed=("text.format")'
    assert [event.name for event in reply.events].count("response.output_text.delta") == 2
    (request,) = host.requests
    assert request["response_format"]["json_schema"]["schema"] == REPORT
    assert len(request["tools"]) == 1
    assert [message["role"] for message in request["messages"]] == ["user"]


@streaming
async def test_a_format_that_is_only_described_is_not_checked(stream: bool) -> None:
    host = ScriptedHost(text_answer("The weather", " is fine."))
    shim = ResponsesShim(host, format_with_tools="describe")
    reply = await ask(shim, stream=stream, **beside())
    assert report_of(reply) == 'described=("text.format")'
    if stream:
        names = [event.name for event in reply.events]
        assert names.count("response.output_text.delta") == 2
    assert len(host.requests) == 1


@pytest.mark.parametrize(
    ("schema", "reason"),
    [({"type": "objekt"}, "'objekt' is not valid"), ({"$ref": "https://example.com/a"}, "leads to no schema in it")],
)
async def test_a_schema_that_cannot_be_checked_is_a_400(schema: Json, reason: str) -> None:
    error = await refusal_of(ResponsesShim(host := ScriptedHost()), **beside({**FORMAT, "schema": schema}))
    assert (error["param"], error["code"]) == ("text.format.schema", "invalid_json_schema")
    assert reason in error["message"]
    assert host.requests == []


async def test_a_schema_that_takes_too_long_fails_and_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_schema, "MAX_SECONDS", 0.05)
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a|a)*$"}}}
    host = ScriptedHost(text_answer(json.dumps({"a": "a" * 50 + "b"})))
    message = await failure_of(ResponsesShim(host), stream=True, **beside({**FORMAT, "schema": schema}))
    assert message.endswith("it takes more than 0.05 s to check it against text.format.schema.")


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_schema, "_is_installed", lambda: False)


@streaming
@pytest.mark.usefixtures("without_extra")
@pytest.mark.parametrize("text", [VALID, WORDS])
async def test_without_the_extra_every_answer_is_asked_for_again(stream: bool, text: str) -> None:
    host = ScriptedHost(obeys_when_constrained(text))
    response = await response_of(ResponsesShim(host), stream=stream, **beside())
    assert text_of(response) == VALID + "\n"
    assert len(host.requests) == 2


@streaming
@pytest.mark.usefixtures("without_extra")
@pytest.mark.parametrize(("text", "calls"), [(OUT_OF_FORMAT["a missing key"], 1), (WORDS, 2)])
async def test_without_the_extra_a_wish_is_json_and_no_more(stream: bool, text: str, calls: int) -> None:
    host = ScriptedHost(obeys_when_constrained(text))
    await response_of(ResponsesShim(host), stream=stream, **beside(NOT_STRICT))
    assert len(host.requests) == calls


@streaming
@pytest.mark.usefixtures("without_extra")
async def test_without_the_extra_what_is_no_json_still_fails(stream: bool) -> None:
    message = await failure_of(ResponsesShim(ScriptedHost(text_answer(WORDS))), stream=stream, **beside())
    assert message.endswith("Of the last answer: it is not JSON.")


@streaming
@pytest.mark.usefixtures("without_extra")
async def test_without_the_extra_objects_are_checked(stream: bool) -> None:
    host = ScriptedHost(text_answer(VALID))
    assert text_of(await response_of(ResponsesShim(host), stream=stream, **beside(ANY_OBJECT))) == VALID
    assert len(host.requests) == 1
