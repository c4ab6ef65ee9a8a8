"""The shim on a real engine, called by the clients that people use.

    pip install -e '.[llama-cpp,dev]'
    pytest integrations/llama_cpp

What the model says is never checked, only what the API says about it.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from integrations.flags import unknown_flags
from tests.oracle import check_error, check_response, check_stream

pytestmark = [
    pytest.mark.live,
    # The SDK leaves the closing of its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

Start = Callable[..., str]

HERE = Path(__file__).parent
MODEL = "smollm2"
SECONDS = 60.0

GET_WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
CALL_WEATHER: Any = {"type": "function", "name": "get_weather"}


def held_to(text: str) -> Any:
    """A `text` field that holds the model to this very text, whatever it would rather say."""
    schema = {"type": "object", "properties": {"text": {"const": text}}, "required": ["text"]}
    return {"format": {"type": "json_schema", "name": "held", "schema": schema}}


LONG_ANSWER = held_to(" ".join(f"item {n}" for n in range(80)))
"""Some hundred tokens: seconds of work."""


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key="none", max_retries=0, timeout=SECONDS) as client:
        yield client


def body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": "Say hello.", "max_output_tokens": 16, **fields}


def stream_events(url: str, **fields: Any) -> list[dict[str, Any]]:
    """The events of one streamed response as they stand on the wire, checked by the suite's own oracle."""
    with httpx.stream("POST", f"{url}/responses", json=body(stream=True, **fields), timeout=SECONDS) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        data = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    events = [json.loads(line) for line in data]
    check_stream(events)
    return events


def create(url: str, **fields: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/responses", json=body(**fields), timeout=SECONDS)
    assert answer.status_code == 200, answer.text
    response: dict[str, Any] = answer.json()
    check_response(response)
    return response


# Text


@pytest.mark.feature(
    "usage",
    "cached tokens",
    "reasoning tokens",
    no="it counts no tokens in a stream, and the shim always streams from it",
)
def test_a_streamed_answer_is_one_story(url: str) -> None:
    events = stream_events(url)
    assert [event["type"] for event in events[:5]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    assert events[-1]["response"]["usage"] is None  # this host counts no tokens in a stream, and nobody guesses


@pytest.mark.feature("text")
def test_the_sdk_streams(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Say hello.", text=held_to("Hello there.")) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert len(deltas) > 1
    assert final.output_text == "".join(deltas)
    assert json.loads(final.output_text) == {"text": "Hello there."}


@pytest.mark.feature("text")
def test_the_sdk_does_without_a_stream(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=60)
    assert response.output_text
    assert response.status in ("completed", "incomplete")


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_that_is_cut_says_so(url: str, streamed: bool) -> None:
    if streamed:
        last = stream_events(url, max_output_tokens=2)[-1]
        assert last["type"] == "response.incomplete"
        response = last["response"]
    else:
        response = create(url, max_output_tokens=2)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][-1]["status"] == "incomplete"


def test_instructions_and_a_developer_message(client: OpenAI) -> None:
    response = client.responses.create(
        model=MODEL,
        instructions="Answer in one word.",
        input=[{"role": "developer", "content": "Be polite."}, {"role": "user", "content": "Say hello."}],
        max_output_tokens=16,
    )
    assert response.output_text
    assert response.instructions == "Answer in one word."


def test_the_history_may_be_sent_back(client: OpenAI) -> None:
    question: Any = {"role": "user", "content": "Say hello."}
    first = client.responses.create(model=MODEL, input=[question], max_output_tokens=16)
    history: list[Any] = [question, *(item.to_dict() for item in first.output), {"role": "user", "content": "Again."}]
    assert client.responses.create(model=MODEL, input=history, max_output_tokens=16).output_text


def test_text_parts(url: str) -> None:
    part = {"type": "input_text", "text": "Say hello."}
    assert create(url, input=[{"role": "user", "content": [part, part]}])["output"]


@pytest.mark.feature("log-probabilities", note="without `--logits_all False`")
def test_logprobs(url: str) -> None:
    fields = {"include": ["message.output_text.logprobs"], "top_logprobs": 2, "max_output_tokens": 3, "temperature": 0}
    events = stream_events(url, **fields)
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    # The token that was chosen comes on top of the two that were asked for, if it is neither.
    assert {len(entry["top_logprobs"]) for event in deltas for entry in event["logprobs"]} <= {2, 3}
    assert any(event["logprobs"] for event in deltas)
    assert create(url, **fields)["output"][0]["content"][0]["logprobs"]


@pytest.mark.feature("token ids", no="the server has none in its answers")
def test_token_ids_are_reported_as_left_out(url: str) -> None:
    answer = httpx.post(f"{url}/responses", json=body(return_token_ids=True), timeout=SECONDS)
    assert 'dropped=("return_token_ids")' in answer.headers["responses-shim-report"]
    check_response(answer.json())


# Tools and formats


@pytest.mark.feature("named function")
def test_a_named_function_is_called(client: OpenAI) -> None:
    response = client.responses.create(
        model=MODEL,
        input="What is the weather in Paris?",
        tools=[GET_WEATHER],
        tool_choice=CALL_WEATHER,
    )
    [call] = response.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.type, call.name, call.status) == ("function_call", "get_weather", "completed")
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")


@pytest.mark.feature("named function")
def test_a_named_function_is_called_in_a_stream(url: str) -> None:
    fields = {"tools": [GET_WEATHER], "tool_choice": CALL_WEATHER, "max_output_tokens": 60}
    events = stream_events(url, input="What is the weather in Paris?", **fields)
    deltas = [event["delta"] for event in events if event["type"] == "response.function_call_arguments.delta"]
    [call] = events[-1]["response"]["output"]
    assert call["name"] == "get_weather"
    assert call["arguments"] == "".join(deltas)
    assert json.loads(call["arguments"])["city"] in ("Paris", "Rome")


def test_a_call_that_is_cut_is_incomplete(url: str) -> None:
    response = create(url, tools=[GET_WEATHER], tool_choice=CALL_WEATHER, max_output_tokens=2)
    assert response["status"] == "incomplete"
    assert response["output"][0]["status"] == "incomplete"


@pytest.mark.feature("function calls")
def test_a_functions_output_is_read(client: OpenAI) -> None:
    question: Any = {"role": "user", "content": "What is the weather in Paris?"}
    first = client.responses.create(
        model=MODEL,
        input=[question],
        tools=[GET_WEATHER],
        tool_choice=CALL_WEATHER,
    )
    [called] = first.output
    assert isinstance(called, ResponseFunctionToolCall)
    output: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "18 degrees"}
    history: list[Any] = [question, called.to_dict(), output]
    second = client.responses.create(
        model=MODEL,
        input=history,
        tools=[GET_WEATHER],
        tool_choice="none",
        max_output_tokens=16,
    )
    assert second.output_text


