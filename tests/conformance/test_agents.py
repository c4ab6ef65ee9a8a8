"""OpenAI's Agents SDK as a client: its loop runs the tools and sends their outputs back."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from responses_shim import ResponsesShim
from tests.scripted import Script, ScriptedHost, Step, call_answer, chunk, text_answer
from tests.serving import serving

# Its floors are above ours: where the oldest versions are tested, it is not installed.
agents: Any = pytest.importorskip("agents", reason="pip install openai-agents==0.24.0, on Python 3.11 or later")

pytestmark = pytest.mark.usefixtures("loopback_only")

Chat = dict[str, Any]


def on_host(use: Callable[[Any], Awaitable[Any]], *scripts: Script) -> tuple[Any, ScriptedHost]:
    """The result of `use`, which gets a configuration for runs on a host with these scripts; and the host."""
    host = ScriptedHost(*scripts)

    async def connected(url: str) -> Any:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=20) as client:
            model = agents.OpenAIResponsesModel(model="scripted", openai_client=client)
            # Traces would go to OpenAI.
            return await use(agents.RunConfig(model=model, tracing_disabled=True))

    with serving(ResponsesShim(host)) as url:
        return anyio.run(connected, url), host


def run(agent: Any, *scripts: Script, **options: Any) -> tuple[Any, ScriptedHost]:
    """The result of one run of the agent, and the host."""
    return on_host(lambda config: agents.Runner.run(agent, "Weather?", run_config=config, **options), *scripts)


def agent_with(*tools: Any, **options: Any) -> Any:
    return agents.Agent(name="agent", tools=list(tools), **options)


def tool_outputs(chat: Chat) -> dict[str, Any]:
    """The outputs of tools in a chat request, by call."""
    return {message["tool_call_id"]: message["content"] for message in chat["messages"] if message["role"] == "tool"}


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


GET_WEATHER = agents.function_tool(get_weather)
PARIS = ("call_1", "get_weather", '{"city": "Paris"}')
ROME = ("call_2", "get_weather", '{"city": "Rome"}')


def test_function_tools_are_run_and_answered() -> None:
    agent = agent_with(GET_WEATHER, instructions="Be brief.")
    result, host = run(agent, call_answer(PARIS, ROME), text_answer("Sunny", " in both."))
    assert result.final_output == "Sunny in both."
    first, second = host.requests
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert first["tools"][0]["function"]["description"] == "The weather in a city."
    assert [call["id"] for call in second["messages"][2]["tool_calls"]] == ["call_1", "call_2"]
    assert tool_outputs(second) == {"call_1": "It is sunny in Paris.", "call_2": "It is sunny in Rome."}
    assert result.context_wrapper.usage.total_tokens == (20 + 9) + (7 + 2)


def test_a_conversation_continues_by_the_sdks_list_of_items() -> None:
    """That list has our items in it."""

    async def two_runs(config: Any) -> list[str]:
        agent = agent_with(GET_WEATHER)
        first = await agents.Runner.run(agent, "Weather in Paris?", run_config=config)
        history = [*first.to_input_list(), {"role": "user", "content": "Thanks."}]
        second = await agents.Runner.run(agent, history, run_config=config)
        return [first.final_output, second.final_output]

    outputs, host = on_host(two_runs, call_answer(PARIS), text_answer("Sunny."), text_answer("Gladly."))
    assert outputs == ["Sunny.", "Gladly."]
    roles = [message["role"] for message in host.requests[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert host.requests[2]["messages"][:3] == host.requests[1]["messages"]


def test_reasoning_comes_back_to_the_model() -> None:
    settings = agents.ModelSettings(
        reasoning={"effort": "low", "summary": "auto"}, store=False, response_include=["reasoning.encrypted_content"]
    )
    thinks: list[Step] = [chunk(reasoning="I look "), chunk(reasoning="it up."), *call_answer(PARIS)]
    result, host = run(agent_with(GET_WEATHER, model_settings=settings), thinks, text_answer("Sunny."))
    assert result.final_output == "Sunny."
    assert result.new_items[0].type == "reasoning_item"
    assert host.requests[0]["reasoning_effort"] == "low"
    assert host.requests[1]["messages"][1]["reasoning"] == "I look it up."


def test_one_agent_hands_over_to_another() -> None:
    french = agents.Agent(name="French agent", instructions="You speak French.")
    desk = agents.Agent(name="Desk", instructions="You hand over.", handoffs=[french])
    result, host = run(desk, call_answer(("call_1", "transfer_to_french_agent", "{}")), text_answer("Bonjour", " !"))
    assert result.final_output == "Bonjour !"
    assert result.last_agent.name == "French agent"
    first, second = host.requests
    assert first["tools"][0]["function"]["name"] == "transfer_to_french_agent"
    assert [chat["messages"][0]["content"] for chat in host.requests] == ["You hand over.", "You speak French."]
    assert "French agent" in tool_outputs(second)["call_1"]


def test_a_streamed_run_has_the_events_of_its_calls_and_its_text() -> None:
    async def stream(config: Any) -> tuple[str, list[Any]]:
        result = agents.Runner.run_streamed(agent_with(GET_WEATHER), "Weather in Paris?", run_config=config)
        events = [event async for event in result.stream_events()]
        return result.final_output, events

    (output, events), _ = on_host(stream, call_answer(PARIS), text_answer("It is", " sunny."))
    assert output == "It is sunny."
    raw = [event.data for event in events if event.type == "raw_response_event"]
    assert [event.delta for event in raw if event.type == "response.output_text.delta"] == ["It is", " sunny."]
    assert "".join(e.delta for e in raw if e.type == "response.function_call_arguments.delta") == PARIS[2]
    assert [event.name for event in events if event.type == "run_item_stream_event"] == [
        "tool_called",
        "tool_output",
        "message_output_created",
    ]


class Forecast(BaseModel):
    city: str
    sunny: bool


def forecast(chat: Chat) -> list[Step]:
    """A model that answers in JSON if it knows the schema: from the host, or from the system message."""
    knows_schema = "response_format" in chat or '"sunny"' in str(chat["messages"][0]["content"])
    return text_answer('{"city": "Paris",', ' "sunny": true}' if knows_schema else "")


def test_with_tools_the_schema_of_the_answer_is_in_the_system_message() -> None:
    """A model that the host holds to the schema could call no tool."""
    result, host = run(agent_with(GET_WEATHER, output_type=Forecast), call_answer(PARIS), forecast)
    assert result.final_output == Forecast(city="Paris", sunny=True)
    assert ["response_format" in chat for chat in host.requests] == [False, False]


def test_an_answer_that_is_not_of_the_output_type_is_asked_for_again() -> None:
    def in_words(chat: Chat) -> list[Step]:
        return forecast(chat) if "response_format" in chat else text_answer("In Paris", " it is sunny.")

    result, host = run(agent_with(GET_WEATHER, output_type=Forecast), call_answer(PARIS), in_words)
    assert result.final_output == Forecast(city="Paris", sunny=True)
    assert ["tools" in chat for chat in host.requests] == [True, True, False]


def test_without_tools_the_host_holds_the_answer_to_the_schema() -> None:
    result, host = run(agent_with(output_type=Forecast), forecast)
    assert result.final_output == Forecast(city="Paris", sunny=True)
    assert host.requests[0]["response_format"]["json_schema"]["strict"] is True


# Tools that are no functions ---------------------------------------------------------------------------------------


def test_a_custom_tool_gets_text_and_not_json() -> None:
    inputs = []

    async def note(context: Any, text: str) -> str:
        inputs.append(text)
        return "Written."

    tool = agents.CustomTool(name="note", description="Writes a note.", on_invoke_tool=note)
    calls = call_answer(("call_1", "note", r'{"input": "\"Rain\"\nagain"}'))
    result, host = run(agent_with(tool), calls, text_answer("Done."))
    assert result.final_output == "Done."
    assert inputs == ['"Rain"\nagain']
    assert tool_outputs(host.requests[1]) == {"call_1": "Written."}


def test_the_shell_runs_commands() -> None:
    def execute(request: Any) -> Any:
        ran = []
        for command in request.data.action.commands:
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
            outcome = agents.ShellCallOutcome(type="exit", exit_code=done.returncode)
            ran.append(agents.ShellCommandOutput(done.stdout, done.stderr, outcome))
        return agents.ShellResult(ran)

    calls = call_answer(("call_1", "shell", '{"commands": ["echo six times seven is $((6 * 7))", "exit 3"]}'))
    result, host = run(agent_with(agents.ShellTool(executor=execute)), calls, text_answer("Done."))
    assert result.final_output == "Done."
    assert host.requests[0]["tools"][0]["function"]["name"] == "shell"
    assert tool_outputs(host.requests[1]) == {"call_1": "six times seven is 42\n[exit code 0]\n\n[exit code 3]"}


def test_the_local_shell_runs_a_command() -> None:
    def execute(request: Any) -> str:
        return subprocess.run(request.data.action.command, capture_output=True, text=True, check=True).stdout

    calls = call_answer(("call_1", "local_shell", '{"command": ["echo", "violets"]}'))
    result, host = run(agent_with(agents.LocalShellTool(executor=execute)), calls, text_answer("Done."))
    assert result.final_output == "Done."
    assert tool_outputs(host.requests[1]) == {"call_1": "violets\n"}


class Editor:
    """Edits the files in a folder, by the SDK's own reading of a diff."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create_file(self, operation: Any) -> str:
        (self.root / operation.path).write_text(agents.apply_diff("", operation.diff, mode="create"))
        return f"Made {operation.path}."

    def update_file(self, operation: Any) -> str:
        file = self.root / operation.path
        file.write_text(agents.apply_diff(file.read_text(), operation.diff))
        return f"Changed {operation.path}."

    def delete_file(self, operation: Any) -> str:
        (self.root / operation.path).unlink()
        return f"Deleted {operation.path}."


