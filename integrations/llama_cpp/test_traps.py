"""What llama-cpp-python's server does otherwise than one would think, on the real engine.

The recordings of it are in tests/captures/llama_cpp, and are replayed by tests/hosts/test_llama_cpp_captures.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.llama_cpp.conftest import Start
from integrations.llama_cpp.test_live import GET_WEATHER, LONG_ANSWER, SECONDS, body, create, held_to, stream_events
from integrations.running import detected_host
from responses_shim.hosts.llama_cpp import INTERRUPTS
from tests.oracle import check_error

pytestmark = pytest.mark.live

Json = dict[str, Any]
KEY = {"authorization": "Bearer right"}


def test_its_app_is_recognised(model: str) -> None:
    assert detected_host(sys.executable, "llama-cpp") == "llama-cpp"


# Requests that interrupt each other ----------------------------------------------------------------------------------


@contextmanager
def running_stream(url: str) -> Iterator[Iterator[str]]:
    """The lines of a long answer that has begun, to a client with the key."""
    asked = body(stream=True, text=LONG_ANSWER, max_output_tokens=400)
    with httpx.stream("POST", f"{url}/responses", json=asked, headers=KEY, timeout=SECONDS) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line == "event: response.output_text.delta")
        yield lines


def last_events(lines: Iterator[str]) -> list[Json]:
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    return [json.loads(event) for event in data[-2:]]


def test_a_second_response_ends_the_first_which_says_why(locked_url: str) -> None:
    with running_stream(locked_url) as lines:
        second = httpx.post(f"{locked_url}/responses", json=body(max_output_tokens=2), headers=KEY, timeout=SECONDS)
        error, failed = last_events(lines)
    assert second.status_code == 200
    assert (error["type"], failed["type"]) == ("error", "response.failed")
    assert failed["response"]["error"]["code"] == "server_error"
    assert "another request comes, unless it is started with --interrupt_requests False" in error["message"]


def test_an_answer_that_is_not_streamed_can_be_interrupted_too(locked_url: str) -> None:
    """The shim streams it from the server. It is an error with a status then."""
    asked = body(text=LONG_ANSWER, max_output_tokens=400)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(httpx.post, f"{locked_url}/responses", json=asked, headers=KEY, timeout=SECONDS)
        while not first.done():  # whichever came first
            httpx.get(f"{locked_url}/models", headers=KEY, timeout=SECONDS)
    refused = first.result()
    assert refused.status_code == 502
    check_error(refused.json())
    assert "--interrupt_requests False" in refused.json()["error"]["message"]


NOT_INTERRUPTING: dict[str, Callable[[str], httpx.Response]] = {
    "a response that is not there": lambda url: httpx.get(f"{url}/responses/resp_1", headers=KEY),
    "another's key": lambda url: httpx.get(f"{url}/responses/resp_1", headers={"authorization": "Bearer other"}),
    "a conversation": lambda url: httpx.post(f"{url}/conversations", json={}, headers=KEY),
    "a wrong request": lambda url: httpx.post(f"{url}/responses", json={"input": 7}, headers=KEY),
    "a large request": lambda url: httpx.post(f"{url}/responses", json={"input": 7, "a": "a" * 99_999}, headers=KEY),
    "a wrong key": lambda url: httpx.post(f"{url}/responses", json=body(), headers={"authorization": "Bearer other"}),
}


def test_what_needs_no_model_interrupts_nothing(locked_url: str) -> None:
    """The server is asked whether a key is right by a request that does not take the model's lock."""
    with running_stream(locked_url) as lines:
        for name, ask in NOT_INTERRUPTING.items():
            assert ask(locked_url).status_code in (200, 400, 401, 404), name
        _, last = last_events(lines)
    assert last["type"] in ("response.completed", "response.incomplete")


def test_the_operator_is_warned_once(start: Start, tmp_path: Path) -> None:
    url = start(interrupt_requests="True", log=tmp_path / "log")
    for _ in range(2):
        create(url, max_output_tokens=1)
    assert (tmp_path / "log").read_text().count(INTERRUPTS) == 1


# Schemas that end the process of the bare server ---------------------------------------------------------------------

ODD: dict[str, Json] = {
    "an escape in a pattern": {"type": "string", "pattern": r"^\d{3}$"},
    "an empty enum": {"enum": []},
    "a quote in a value": {"enum": ['x"y', "z"]},
    "an emoji in a value": {"enum": ["\N{GRINNING FACE}"]},
    "a quote in a name": {"type": "object", "properties": {'x"y': {"type": "integer"}}, "required": ['x"y']},
    "a definition of itself": {"$ref": "#/$defs/tree_node"},
    "repetitions one after the other": {"type": "string", "pattern": "^" + "[^b]*" * 12 + "$"},
}
FEW = 12
"""As many tokens as it takes to come to the odd part."""

TREE: Json = {
    "type": "object",
    "properties": {"left": {"anyOf": [{"$ref": "#/$defs/tree_node"}, {"type": "null"}]}},
    "required": ["left"],
}


def around(schema: Json, place: str) -> Json:
    """An object schema with another one inside it, somewhere."""
    placed: Json = {"$ref": "#/$defs/odd_one"} if place == "definition" else schema
    placed = {"type": "array", "items": schema, "minItems": 1, "maxItems": 1} if place == "items" else placed
    return {
        "type": "object",
        "properties": {"a": placed},
        "required": ["a"],
        "additionalProperties": False,
        "$defs": {"tree_node": TREE, "odd_one": schema},
    }