class City(str, Enum):
    PARIS = "Paris"
    ROME = "Rome"


class Place(BaseModel):
    city: City


@pytest.mark.feature("structured output")
def test_a_schema_is_kept_to(client: OpenAI) -> None:
    response = client.responses.parse(model=MODEL, input="Name a city.", text_format=Place)
    assert response.output_parsed is not None
    assert response.output_parsed.city in City


@pytest.mark.feature("required call")
def test_one_of_several_functions_is_called_if_a_call_is_required(url: str) -> None:
    tools = [GET_WEATHER, {**GET_WEATHER, "name": "get_time"}]
    fields = {"tools": tools, "tool_choice": "required", "max_output_tokens": 60, "temperature": 0}
    for response in (create(url, **fields), stream_events(url, **fields)[-1]["response"]):
        [call] = response["output"]
        assert (call["type"], call["status"]) == ("function_call", "completed")
        assert call["name"] in ("get_weather", "get_time")
        assert json.loads(call["arguments"])["city"] in ("Paris", "Rome")


@pytest.mark.feature("structured output beside tools")
def test_a_schema_is_kept_to_beside_tools(url: str) -> None:
    """What the model answers first is in no format, so it is asked again, held to the schema."""
    response = create(url, text=held_to("Hello."), tools=[GET_WEATHER], max_output_tokens=100, temperature=0)
    [message] = response["output"]
    assert json.loads(message["content"][0]["text"]) == {"text": "Hello."}


@pytest.mark.parametrize(
    "properties",
    [
        {"a": {"type": "string", "pattern": r"^\d{3}$", "maxLength": 5}},
        {"a": {"enum": []}},
        {"a": {"enum": ['x"y']}},
        {'x"y': {"type": "string", "maxLength": 5}},
    ],
    ids=["escape in a pattern", "empty enum", "quote in a value", "quote in a name"],
)
def test_schemas_that_kill_the_bare_server_do_not(url: str, properties: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": properties}
    text = {"format": {"type": "json_schema", "name": "odd", "schema": schema}}
    answer = httpx.post(f"{url}/responses", json=body(text=text), timeout=SECONDS)
    assert answer.status_code in (200, 400)
    assert create(url, max_output_tokens=1)


# Errors


@pytest.mark.parametrize("streamed", [True, False])
def test_too_long_for_the_context(client: OpenAI, streamed: bool) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input="word " * 3000, stream=streamed)
    assert refused.value.code == "context_length_exceeded"


