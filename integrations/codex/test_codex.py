"""Codex CLI 0.169.0 on the shim, turn by turn: it must end well, and have done what the model asked for.

    npm install --prefix ~/codex-cli @openai/codex@0.169.0
    CODEX_CLI=~/codex-cli/node_modules/.bin/codex pytest integrations/codex

The model is a script: a function from what it is asked to what it says.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import anyio
import pytest

from integrations.codex.codex_cli import MODEL, Codex, Run
from tests.conformance.answers_out_of_format import OUT_OF_FORMAT, REPORT, VALID, WRAPPED, obeys_when_constrained
from tests.scripted import DONE, Hold, Step, Wait, call_answer, chunk, text_answer, usage

pytestmark = pytest.mark.live

Start = Callable[..., Codex]
Chat = dict[str, Any]

PATCH = """\
*** Begin Patch
*** Update File: poem.txt
@@
 Roses are red,
-violets are green.
+violets are blue.
*** Add File: notes/done.txt
+The violets are right now.
*** End Patch"""

# A PNG of four by four pixels.
RED = "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR4nGP4z8AARwzEcQCukw/x0F8jngAAAABJRU5ErkJggg=="


def said_by(chat: Chat, role: str) -> list[str]:
    """What stands in the messages of that role, as text."""
    contents = [message.get("content") for message in chat["messages"] if message["role"] == role]
    return [content if isinstance(content, str) else json.dumps(content) for content in contents]


def offered(chat: Chat) -> dict[str, Any]:
    """The functions of a chat request by name."""
    return {tool["function"]["name"]: tool["function"] for tool in chat.get("tools", ())}


def calls_then_says(name: str, arguments: dict[str, Any], *, used: int = 20) -> Callable[[Chat], list[Step]]:
    """A model that calls one function, and when it has the output says `Done.`; `used` are the tokens it counts."""

    def script(chat: Chat) -> list[Step]:
        if said_by(chat, "tool"):
            return text_answer("Done", ".")
        return [*call_answer(("call_1", name, json.dumps(arguments)))[:-2], chunk(usage=usage(used, 9)), DONE]

    return script


def hello(chat: Chat) -> list[Step]:
    return text_answer("Hello", " there", ".")


def well(run: Run) -> Run:
    """The run has ended as it should."""
    assert run.exit_code == 0, (run.errors, run.stderr)
    assert run.errors == []
    assert run.events[-1]["type"] == "turn.completed"
    return run


# Configuration ------------------------------------------------------------------------------------------------------


def test_a_plain_turn(start: Start) -> None:
    codex = start(hello)
    run = well(codex.exec("Say hello."))
    assert run.text == "Hello there."
    assert run.events[-1]["usage"]["input_tokens"] == 7
    assert codex.wire.routes == ["GET /v1/models", "POST /v1/responses"]  # the first by `responses-shim codex`
    [chat] = codex.host.requests
    assert said_by(chat, "user")[-1] == "Say hello."
    assert "You are a coding agent" in said_by(chat, "system")[0]


def test_the_example_profile_works_as_it_is(start: Start) -> None:
    codex = start(hello)
    (codex.home / "config.toml").unlink()
    example = Path(__file__).with_name("shim.config.toml").read_text()
    example = example.replace("http://127.0.0.1:8000", codex.url).replace("my-model", MODEL)
    (codex.home / "shim.config.toml").write_text(example)
    assert well(codex.exec("--profile", "shim", "Say hello.")).text == "Hello there."
    assert "GET /v1/models?client_version=0.169.0" in codex.wire.routes
    assert codex.host.headers[0]["authorization"] == "Bearer none"


def test_without_a_catalogue_codex_warns_and_goes_on(start: Start) -> None:
    codex = start(hello)
    codex.configure()
    run = codex.exec("Say hello.")
    assert (run.exit_code, run.text) == (0, "Hello there.")
    [warning] = run.errors
    assert "metadata for `scripted` not found" in warning
    assert "apply_patch" not in [tool.get("name") for tool in codex.wire.requests[0]["tools"]]


def test_the_block_may_be_a_profile_of_its_own(start: Start) -> None:
    codex = start(hello)
    (codex.home / "config.toml").rename(codex.home / "shim.config.toml")
    assert well(codex.exec("--profile", "shim", "Say hello.")).text == "Hello there."


def test_the_key_comes_from_the_variable_that_is_named(start: Start) -> None:
    codex = start(hello)
    codex.configure("--model", "scripted", "--api-key-env", "MY_KEY")
    assert codex.exec("Say hello.", MY_KEY="secret").text == "Hello there."
    assert codex.host.headers[0]["authorization"] == "Bearer secret"


AUTH = """
[model_providers.shim.auth]
command = "printenv"
args = ["MY_KEY"]
"""


def test_a_key_from_a_command_has_codex_fetch_the_catalogue_itself(start: Start) -> None:
    codex = start(hello)
    block = codex.configure()
    (codex.home / "config.toml").write_text(block + AUTH)
    well(codex.exec("Say hello.", MY_KEY="secret"))
    assert "GET /v1/models?client_version=0.169.0" in codex.wire.routes
    [request] = codex.wire.requests
    assert "apply_patch" in [tool.get("name") for tool in request["tools"]]
    assert codex.host.headers[0]["authorization"] == "Bearer secret"


def test_codex_reads_the_whole_catalogue(start: Start) -> None:
    """What it would show in its list of models, with every field that it knows."""
    codex = start(hello)
    shown = codex.run("debug", "models")
    assert shown.returncode == 0, shown.stderr
    [read] = json.loads(shown.stdout)["models"]
    [written] = json.loads((codex.home / "models.json").read_text())["models"]
    assert read.pop("shell_type") == "unified_exec"  # what `default` comes to
    for name in ("shell_type", "supports_reasoning_summaries", "supports_parallel_tool_calls"):  # two are of older ones
        del written[name]
    assert {name: read[name] for name in written} == written


# Tools --------------------------------------------------------------------------------------------------------------


@pytest.mark.feature("Codex", host="generic")
def test_a_command_is_run_and_its_output_comes_back(start: Start) -> None:
    codex = start(calls_then_says("exec_command", {"cmd": "echo six times seven is $((6 * 7))"}))
    run = well(codex.exec("What is six times seven?"))
    [command] = run.items("command_execution")
    assert command["exit_code"] == 0
    assert run.text == "Done."
    first, second = codex.host.requests
    assert offered(first)["exec_command"]["parameters"]["required"] == ["cmd"]
    [output] = said_by(second, "tool")
    assert "six times seven is 42" in output


@pytest.mark.feature("Codex", host="generic")
def test_a_patch_changes_real_files(start: Start) -> None:
    codex = start(calls_then_says("apply_patch", {"input": PATCH}))
    (codex.work / "poem.txt").write_text("Roses are red,\nviolets are green.\n")
    run = well(codex.exec("Correct the poem."))
    assert (codex.work / "poem.txt").read_text() == "Roses are red,\nviolets are blue.\n"
    assert (codex.work / "notes" / "done.txt").read_text() == "The violets are right now.\n"
    [change] = run.items("file_change")
    assert change["status"] == "completed"
    first, second = codex.host.requests
    assert offered(first)["apply_patch"]["parameters"]["properties"]["input"]["type"] == "string"
    [tool] = [tool for tool in codex.wire.requests[0]["tools"] if tool.get("name") == "apply_patch"]
    assert tool["type"] == "custom"
    assert [item["type"] for item in codex.wire.requests[1]["input"][-2:]] == [
        "custom_tool_call",
        "custom_tool_call_output",
    ]
    assert codex.wire.requests[1]["input"][-2]["input"] == PATCH
    assert "poem.txt" in said_by(second, "tool")[0]


def test_a_tool_in_a_namespace_is_run(start: Start) -> None:
    """An agent that starts another one: the other's own turn reaches the host too."""
    task = "Count the violets."

    def script(chat: Chat) -> list[Step]:
        if task in said_by(chat, "user"):
            return text_answer("There are three.")
        outputs = said_by(chat, "tool")
        if not outputs:
            return call_answer(("call_1", "multi_agent_v1__spawn_agent", json.dumps({"message": task})))
        if len(outputs) == 1:
            [agent] = re.findall(r'"agent_id":\s*"([^"]+)"', outputs[0])
            waiting = {"targets": [agent], "timeout_ms": 30_000}
            return call_answer(("call_2", "multi_agent_v1__wait_agent", json.dumps(waiting)))
        return text_answer("Done.")

    codex = start(script)
    run = well(codex.exec("Have the violets counted."))
    assert run.text == "Done."
    assert "multi_agent_v1__spawn_agent" in offered(codex.host.requests[0])
    [last] = [request for request in codex.wire.requests if len(outputs_in(request)) == 2]
    assert "There are three." in outputs_in(last)[1]
    called = [item for item in last["input"] if item["type"] == "function_call"]
    assert [(call["namespace"], call["name"]) for call in called] == [
        ("multi_agent_v1", "spawn_agent"),
        ("multi_agent_v1", "wait_agent"),
    ]