def test_patches_change_files(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("Roses are red,\nviolets are green.\n")
    (tmp_path / "old.txt").touch()
    diff = r"@@\n Roses are red,\n-violets are green.\n+violets are blue.\n"
    calls = call_answer(
        ("call_1", "apply_patch", f'{{"type": "update_file", "path": "poem.txt", "diff": "{diff}"}}'),
        ("call_2", "apply_patch", r'{"type": "create_file", "path": "new.txt", "diff": "+Done.\n"}'),
        ("call_3", "apply_patch", '{"type": "delete_file", "path": "old.txt"}'),
    )
    result, host = run(agent_with(agents.ApplyPatchTool(editor=Editor(tmp_path))), calls, text_answer("Done."))
    assert result.final_output == "Done."
    assert {file.name: file.read_text().rstrip() for file in tmp_path.iterdir()} == {
        "poem.txt": "Roses are red,\nviolets are blue.",
        "new.txt": "Done.",
    }
    assert tool_outputs(host.requests[1]) == {
        "call_1": "completed: Changed poem.txt.",
        "call_2": "completed: Made new.txt.",
        "call_3": "completed: Deleted old.txt.",
    }


def screenshot() -> Any:
    """A picture of the screen."""
    return agents.ToolOutputImage(image_url="data:image/png;base64,AAAA")


def test_the_model_sees_an_image_that_a_tool_puts_out() -> None:
    tool = agents.function_tool(screenshot)
    result, host = run(agent_with(tool), call_answer(("call_1", "screenshot", "{}")), text_answer("A cat."))
    assert result.final_output == "A cat."
    output, user = host.requests[1]["messages"][-2:]
    assert (output["role"], user["role"]) == ("tool", "user")
    assert user["content"][-1]["image_url"]["url"] == "data:image/png;base64,AAAA"


# State ---------------------------------------------------------------------------------------------------------------

on_each_store = pytest.mark.usefixtures("each_store")


@on_each_store
def test_a_previous_response_id_that_never_was_is_not_found() -> None:
    with pytest.raises(openai.NotFoundError, match="Previous response with id 'resp_1' not found"):
        run(agent_with(), previous_response_id="resp_1")


@on_each_store
@pytest.mark.parametrize("options", [{"auto_previous_response_id": True}, {}], ids=["within a run", "between runs"])
def test_runs_continue_by_the_id_of_the_last_response(options: dict[str, Any]) -> None:
    """Then the SDK sends no item that the server has."""

    async def two_runs(config: Any) -> list[Any]:
        agent = agent_with(GET_WEATHER)
        first = await agents.Runner.run(agent, "Weather in Paris?", run_config=config, **options)
        again = {"previous_response_id": first.last_response_id}
        return [first, await agents.Runner.run(agent, "Thanks.", run_config=config, **again)]

    (first, second), host = on_host(two_runs, call_answer(PARIS), text_answer("Sunny."), text_answer("Gladly."))
    assert [first.final_output, second.final_output] == ["Sunny.", "Gladly."]
    roles = [message["role"] for message in host.requests[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert host.requests[2]["messages"][:3] == host.requests[1]["messages"]
    assert tool_outputs(host.requests[2]) == {"call_1": "It is sunny in Paris."}


@on_each_store
def test_runs_continue_a_conversation() -> None:
    async def two_runs(config: Any, conversation: str) -> list[Any]:
        agent = agent_with(GET_WEATHER)
        questions = ("Weather in Paris?", "Thanks.")
        return [
            await agents.Runner.run(agent, question, run_config=config, conversation_id=conversation)
            for question in questions
        ]

    async def use(config: Any) -> tuple[list[Any], list[str]]:
        client = config.model._client
        conversation = await client.conversations.create()
        results = await two_runs(config, conversation.id)
        items = await client.conversations.items.list(conversation.id, order="asc")
        return results, [item.type for item in items.data]

    (results, kinds), host = on_host(use, call_answer(PARIS), text_answer("Sunny."), text_answer("Gladly."))
    assert [result.final_output for result in results] == ["Sunny.", "Gladly."]
    assert kinds == ["message", "function_call", "function_call_output", "message", "message", "message"]
    roles = [message["role"] for message in host.requests[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert host.requests[2]["messages"][:3] == host.requests[1]["messages"]


@on_each_store
def test_a_session_keeps_its_items_in_a_conversation() -> None:
    """The session makes the conversation, adds to it, reads it and takes its last item back."""

    async def use(config: Any) -> tuple[list[str], list[str], str]:
        session = agents.OpenAIConversationsSession(openai_client=config.model._client)
        agent = agent_with(GET_WEATHER)
        for question in ("Weather in Paris?", "Thanks."):
            await agents.Runner.run(agent, question, run_config=config, session=session)
        items = [item["type"] for item in await session.get_items()]
        latest = [item["type"] for item in await session.get_items(limit=2)]
        popped = await session.pop_item()
        assert len(await session.get_items()) == len(items) - 1
        await session.add_items([{"role": "user", "content": "One more."}])
        assert (await session.get_items())[-1]["content"][0]["text"] == "One more."
        await session.clear_session()
        return items, latest, popped["content"][0]["text"]

    (items, latest, popped), host = on_host(use, call_answer(PARIS), text_answer("Sunny."), text_answer("Gladly."))
    assert items == ["message", "function_call", "function_call_output", "message", "message", "message"]
    assert latest == ["message", "message"]
    assert popped == "Gladly."
    roles = [message["role"] for message in host.requests[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
