"""Structured output beside tools, with OpenAI's SDK: on a host that can enforce a format every answer is in it.

The model answers in every way that is out of format as long as the host lets it, and the SDK parses what it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any, Literal

import pytest
from openai import OpenAI
from pydantic import BaseModel, ConfigDict, Field

from responses_shim import ResponsesShim
from tests.conformance.answers_out_of_format import OUT_OF_FORMAT, VALID, WRAPPED, obeys_when_constrained
from tests.scripted import ScriptedHost
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