def outputs_in(request: dict[str, Any]) -> list[str]:
    return [json.dumps(item["output"]) for item in request["input"] if item["type"] == "function_call_output"]


@pytest.mark.parametrize("model", ["scripted", "gpt-5.5"])
def test_tools_that_nobody_here_runs_are_no_error(start: Start, model: str) -> None:
    """Codex offers web_search to every model, and tool_search with a grammar for patches to those it knows."""
    codex = start(hello)
    codex.configure("--model", model)
    run = codex.exec("Say hello.")
    assert (run.exit_code, run.text) == (0, "Hello there.")
    kinds = {tool["type"] for tool in codex.wire.requests[0]["tools"]}
    assert "web_search" in kinds
    assert ("tool_search" in kinds) == (model == "gpt-5.5")


def test_a_tool_that_was_searched_for_is_run(start: Start) -> None:
    def script(chat: Chat) -> list[Step]:
        outputs = said_by(chat, "tool")
        if not outputs:
            return call_answer(("call_1", "tool_search", '{"query": "close an agent"}'))
        if len(outputs) == 1:
            return call_answer(("call_2", "multi_agent_v1__close_agent", '{"target": "nobody"}'))
        return text_answer("Done.")

    codex = start(script)
    codex.configure("--model", "gpt-5.5")
    run = codex.exec("Close the agent.")
    assert (run.exit_code, run.text) == (0, "Done.")
    first, second, third = codex.host.requests
    assert "multi_agent_v1__close_agent" not in offered(first)
    assert "multi_agent_v1__close_agent" in offered(second)
    assert "invalid agent id nobody" in said_by(third, "tool")[1]
    assert [item["type"] for item in codex.wire.requests[2]["input"][-4:]] == [
        "tool_search_call",
        "tool_search_output",
        "function_call",
        "function_call_output",
    ]


