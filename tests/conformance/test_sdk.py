"""OpenAI's own Python SDK as a client, over real HTTP: what most users do first."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

import anyio
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from tests.caller import parse_events, payloads
from tests.oracle import check_error, check_response, check_stream
from tests.runtime.pdfs import pdf_of
from tests.scripted import (
    DONE,
    Json,
    Script,
    ScriptedHost,
    Step,
    Wait,
    call_answer,
    call_then_text,
    chunk,
    text_answer,
)
from tests.serving import serving

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class City(BaseModel):
    name: str


class GetWeather(BaseModel):
    """The weather in a city."""

    city: str


@contextmanager
def client_of(*scripts: Script) -> Iterator[tuple[OpenAI, ScriptedHost]]:
    """The SDK, connected to the shim over a host with these scripts."""
    host = ScriptedHost(*scripts)
    with (
        serving(ResponsesShim(host)) as url,
        OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=20) as client,
    ):
        yield client, host


def as_json(model: Any) -> Any:
    """What the SDK has read, as it was on the wire. The SDK makes floats of the times of a response."""
    data = model.to_dict(mode="json")
    response = data.get("response", data)
    for key in ("created_at", "completed_at"):
        if isinstance(response.get(key), float):
            assert response[key].is_integer()
            response[key] = int(response[key])
    return data


def stream_of(client: OpenAI) -> list[Any]:
    return list(client.responses.create(model="scripted", input="Hi", stream=True))


def test_create() -> None:
    with client_of(text_answer("Hello", " world")) as (client, host):
        response = client.responses.create(model="scripted", instructions="Be brief.", input="Hi")
    check_response(as_json(response))
    assert response.status == "completed"
    assert response.output_text == "Hello world"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (7, 2, 9)
    (request,) = host.requests
    assert [(m["role"], m["content"]) for m in request["messages"]] == [("system", "Be brief."), ("user", "Hi")]
    assert host.headers[0]["authorization"] == "Bearer key"


def test_create_with_stream() -> None:
    with client_of(text_answer("Hello", " world")) as (client, _):
        events = stream_of(client)
    check_stream([as_json(event) for event in events])
    assert [e.delta for e in events if e.type == "response.output_text.delta"] == ["Hello", " world"]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hello world"


def test_the_stream_helper() -> None:
    with (
        client_of(text_answer("Hello", " world")) as (client, _),
        client.responses.stream(model="scripted", input="Hi") as stream,
    ):
        types = [event.type for event in stream]
        final = stream.get_final_response()
    assert types[0] == "response.created"
    assert types[-1] == "response.completed"
    assert final.output_text == "Hello world"


def test_the_stream_helper_parses_structured_output() -> None:
    with (
        client_of(text_answer('{"name":', '"Paris"}')) as (client, host),
        client.responses.stream(model="scripted", input="Where?", text_format=City) as stream,
    ):
        events = list(stream)
        final = stream.get_final_response()
    assert [e.snapshot for e in events if e.type == "response.output_text.delta"] == ['{"name":', '{"name":"Paris"}']
    assert [e.parsed for e in events if e.type == "response.output_text.done"] == [City(name="Paris")]
    assert final.output_parsed == City(name="Paris")
    assert host.requests[0]["response_format"]["type"] == "json_schema"


def test_the_stream_helper_reads_a_summary_of_reasoning() -> None:
    script: list[Step] = [chunk(reasoning="First "), chunk(reasoning="this."), *text_answer("Hello")]
    with (
        client_of(script) as (client, _),
        client.responses.stream(model="scripted", input="Hi", reasoning={"summary": "auto"}) as stream,
    ):
        deltas = [event.delta for event in stream if event.type == "response.reasoning_summary_text.delta"]
        final = stream.get_final_response()
    assert deltas == ["First ", "this."]
    reasoning, message = final.output
    assert reasoning.type == "reasoning"
    assert [part.text for part in reasoning.summary] == ["First this."]
    assert message.type == "message"
    assert final.output_text == "Hello"


def test_parse_parses_structured_output() -> None:
    with client_of(text_answer('{"name":', '"Paris"}')) as (client, host):
        response = client.responses.parse(model="scripted", input="Where?", text_format=City)
    assert response.output_parsed == City(name="Paris")
    wanted = host.requests[0]["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["name"] == "City"
    assert wanted["json_schema"]["schema"]["required"] == ["name"]


def test_parse_parses_calls_and_structured_output_with_tools() -> None:
    script = call_answer(("call_7", "GetWeather", '{"city": "Paris"}'))
    options: Any = {
        "model": "scripted",
        "tools": [openai.pydantic_function_tool(GetWeather)],
        "text_format": City,
    }
    question: Any = {"role": "user", "content": "Where is it sunny?"}
    with client_of(script, text_answer('{"name":"Paris"}')) as (client, host):
        first = client.responses.parse(input=[question], **options)
        (called,) = first.output
        assert called.type == "function_call"
        assert called.parsed_arguments == GetWeather(city="Paris")
        result: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
        second = client.responses.parse(input=[question, as_json(called), result], **options)
    assert second.output_parsed == City(name="Paris")
    assert host.requests[0]["tools"][0]["function"]["strict"] is True
    # A model that the host holds to a schema can call no tool, so the schema is in the system message.
    assert "response_format" not in host.requests[0]
    assert '"name":{"title":"Name","type":"string"}' in host.requests[0]["messages"][0]["content"]


def test_parse_reads_a_refusal() -> None:
    with client_of([chunk(refusal="I would "), chunk(refusal="rather not."), chunk(finish_reason="stop"), DONE]) as (
        client,
        _,
    ):
        response = client.responses.parse(model="scripted", input="Where?", text_format=City)
    assert response.output_parsed is None
    (message,) = response.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "refusal"
    assert part.refusal == "I would rather not."


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_is_called_and_its_output_sent_back(stream: bool) -> None:
    question: Any = {"role": "user", "content": "Weather in Paris?"}
    script = call_answer(("call_7", "get_weather", '{"city": "Paris"}'))
    with client_of(script, text_answer("It is", " sunny.")) as (client, host):

        def ask(history: list[Any]) -> Any:
            options: dict[str, Any] = {"model": "scripted", "input": history, "tools": [WEATHER]}
            if not stream:
                return client.responses.create(**options)
            events = list(client.responses.create(**options, stream=True))
            check_stream([as_json(event) for event in events])
            return events[-1].response

        first = ask([question])
        (called,) = first.output
        result = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
        second = ask([question, as_json(called), result])

    check_response(as_json(first))
    check_response(as_json(second))
    assert (called.type, called.name, called.call_id) == ("function_call", "get_weather", "call_7")
    assert json.loads(called.arguments) == {"city": "Paris"}
    assert second.output_text == "It is sunny."

    offered = host.requests[0]["tools"][0]
    assert offered["type"] == "function"
    assert offered["function"]["name"] == "get_weather"
    assert offered["function"]["parameters"] == WEATHER["parameters"]
    _, call, output = host.requests[1]["messages"]
    assert call["role"] == "assistant"
    assert call["tool_calls"][0]["id"] == output["tool_call_id"] == "call_7"
    assert call["tool_calls"][0]["function"]["name"] == "get_weather"
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
    assert (output["role"], output["content"]) == ("tool", "sunny")


NOTE: Any = {"type": "custom", "name": "note", "description": "Writes a note."}


def test_a_custom_tool_is_called_with_text_and_its_output_sent_back() -> None:
    question: Any = {"role": "user", "content": "Note the weather."}
    script = call_answer(("call_7", "note", json.dumps({"input": 'Rain,\n"heavy" at times'})))
    with client_of(script, text_answer("Noted.")) as (client, host):
        with client.responses.stream(model="scripted", input=[question], tools=[NOTE]) as stream:
            deltas = [event.delta for event in stream if event.type == "response.custom_tool_call_input.delta"]
            (called,) = stream.get_final_response().output
        assert called.type == "custom_tool_call"
        assert "".join(deltas) == called.input == 'Rain,\n"heavy" at times'
        result: Any = {"type": "custom_tool_call_output", "call_id": called.call_id, "output": "Written."}
        second = client.responses.create(model="scripted", input=[question, as_json(called), result], tools=[NOTE])
    check_response(as_json(second))
    assert second.output_text == "Noted."
    assert host.requests[1]["messages"][-1] == {"role": "tool", "tool_call_id": "call_7", "content": "Written."}


def test_a_tool_of_a_namespace_keeps_its_namespace() -> None:
    tools: Any = [{"type": "namespace", "name": "sky", "description": "Of the sky.", "tools": [WEATHER]}]
    question: Any = {"role": "user", "content": "Weather in Paris?"}
    with client_of(call_then_text) as (client, host):
        (called,) = client.responses.create(model="scripted", input=[question], tools=tools).output
        assert called.type == "function_call"
        assert (called.namespace, called.name) == ("sky", "get_weather")
        result: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
        second = client.responses.create(model="scripted", input=[question, as_json(called), result], tools=tools)
    assert second.output_text == "Hello from the script."
    offered = host.requests[0]["tools"][0]["function"]["name"]
    assert host.requests[1]["messages"][1]["tool_calls"][0]["function"]["name"] == offered


def test_images_and_files_are_seen() -> None:
    def data_url(kind: str, data: bytes) -> str:
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"

    content: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": data_url("image/png", b"pixels"), "detail": "low"},
        {"type": "input_file", "filename": "a.txt", "file_data": data_url("text/plain", b"Roses are red.")},
        {"type": "input_file", "filename": "b.pdf", "file_data": data_url("application/pdf", pdf_of("Violets too."))},
    ]
    with client_of(text_answer("A poem.")) as (client, host):
        response = client.responses.create(model="scripted", input=[{"role": "user", "content": content}])
    assert response.output_text == "A poem."
    (message,) = host.requests[0]["messages"]
    images = [part["image_url"] for part in message["content"] if part["type"] == "image_url"]
    assert images == [{"url": data_url("image/png", b"pixels"), "detail": "low"}]
    text = "\n".join(part["text"] for part in message["content"] if part["type"] == "text")
    assert text.startswith("What is this?")
    assert "Roses are red." in text
    assert "Violets too." in text


def test_the_raw_response_has_the_report() -> None:
    tools: Any = [{"type": "web_search"}]
    with client_of(text_answer("Hello")) as (client, _):
        raw = client.responses.with_raw_response.create(
            model="scripted", input="Hi", max_output_tokens=16, tools=tools, truncation="auto"
        )
    assert raw.headers["responses-shim-report"] == 'dropped=("tools[0]" "truncation"), mapped=("max_output_tokens")'
    assert raw.parse().output_text == "Hello"


ANYIO = tuple(map(int, version("anyio").split(".")[:2]))


@pytest.mark.skipif(ANYIO < (4, 10), reason="needs anyio 4.10, as the SDK asks for")
def test_the_async_client() -> None:
    """Sixteen requests at a time, streamed and not, over one client."""

    async def run(url: str) -> list[str]:
        texts: list[str] = []

        async def unstreamed() -> None:
            response = await client.responses.create(model="scripted", input="Hi")
            texts.append(response.output_text)

        async def streamed() -> None:
            async with client.responses.stream(model="scripted", input="Hi") as stream:
                deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
                final = await stream.get_final_response()
            assert "".join(deltas) == final.output_text
            texts.append(final.output_text)

        async with (
            AsyncOpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=20) as client,
            anyio.create_task_group() as group,
        ):
            for ask in [unstreamed, streamed] * 8:
                group.start_soon(ask)
        return texts

    with serving(ResponsesShim(ScriptedHost(text_answer("Hello", " world")))) as url:
        assert anyio.run(run, url) == ["Hello world"] * 16


def test_a_bad_request_names_its_field() -> None:
    hot: Any = "hot"
    with client_of() as (client, host), pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="scripted", input="Hi", temperature=hot)
    assert caught.value.param == "temperature"
    assert caught.value.type == "invalid_request_error"
    check_error({"error": caught.value.body})
    assert not host.requests


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_host_keeps_its_status(status: int, error: type[openai.APIStatusError], stream: bool) -> None:
    refusal = {"error": {"message": "not like this", "type": "some_error", "param": None, "code": None}}
    with client_of([Json(status, refusal)]) as (client, _), pytest.raises(error) as caught:
        client.responses.create(model="scripted", input="Hi", stream=stream)
    assert caught.value.status_code == status
    assert "not like this" in caught.value.message
    check_error({"error": caught.value.body})


def test_a_stream_that_breaks_off_ends_as_failed() -> None:
    with (
        client_of([chunk("Hel")]) as (client, _),
        client.responses.with_streaming_response.create(model="scripted", input="Hi", stream=True) as raw,
    ):
        events = payloads(parse_events(raw.read()))
    check_stream(events)
    assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
    failed = events[-1]["response"]
    assert failed["status"] == "failed"
    assert failed["error"]["message"]
    assert failed["output"][0]["content"][0]["text"] == "Hel"


@pytest.mark.parametrize("helper", [False, True])
def test_a_stream_that_breaks_off_raises(helper: bool) -> None:
    """As with OpenAI's own service: nobody can take half an answer for a complete one."""
    asked: Any = {"model": "scripted", "input": "Hi"}
    types: list[str] = []
    with ExitStack() as stack:
        client, _ = stack.enter_context(client_of([chunk("Hel")]))
        events: Iterable[Any]
        if helper:
            events = stack.enter_context(client.responses.stream(**asked))
        else:
            events = client.responses.create(**asked, stream=True)
        with pytest.raises(openai.APIError) as caught:
            types.extend(event.type for event in events)
    assert types[-1] == "response.output_item.done"
    assert caught.value.message == "The host ended its stream before the answer was complete."
    assert (caught.value.type, caught.value.code, caught.value.param) == ("server_error", "server_error", None)