@pytest.mark.parametrize("place", ["property", "items", "definition"])
@pytest.mark.parametrize("name", ODD)
def test_schemas_that_end_the_bare_server_do_not(url: str, name: str, place: str) -> None:
    """As the format of an answer, of a tool that is named, and of one of two that are required."""
    schema = around(ODD[name], place)
    text = {"format": {"type": "json_schema", "name": "odd", "schema": schema}}
    assert create(url, text=text, max_output_tokens=FEW)["output"]
    tool = {"type": "function", "name": "odd", "parameters": schema}
    for tools, choice in (([tool], {"type": "function", "name": "odd"}), ([tool, GET_WEATHER], "required")):
        assert create(url, tools=tools, tool_choice=choice, max_output_tokens=FEW)["output"]


def test_a_pattern_is_kept_to(url: str) -> None:
    text = {"format": {"type": "json_schema", "name": "a", "schema": around(ODD["an escape in a pattern"], "items")}}
    answered = create(url, text=text, max_output_tokens=40)
    [number] = json.loads(answered["output"][0]["content"][0]["text"])["a"]
    assert len(number) == 3
    assert number.isdecimal()


def test_a_raw_grammar_does_not_reach_it(url: str) -> None:
    reply = httpx.post(f"{url}/responses", json=body(grammar="root ::= ("), timeout=SECONDS)
    assert reply.status_code == 200
    assert 'dropped=("grammar")' in reply.headers["responses-shim-report"]


# Requests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_id", ["foo", "0d9e5a52-6f4a-4f0a-9d8c-3c1f5a1b2c3d"])
def test_any_request_id_is_taken_and_comes_back(url: str, request_id: str) -> None:
    """To the bare server anything but a UUID is a 400 without a body."""
    asked = body(max_output_tokens=1)
    reply = httpx.post(f"{url}/responses", json=asked, headers={"x-request-id": request_id}, timeout=SECONDS)
    assert (reply.status_code, reply.headers.get_list("x-request-id")) == (200, [request_id])


def test_null_in_every_field_is_as_if_it_were_not_there(url: str) -> None:
    names = ["temperature", "top_p", "presence_penalty", "frequency_penalty", "tools", "tool_choice", "text", "seed"]
    names += ["stop", "top_k", "min_p", "reasoning", "instructions", "metadata", "store", "user", "top_logprobs"]
    names += ["logit_bias", "min_tokens", "mirostat_mode", "mirostat_tau"]
    assert create(url, max_output_tokens=2, **dict.fromkeys(names))["output"]


def test_fields_of_its_engine_are_taken(url: str) -> None:
    fields = {
        "min_tokens": 3,
        "logit_bias": {"5": -100},
        "mirostat_mode": 2,
        "mirostat_tau": 4.0,
        "max_output_tokens": 4,
    }
    assert create(url, **fields)["status"] in ("completed", "incomplete")


def test_a_limit_beyond_the_context_is_no_error(url: str) -> None:
    assert create(url, text=held_to("Hi."), max_output_tokens=1_000_000)["status"] == "completed"


def test_log_probabilities_come_without_a_number_of_alternatives(url: str) -> None:
    """The bare server leaves them out where `top_logprobs` is not there."""
    response = create(url, include=["message.output_text.logprobs"], max_output_tokens=2)
    [first, *_] = response["output"][0]["content"][0]["logprobs"]
    assert bytes(first["bytes"]).decode() == first["token"]


def test_characters_of_several_tokens_are_whole(url: str) -> None:
    """Each delta is text by itself, and the last one ends with a character."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^é😀日本$"}}, "required": ["a"]}
    events = stream_events(
        url, text={"format": {"type": "json_schema", "name": "a", "schema": schema}}, max_output_tokens=60
    )
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert json.loads("".join(deltas)) == {"a": "é😀日本"}
    assert not any("\ufffd" in delta for delta in deltas)


# Its own format for tools --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chatml_url(start: Start) -> str:
    return start(chat_format="chatml-function-calling")


ANOTHER: Json = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("choice", ["auto", "none", "required", {"type": "function", "name": "get_weather"}])
@pytest.mark.parametrize("streamed", [True, False])
def test_with_its_own_format_for_tools_each_choice_is_answered(chatml_url: str, choice: Any, streamed: bool) -> None:
    """Of itself it has an error for `auto` in a stream and for `required`, and drops the tools for `none`."""
    fields: Json = {"tools": [GET_WEATHER, ANOTHER], "tool_choice": choice, "max_output_tokens": 60}
    if streamed:
        response = stream_events(chatml_url, input="What is the weather in Paris?", **fields)[-1]["response"]
    else:
        response = create(chatml_url, input="What is the weather in Paris?", **fields)
    kinds = {item["type"] for item in response["output"]}
    forced = choice == "required" or isinstance(choice, dict)
    assert kinds <= ({"function_call"} if forced else {"function_call", "message"})
    assert response["status"] in ("completed", "incomplete")


def test_with_its_own_format_for_tools_outputs_are_read(chatml_url: str) -> None:
    """It loses the text of tool messages, so it gets none: the text is that of a user."""
    question: Json = {"role": "user", "content": "What is the weather in Paris?"}
    choice = {"type": "function", "name": "get_weather"}
    first = create(chatml_url, input=[question], tools=[GET_WEATHER], tool_choice=choice, max_output_tokens=60)
    [called] = first["output"]
    short, long = (
        {"type": "function_call_output", "call_id": called["call_id"], "output": "It rains. " * times}
        for times in (1, 300)
    )
    history = [question, called]
    assert create(chatml_url, input=[*history, short], tools=[GET_WEATHER], max_output_tokens=8)["output"]
    asked = body(input=[*history, long], tools=[GET_WEATHER])
    refused = httpx.post(f"{chatml_url}/responses", json=asked, timeout=SECONDS)
    assert refused.json()["error"]["code"] == "context_length_exceeded"  # so the output was in the prompt
