"""Agent frameworks as clients: a plain turn, and one with a tool, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from responses_shim import ResponsesShim
from tests.scripted import Script, ScriptedHost, call_answer, chunk, text_answer
from tests.serving import serving

pytestmark = pytest.mark.usefixtures("loopback_only")

PARIS = call_answer(("call_1", "get_weather", '{"city": "Paris"}'))
SUNNY = text_answer("It is", " sunny.")


class City(BaseModel):
    name: str


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


@contextmanager
def host_at(*scripts: Script) -> Iterator[tuple[str, ScriptedHost]]:
    """The base URL of the shim over a host with these scripts, and the host."""
    host = ScriptedHost(*scripts)
    with serving(ResponsesShim(host)) as url:
        yield f"{url}/v1", host


def check_round_trip(host: ScriptedHost) -> None:
    """Check that the tool was offered, and that its call and its output came back."""
    first, second = host.requests
    assert first["tools"][0]["function"]["name"] == "get_weather"
    call, output = second["messages"][-2:]
    assert call["tool_calls"][0]["function"]["name"] == "get_weather"
    assert output == {"role": "tool", "tool_call_id": "call_1", "content": "It is sunny in Paris."}


# Pydantic AI -------------------------------------------------------------------------------------------------------

NO_PYDANTIC_AI = "pip install 'pydantic-ai-slim[openai]==2.68.0', on Python 3.11 or later"


@pytest.fixture
def pydantic_ai() -> Any:
    return pytest.importorskip("pydantic_ai", reason=NO_PYDANTIC_AI)


def ask_pydantic_ai(pydantic_ai: Any, question: str, *scripts: Script, **options: Any) -> tuple[Any, ScriptedHost]:
    """The output of an agent on a host with these scripts, and the host."""
    openai_models = pytest.importorskip("pydantic_ai.models.openai", reason=NO_PYDANTIC_AI)
    providers = pytest.importorskip("pydantic_ai.providers.openai", reason=NO_PYDANTIC_AI)

    async def asking(url: str) -> Any:
        async with AsyncOpenAI(base_url=url, api_key="key", max_retries=0, timeout=20) as client:
            provider = providers.OpenAIProvider(openai_client=client)
            agent = pydantic_ai.Agent(openai_models.OpenAIResponsesModel("scripted", provider=provider), **options)
            return (await agent.run(question)).output

    with host_at(*scripts) as (url, host):
        return anyio.run(asking, url), host


def test_pydantic_ai_gets_text(pydantic_ai: Any) -> None:
    output, host = ask_pydantic_ai(pydantic_ai, "Weather?", SUNNY, instructions="Be brief.")
    assert output == "It is sunny."
    assert host.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_pydantic_ai_calls_a_tool(pydantic_ai: Any) -> None:
    output, host = ask_pydantic_ai(pydantic_ai, "Weather in Paris?", PARIS, SUNNY, tools=[get_weather])
    assert output == "It is sunny."
    check_round_trip(host)


def test_pydantic_ai_gets_structured_output(pydantic_ai: Any) -> None:
    """It comes as a call of a tool that the model must call."""
    answer = call_answer(("call_1", "final_result", '{"name": "Paris"}'))
    output, host = ask_pydantic_ai(pydantic_ai, "Where is it sunny?", answer, output_type=City)
    assert output == City(name="Paris")
    assert host.requests[0]["tool_choice"] == "required"


# LangChain ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def langchain() -> Any:
    return pytest.importorskip(
        "langchain_openai", reason="pip install langchain-openai==1.7.3, on Python 3.11 or later"
    )


@contextmanager
def chat_of(langchain: Any, *scripts: Script, **options: Any) -> Iterator[tuple[Any, ScriptedHost]]:
    """LangChain's chat model on a host with these scripts, and the host."""
    with host_at(*scripts) as (url, host):
        yield (
            langchain.ChatOpenAI(
                base_url=url, api_key="key", model="scripted", use_responses_api=True, max_retries=0, **options
            ),
            host,
        )


def test_langchain_gets_text(langchain: Any) -> None:
    with chat_of(langchain, SUNNY) as (chat, host):
        answer = chat.invoke([("system", "Be brief."), ("human", "Weather?")])
    assert answer.text == "It is sunny."
    assert answer.usage_metadata["total_tokens"] == 9
    assert host.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_langchain_streams(langchain: Any) -> None:
    with chat_of(langchain, SUNNY) as (chat, _):
        pieces = [piece.text for piece in chat.stream("Weather?")]
    assert [piece for piece in pieces if piece] == ["It is", " sunny."]


def test_langchain_calls_a_tool(langchain: Any) -> None:
    """Its messages keep our items, reasoning among them."""
    with chat_of(langchain, [chunk(reasoning="I look it up."), *PARIS], SUNNY) as (chat, host):
        bound = chat.bind_tools([get_weather])
        history: list[Any] = [("human", "Weather in Paris?")]
        first = bound.invoke(history)
        [call] = first.tool_calls
        assert (call["name"], call["args"], call["id"]) == ("get_weather", {"city": "Paris"}, "call_1")
        result = {"role": "tool", "tool_call_id": call["id"], "content": get_weather(**call["args"])}
        answer = bound.invoke([*history, first, result])
    assert answer.text == "It is sunny."
    check_round_trip(host)
    assert host.requests[1]["messages"][1]["reasoning"] == "I look it up."


@pytest.mark.usefixtures("each_store")
def test_langchain_continues_by_the_id_of_the_last_response(langchain: Any) -> None:
    """It finds the id on the last answer of the model, and sends only what came after that."""
    with chat_of(langchain, PARIS, SUNNY, text_answer("Gladly."), use_previous_response_id=True) as (chat, host):
        bound = chat.bind_tools([get_weather])
        history: list[Any] = [("human", "Weather in Paris?")]
        first = bound.invoke(history)
        history += [first, {"role": "tool", "tool_call_id": "call_1", "content": get_weather("Paris")}]
        answer = bound.invoke(history)
        last = bound.invoke([*history, answer, ("human", "Thanks.")])
    assert (answer.text, last.text) == ("It is sunny.", "Gladly.")
    roles = [message["role"] for message in host.requests[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert host.requests[2]["messages"][:3] == host.requests[1]["messages"]


def test_langchain_gets_structured_output(langchain: Any) -> None:
    with chat_of(langchain, text_answer('{"name": "Paris"}')) as (chat, host):
        answer = chat.with_structured_output(City).invoke("Where is it sunny?")
    assert answer == City(name="Paris")
    assert host.requests[0]["response_format"]["json_schema"]["strict"] is True