def test_a_wrong_key_is_refused_by_the_host(locked_url: str) -> None:
    for key in ({}, {"authorization": "Bearer wrong"}):
        for streamed in (True, False):
            refused = httpx.post(f"{locked_url}/responses", json=body(stream=streamed), headers=key)
            assert refused.status_code == 401
            check_error(refused.json())
    with OpenAI(base_url=locked_url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.responses.create(model=MODEL, input="Say hello.")
        assert client.with_options(api_key="right").responses.create(**body()).output_text


def test_a_stream_that_the_host_gives_up_has_failed(locked_url: str) -> None:
    """As it is by default, this host ends a running stream as soon as anybody asks it anything."""
    headers = {"authorization": "Bearer right"}
    asked = body(stream=True, text=LONG_ANSWER, max_output_tokens=400)
    with httpx.stream("POST", f"{locked_url}/responses", json=asked, headers=headers, timeout=SECONDS) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line == "event: response.output_text.delta")
        assert httpx.get(f"{locked_url}/models", headers=headers, timeout=SECONDS).status_code == 200
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert "error" in names
    assert names[-1] == "response.failed"


# The engine


@pytest.mark.feature("several requests", note="one after the other, with `--interrupt_requests False`")
def test_requests_wait_for_one_another(url: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        for events in threads.map(lambda _: stream_events(url), range(3)):
            assert events[-1]["type"] in ("response.completed", "response.incomplete")


@pytest.fixture(scope="session")
def long_seconds(url: str) -> float:
    """How long the long answer takes from beginning to end."""
    began = time.monotonic()
    create(url, text=LONG_ANSWER, max_output_tokens=600)
    return time.monotonic() - began


@pytest.mark.feature("disconnect")
@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_leaves_frees_the_engine(url: str, long_seconds: float, streamed: bool) -> None:
    asked = body(stream=streamed, text=LONG_ANSWER, max_output_tokens=600)
    if streamed:
        with httpx.stream("POST", f"{url}/responses", json=asked, timeout=SECONDS) as answer:
            next(line for line in answer.iter_lines() if line == "event: response.output_text.delta")
    else:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/responses", json=asked, timeout=httpx.Timeout(SECONDS, read=0.5))
    began = time.monotonic()
    create(url, max_output_tokens=1)
    assert time.monotonic() - began < long_seconds / 2


@pytest.mark.feature("state")
def test_a_response_is_continued_and_found_again(url: str) -> None:
    first = create(url, input="I am Ann.")
    second = create(url, input="Who am I?", previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert httpx.get(f"{url}/responses/{second['id']}", timeout=SECONDS).json()["output"] == second["output"]


@pytest.mark.feature("background")
def test_a_response_in_the_background_is_polled_and_another_one_cancelled(url: str) -> None:
    def until(id: str, status: str) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while (response := httpx.get(f"{url}/responses/{id}", timeout=SECONDS).json())["status"] != status:
            assert time.monotonic() < deadline, response
            time.sleep(0.05)
        checked: dict[str, Any] = response
        return checked

    made = create(url, background=True, text=held_to("Hello."), max_output_tokens=60)
    [message] = until(made["id"], "completed")["output"]
    assert json.loads(message["content"][0]["text"]) == {"text": "Hello."}
    slow = create(url, background=True, text=LONG_ANSWER, max_output_tokens=600)
    until(slow["id"], "in_progress")
    cancelled = httpx.post(f"{url}/responses/{slow['id']}/cancel", timeout=SECONDS).json()
    assert cancelled["status"] == "cancelled"


# What is not ours


def test_other_routes_are_the_hosts(url: str) -> None:
    root = url.removesuffix("/v1")
    assert [entry["id"] for entry in httpx.get(f"{url}/models").json()["data"]] == [MODEL]
    assert httpx.get(f"{root}/no-such-route").json() == {"detail": "Not Found"}
    assert "/v1/chat/completions" in httpx.get(f"{root}/openapi.json").json()["paths"]
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 2, "stream": True}
    answer = httpx.post(f"{url}/chat/completions", json=asked, timeout=SECONDS)
    assert answer.text.startswith('data: {"id": "chatcmpl-')
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "event:" not in answer.text


# The other ways to mount it, and the demo


@pytest.mark.parametrize(
    "target",
    [
        ["--factory", "responses_shim.cli.launch:llama_cpp"],
        ["--app-dir", str(HERE), "app:app"],
    ],
    ids=["factory", "app.py"],
)
def test_uvicorn_serves_it(start: Start, target: list[str]) -> None:
    url = start(command=[sys.executable, "-m", "uvicorn", *target, "--port", "PORT"])
    # This host knows no developers and no schemas: that they work shows that it was recognised.
    messages = [{"role": "developer", "content": "Be polite."}, {"role": "user", "content": "Say hello."}]
    assert create(url, input=messages, text=held_to("Hello."), max_output_tokens=60)["status"] == "completed"
    assert stream_events(url)[-1]["response"]["output"]


ENGINE = ["--engine", "llama-cpp"]


def demo(*words: str) -> list[str]:
    return [sys.executable, "-m", "responses_shim.cli", "demo", *words]


def nothing_listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.usefixtures("model")
def test_the_demo_once(free_port: int) -> None:
    shown = subprocess.run(
        demo(*ENGINE, "--once", "--port", str(free_port)), capture_output=True, text=True, timeout=SECONDS
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "response.output_text.delta" in shown.stdout
    assert "first delta after" in shown.stdout
    assert nothing_listens(free_port)


def test_the_demo_on_a_server_that_is_there(url: str) -> None:
    shown = subprocess.run(demo("--url", url), capture_output=True, text=True, timeout=SECONDS)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"curl -N {url}/responses" in shown.stdout


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_demo_takes_its_server_with_it(free_port: int, by: signal.Signals) -> None:
    running = subprocess.Popen(
        demo(*ENGINE, "--port", str(free_port)), stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    try:
        assert running.stdout is not None
        assert any("keeps running" in line for line in running.stdout)
        with socket.create_connection(("127.0.0.1", free_port), timeout=SECONDS) as connection:
            running.send_signal(by)
            assert running.wait(SECONDS) == (0 if by == signal.SIGINT else -by)
            assert connection.recv(1) == b""  # the server's end, which is its death
    finally:
        running.kill()
        running.communicate()
    assert nothing_listens(free_port)


def heed_interrupts() -> None:
    """A shell starts what it runs in the background deaf to SIGINT, the tests and their children included."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.usefixtures("model")
def test_the_document_names_flags_of_the_server() -> None:
    command = [sys.executable, "-m", "llama_cpp.server", "--help"]
    assert not unknown_flags(Path(__file__).with_name("README.md"), command)


# The forms that agents use, on an engine that knows named functions only


def test_a_custom_tool_is_called_with_plain_text(url: str) -> None:
    tool = {"type": "custom", "name": "note", "description": "Keeps a note.", "format": {"type": "text"}}
    tool["format"] = {"type": "grammar", "syntax": "regex", "definition": "[a-z ]{3,20}"}
    events = stream_events(
        url,
        input="Note that the cat is fed.",
        tools=[tool],
        tool_choice={"type": "custom", "name": "note"},
        temperature=0,
    )
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    (item,) = events[-1]["response"]["output"]
    assert item["type"] == "custom_tool_call"
    assert item["name"] == "note"
    assert "".join(deltas) == item["input"]
    assert "{" not in item["input"]


def test_a_tool_of_a_namespace_is_called_and_answered(url: str) -> None:
    space = {"type": "namespace", "name": "weather.today", "description": "Weather", "tools": [GET_WEATHER]}
    question = {"role": "user", "content": "How is the weather in Paris?"}
    choice = {"type": "function", "name": "get_weather"}
    asked = create(url, input=[question], tools=[space], tool_choice=choice, max_output_tokens=64)
    (called,) = asked["output"]
    assert (called["name"], called["namespace"]) == ("get_weather", "weather.today")
    result = {
        "type": "function_call_output",
        "call_id": called["call_id"],
        "output": [{"type": "input_text", "text": "sunny"}],
    }
    answered = create(url, input=[question, called, result], tools=[space])
    assert answered["output"][0]["type"] == "message"


def test_a_shell_is_called(url: str) -> None:
    asked = create(
        url, input="List the files.", tools=[{"type": "shell"}], tool_choice={"type": "shell"}, max_output_tokens=200
    )
    (called,) = asked["output"]
    assert called["type"] == "shell_call"
    assert isinstance(called["action"]["commands"], list)


def test_reasoning_goes_back_to_a_host_without_a_parser(url: str) -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
    again = {"role": "user", "content": "Again."}
    assert create(url, input=[{"role": "user", "content": "Hi"}, thought, said, again])["output"]