def test_an_image_that_a_tool_shows_reaches_the_host(start: Start) -> None:
    codex = start(calls_then_says("view_image", {"path": "red.png"}))
    (codex.work / "red.png").write_bytes(base64.b64decode(RED))
    codex.configure()  # without a catalogue Codex takes every model to see images
    run = codex.exec("Which colour is it?")
    assert (run.exit_code, run.text) == (0, "Done.")
    assert RED in json.dumps(codex.host.requests[1]["messages"])


def test_codex_knows_that_a_model_sees_no_images(start: Start) -> None:
    codex = start(calls_then_says("view_image", {"path": "red.png"}))
    (codex.work / "red.png").write_bytes(base64.b64decode(RED))
    well(codex.exec("Which colour is it?"))
    assert "do not support image inputs" in said_by(codex.host.requests[1], "tool")[0]


# Longer conversations -----------------------------------------------------------------------------------------------


def test_a_session_is_resumed(start: Start) -> None:
    codex = start(hello)
    first = well(codex.exec("Say hello."))
    second = well(codex.exec("resume", "--last", "Say it again."))
    assert second.text == "Hello there."
    assert second.events[0]["thread_id"] == first.events[0]["thread_id"]
    chat = codex.host.requests[1]
    assert said_by(chat, "user")[-2:] == ["Say hello.", "Say it again."]
    assert said_by(chat, "assistant") == ["Hello there."]


def test_what_the_model_thought_comes_back_to_it(start: Start) -> None:
    """Codex keeps no reasoning but what it shows and what is sealed for it."""
    command = calls_then_says("exec_command", {"cmd": "echo violets"})

    def script(chat: Chat) -> list[Step]:
        return [chunk(reasoning="They may "), chunk(reasoning="be blue."), *command(chat)]

    codex = start(script)
    run = well(codex.exec("Which colour are violets?"))
    assert [item["text"] for item in run.items("reasoning")] == ["They may be blue."] * 2
    [thought] = [item for item in codex.wire.requests[1]["input"] if item["type"] == "reasoning"]
    assert thought["encrypted_content"]
    [message] = [message for message in codex.host.requests[1]["messages"] if message["role"] == "assistant"]
    assert message["reasoning"] == "They may be blue."