@pytest.mark.parametrize(
    ("status", "code"), [(404, "no_such_model"), (429, "rate_limit_exceeded"), (503, "server_is_overloaded")]
)
def test_a_refusal_after_the_stream_has_begun_keeps_type_code_and_status(status: int, code: str) -> None:
    error = {"message": "not like this", "type": "some_error", "param": None, "code": code}
    go = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def refuse_once_begun(message: Message) -> None:
            await send(message)
            if b"response.created" in message.get("body", b""):
                go.set()

        await shim(scope, receive, refuse_once_begun)

    shim = ResponsesShim(ScriptedHost([Wait(go), Json(status, {"error": error})]), commit_after=0)
    with (
        serving(app) as url,
        OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=20) as client,
        pytest.raises(openai.APIError) as caught,
    ):
        stream_of(client)
    assert (caught.value.message, caught.value.type, caught.value.code) == ("not like this", "some_error", code)
    assert caught.value.body == {**error, "status": status}


def test_an_answer_that_is_cut_is_incomplete() -> None:
    with client_of(text_answer("Hello", finish_reason="length")) as (client, _):
        response = client.responses.create(model="scripted", input="Hi", max_output_tokens=16)
    check_response(as_json(response))
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_simultaneous_streams_are_kept_apart() -> None:
    with client_of(call_then_text) as (client, _):
        streams = [client.responses.create(model="scripted", input="Hi", stream=True) for _ in range(4)]
        answers = [[as_json(event) for event in stream] for stream in streams]
    for events in answers:
        check_stream(events)
    assert len({events[0]["response"]["id"] for events in answers}) == 4
