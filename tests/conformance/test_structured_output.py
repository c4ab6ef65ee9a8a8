"""Structured output beside tools: on a host that can enforce a format, every answer is in it.

The model answers in every way that is out of format as long as the host lets it, and OpenAI's SDK parses what it is
given. On a host that enforces nothing an answer is in the format all the same, or the response fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any, Literal

import anyio
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from pydantic import BaseModel, ConfigDict, Field

from responses_shim import ResponsesShim
from tests.caller import payloads, post
from tests.conformance.answers_out_of_format import (
    FENCED,
    OUT_OF_FORMAT,
    REPORT,
    VALID,
    WRAPPED,
    obeys_when_constrained,
)
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import ScriptedHost, Step, call, chunk, text_answer
from tests.serving import serving

TURNS = 50
TOOL: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {}}}}


class Wind(BaseModel):
    model_config = ConfigDict(extra="forbid")

    origin: str = Field(alias="from", pattern="^[NESW]{1,2}$")


class Report(BaseModel):
    model_config = ConfigDict(extra="forbid")

    city: str
    sky: Literal["clear", "clouded"]
    degrees: int
    wind: Wind


EXPECTED = Report.model_validate_json(VALID)


@pytest.fixture
def turns() -> Iterator[tuple[OpenAI, ScriptedHost, list[str]]]:
    """A client of a host whose model gives another answer in each turn, the host, and the names of the answers.

    In every third turn it calls a tool first, with words before the call.
    """
    answers = [*islice(cycle((OUT_OF_FORMAT | WRAPPED | {"valid": VALID}).items()), TURNS)]
    scripts: list[Any] = []
    for number, (_, text) in enumerate(answers):
        calls = number % 3 == 2
        plays = obeys_when_constrained(text, commentary=calls)
        scripts += [plays] * (1 + calls + (text in OUT_OF_FORMAT.values()))
    host = ScriptedHost(*scripts)
    with (
        serving(ResponsesShim(host)) as url,
        OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=20) as client,
    ):
        yield client, host, [name for name, _ in answers]


def parse(client: OpenAI, history: list[Any], stream: bool) -> Any:
    options: Any = {"model": "scripted", "input": history, "tools": [TOOL], "text_format": Report}
    if not stream:
        return client.responses.parse(**options)
    with client.responses.stream(**options) as events:
        for _ in events:
            pass
        return events.get_final_response()


@pytest.mark.usefixtures("loopback_only")
def test_every_answer_beside_tools_can_be_parsed(turns: tuple[OpenAI, ScriptedHost, list[str]]) -> None:
    client, host, names = turns
    parsed = []
    for number, name in enumerate(names):
        history: list[Any] = [{"role": "user", "content": f"{number}: the weather?"}]
        response = parse(client, history, stream=number % 2 == 1)
        if number % 3 == 2:
            commentary, called = response.output
            assert (commentary.phase, commentary.content[0].text) == ("commentary", "Let me see.")
            output = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
            history += [*response.output, output]
            response = parse(client, history, stream=number % 2 == 1)
        assert response.output_parsed == EXPECTED, name
        assert response.output_text.strip() == VALID, name
        parsed.append(name)
    assert len(parsed) == TURNS
    constrained = [request for request in host.requests if "response_format" in request]
    assert len(constrained) == sum(name in OUT_OF_FORMAT for name in names)
    assert not any("tools" in request for request in constrained)
    assert len(host.requests) == len(host.scripts)


# Any answer ----------------------------------------------------------------------------------------------------------

Json = dict[str, Any]

FORMATS: dict[str, Json] = {
    "strict": {"type": "json_schema", "name": "report", "schema": REPORT, "strict": True},
    "not strict": {"type": "json_schema", "name": "report", "schema": REPORT},
    "any object": {"type": "json_object"},
}


@st.composite
def edited(draw: st.DrawFn) -> str:
    """The valid answer, bare or in a fence, with some piece of it replaced."""
    text = draw(st.sampled_from([VALID, FENCED]))
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    piece = draw(st.sampled_from(["", " ", "\n", '"', "{", "}", "21", "NaN", "é", "\ufeff", "```", ","]))
    return text if draw(st.booleans()) else text[:start] + piece + text[min(end, start + 5) :]


TEXTS = edited() | st.sampled_from([VALID, *OUT_OF_FORMAT.values(), *WRAPPED.values()]) | st.text(max_size=20)


@st.composite
def rounds(draw: st.DrawFn) -> list[Step]:
    """One answer of a host: text in any pieces, thoughts between, and seldom a call or another end than a good one."""
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    steps: list[Step] = []
    for piece in pieces:
        if draw(st.integers(0, 3)) == 0:
            steps.append(chunk(reasoning="Hm."))
        steps.append(chunk(piece))
    if draw(st.integers(0, 7)) == 0:
        steps.append(chunk(tool_calls=[call(0, "call_1", "get_weather", '{"city": "Paris"}')]))
    reason = draw(st.sampled_from(["stop"] * 6 + ["length", "odd"]))
    return [*steps, *text_answer(finish_reason=reason)[1:]]


def no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def is_report(text: str) -> bool:
    try:
        jsonschema.validate(json.loads(text, parse_constant=no_constant), REPORT)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=no_constant), dict)
    except ValueError:
        return False


async def response_to(shim: ResponsesShim, body: Json) -> Json:
    """The response, or one that has failed where the answer is an HTTP error."""
    reply = await post(shim, "/v1/responses", body)
    if reply.status != 200:
        check_error(reply.json)
        return {"status": "failed", "output": []}
    if not body["stream"]:
        check_response(reply.json)
        return dict(reply.json)
    events = payloads(reply.events)
    check_stream(events)
    return dict(events[-1]["response"])


def comparable(response: Json) -> list[Any]:
    """What of a response must be the same whether it is streamed or not; nothing else is there of one that failed."""
    if response["status"] == "failed":
        return ["failed"]
    items = [{name: item[name] for name in item.keys() - {"id", "call_id"}} for item in response["output"]]
    return [response["status"], response["usage"], items]


@settings(max_examples=150, deadline=None)
@given(rounds(), rounds(), st.sampled_from(sorted(FORMATS)))
def test_an_answer_is_in_its_format_or_the_response_does_not_complete(
    first: list[Step], second: list[Step], name: str
) -> None:
    async def converse() -> None:
        question: Json = {"role": "user", "content": "The weather?"}
        body: Json = {"model": "m", "input": [question], "tools": [TOOL], "text": {"format": FORMATS[name]}}
        made = []
        for stream in (False, True):
            host = ScriptedHost(first, second)
            made.append(await response_to(ResponsesShim(host), {**body, "stream": stream}))
            assert len(host.requests) <= 2
        response = made[1]
        assert comparable(made[0]) == comparable(response)
        if response["status"] != "completed":
            return
        called = any(item["type"] == "function_call" for item in response["output"])
        texts = ["".join(part["text"] for part in item["content"]) for item in answers_in(response)]
        if not called and name != "not strict":
            (text,) = texts
            assert is_object(text) if name == "any object" else is_report(text)
        later = ScriptedHost(text_answer(VALID))
        outputs = [{"type": "function_call_output", "call_id": "call_1", "output": "sunny"}] if called else []
        await response_to(
            ResponsesShim(later), {**body, "stream": False, "input": [question, *response["output"], *outputs]}
        )
        replayed = [m["content"] for m in later.requests[0]["messages"] if m["role"] == "assistant" and m["content"]]
        assert "".join(replayed) == "".join(texts), "the model is shown what the client was sent"

    anyio.run(converse)


def answers_in(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "message"]