def test_a_full_context_is_compacted(start: Start) -> None:
    """The catalogue says how much fits; what the host counts says how much there is."""
    prompt = "Sum up what has been done."
    full = calls_then_says("exec_command", {"cmd": "echo violets"}, used=40_000)

    def script(chat: Chat) -> list[Step]:
        if said_by(chat, "user")[-1] == prompt:
            return text_answer("The violets have been counted.")
        if any("The violets have been counted." in text for text in said_by(chat, "user")):
            return text_answer("Done.")
        return full(chat)

    codex = start(script)
    run = well(codex.exec("Count the violets.", config=(f"compact_prompt={json.dumps(prompt)}",)))
    assert run.text == "Done."
    first, summing, last = codex.host.requests
    assert said_by(first, "user")[-1] == "Count the violets."
    assert "violets" in said_by(summing, "tool")[0]
    assert said_by(last, "tool") == []
    assert "Count the violets." in said_by(last, "user")


# Structured output --------------------------------------------------------------------------------------------------

TURNS = 50


def test_every_last_message_is_in_the_output_schema(start: Start) -> None:
    """The model answers in every way that is out of format, and in every third run calls a tool before it does."""
    answers = [*islice(cycle((OUT_OF_FORMAT | WRAPPED | {"valid": VALID}).items()), TURNS)]
    schema = json.dumps(REPORT)

    def script(chat: Chat) -> list[Step]:
        number = int(said_by(chat, "user")[-1])
        if number % 3 == 2 and not said_by(chat, "tool"):
            called = call_answer(("call_1", "exec_command", '{"cmd": "echo violets"}'))
            return [chunk("Let me see."), *called]
        steps: list[Step] = obeys_when_constrained(answers[number][1])(chat)
        return steps

    codex = start(script)
    (codex.work / "schema.json").write_text(schema)
    for number, (name, _) in enumerate(answers):
        run = well(codex.exec("--output-schema", "schema.json", str(number)))
        last = run.items("agent_message")[-1]["text"]
        assert json.loads(last) == json.loads(VALID), name
    constrained = [chat for chat in codex.host.requests if "response_format" in chat]
    assert len(constrained) == sum(name in OUT_OF_FORMAT for name, _ in answers)


# Silence ------------------------------------------------------------------------------------------------------------

SHORT = ("model_providers.shim.stream_idle_timeout_ms=2000", "model_providers.shim.stream_max_retries=0")


def until_pinged(codex: Codex, sign: bytes, seconds: float) -> anyio.Event:
    """An event that is set by the first sign of life that comes `seconds` after the stream began."""
    heard, began = anyio.Event(), time.monotonic()

    def watch(piece: bytes) -> None:
        nonlocal began
        if b"response.created" in piece:
            began = time.monotonic()
        elif sign in piece and time.monotonic() - began > seconds:
            heard.set()

    codex.wire.watch = watch
    return heard


@pytest.mark.parametrize("ping", ["event", "in_progress"])
def test_pings_keep_codex_through_a_silence_longer_than_its_patience(start: Start, ping: str) -> None:
    def script(chat: Chat) -> list[Step]:
        return [Wait(heard), *hello(chat)]

    codex = start(script, ping=ping, ping_interval=0.2, commit_after=0)
    heard = until_pinged(codex, f"response.{'ping' if ping == 'event' else ping}".encode(), 3.0)
    assert well(codex.exec("Say hello.", config=SHORT)).text == "Hello there."


def test_comments_would_not_keep_it(start: Start) -> None:
    """Without this, the test above would show nothing."""
    codex = start(lambda chat: [Hold()], ping="comment", ping_interval=0.2, commit_after=0)
    run = codex.exec("Say hello.", config=SHORT)
    assert run.exit_code != 0
    assert any("idle timeout" in error for error in run.errors)


def test_a_refused_websocket_has_it_go_on_over_http(start: Start) -> None:
    codex = start(hello)
    run = well(codex.exec("Say hello.", config=("model_providers.shim.supports_websockets=true",)))
    assert run.text == "Hello there."
    assert codex.wire.routes[1:] == ["GET /v1/responses", "POST /v1/responses"]
