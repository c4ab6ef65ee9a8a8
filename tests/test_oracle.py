"""The oracle itself: valid streams pass, and each way of corrupting one is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.oracle import check_error, check_event, check_response, check_resumed, check_stream

Json = dict[str, Any]

TEXT = "Hello world"
LOGPROB = {
    "token": "Hello",
    "bytes": [72],
    "logprob": -0.5,
    "top_logprobs": [{"token": "Hello", "bytes": [72], "logprob": -0.5}],
}


def unshared(events: list[Json]) -> list[Json]:
    """The events as if read from the wire: no two of them share an object."""
    copy: list[Json] = json.loads(json.dumps(events))
    return copy


def snapshot(status: str, output: list[Json], **changes: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "completed_at": 1_700_000_001 if status == "completed" else None,
        "status": status,
        "incomplete_details": None,
        "model": "scripted",
        "previous_response_id": None,
        "instructions": None,
        "output": output,
        "error": None,
        "tools": [{"type": "function", "name": "f", "description": None, "parameters": {"a": 1}, "strict": None}],
        "tool_choice": "auto",
        "truncation": "disabled",
        "parallel_tool_calls": True,
        "text": {"format": {"type": "text"}},
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "temperature": 1.0,
        "reasoning": {"effort": None, "summary": None},
        "usage": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "store": False,
        "background": False,
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": None,
        "prompt_cache_key": None,
        **changes,
    }


def reasoning(status: str, *content: Json) -> Json:
    return {"id": "rs_1", "type": "reasoning", "summary": [], "content": list(content), "status": status}


def message(status: str, *content: Json) -> Json:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": list(content), "status": status}


def function_call(number: int, status: str, arguments: str) -> Json:
    return {
        "id": f"fc_{number}",
        "type": "function_call",
        "call_id": f"call_{number}",
        "name": "f",
        "arguments": arguments,
        "status": status,
    }


def other_call(kind: str, prefix: str, status: str, **fields: Any) -> Json:
    return {"id": f"{prefix}_1", "type": kind, "call_id": "call_1", "status": status, **fields}


def custom_call(status: str, input: str) -> Json:
    return other_call("custom_tool_call", "ctc", status, name="c", namespace="ns", input=input)


def shell_call(status: str, *commands: str) -> Json:
    action = {"commands": list(commands), "timeout_ms": None, "max_output_length": None}
    return other_call("shell_call", "sh", status, action=action, environment=None)


def local_call(status: str, *command: str) -> Json:
    return other_call("local_shell_call", "lsh", status, action={"type": "exec", "command": list(command), "env": {}})


def search_call(status: str, **arguments: Any) -> Json:
    return other_call("tool_search_call", "tsc", status, execution="client", arguments=arguments)


def patch_call(status: str, path: str, diff: str) -> Json:
    operation = {"type": "update_file", "path": path, "diff": diff}
    return other_call("apply_patch_call", "apc", status, operation=operation)


def stream_of_tools() -> list[Json]:
    """A call of every other kind, the last one cut, and the token ids of the answer."""
    patch = patch_call("incomplete", "a", "-x")
    tokens = {"prompt_token_ids": [1], "generation_token_ids": [2, 3], "generation_log_probs": [-0.5, -0.25]}
    pairs: list[tuple[str, Json]] = [
        ("response.created", {"response": snapshot("in_progress", [])}),
        ("response.in_progress", {"response": snapshot("in_progress", [])}),
        ("response.output_item.added", {"output_index": 0, "item": custom_call("in_progress", "")}),
        (
            "response.custom_tool_call_input.delta",
            {
                "item_id": "ctc_1",
                "output_index": 0,
                "delta": "abc",
                "generation_token_ids": [2],
                "generation_log_probs": [-0.5],
                "obfuscation": "x",
            },
        ),
        ("response.custom_tool_call_input.done", {"item_id": "ctc_1", "output_index": 0, "input": "abc"}),
        ("response.output_item.done", {"output_index": 0, "item": custom_call("completed", "abc")}),
        ("response.output_item.added", {"output_index": 1, "item": shell_call("in_progress")}),
        ("response.shell_call_command.added", {"output_index": 1, "command_index": 0, "command": ""}),
        ("response.shell_call_command.delta", {"output_index": 1, "command_index": 0, "delta": "ls"}),
        ("response.shell_call_command.done", {"output_index": 1, "command_index": 0, "command": "ls"}),
        ("response.output_item.done", {"output_index": 1, "item": shell_call("completed", "ls")}),
        ("response.output_item.added", {"output_index": 2, "item": local_call("in_progress")}),
        ("response.output_item.done", {"output_index": 2, "item": local_call("completed", "ls")}),
        ("response.output_item.added", {"output_index": 3, "item": search_call("in_progress")}),
        ("response.output_item.done", {"output_index": 3, "item": search_call("completed", query="mail")}),
        ("response.output_item.added", {"output_index": 4, "item": patch_call("in_progress", "", "")}),
        ("response.output_item.done", {"output_index": 4, "item": {**patch, **tokens}}),
    ]
    output = [data["item"] for name, data in pairs if name == "response.output_item.done"]
    reason = {"reason": "max_output_tokens"}
    pairs.append(("response.incomplete", {"response": snapshot("incomplete", output, incomplete_details=reason)}))
    return unshared([{"type": name, "sequence_number": number, **data} for number, (name, data) in enumerate(pairs)])


def good_stream() -> list[Json]:
    """Reasoning, text with logprobs and two calls: everything the first hosts can make."""
    thought = {"type": "reasoning_text", "text": "Hm."}
    text = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": [LOGPROB]}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    finished = [
        reasoning("completed", thought),
        message("completed", text),
        function_call(1, "completed", '{"a":1}'),
        function_call(2, "completed", "{}"),
    ]

    def about(index: int, **more: Any) -> Json:
        return {"item_id": finished[index]["id"], "output_index": index, **more}

    def part(index: int, **more: Any) -> Json:
        return about(index, content_index=0, **more)

    def lifecycle(status: str, output: list[Json]) -> Json:
        return {"response": snapshot(status, output)}

    pairs: list[tuple[str, Json]] = [
        ("response.created", lifecycle("in_progress", [])),
        ("response.in_progress", lifecycle("in_progress", [])),
        ("response.output_item.added", {"output_index": 0, "item": reasoning("in_progress")}),
        ("response.content_part.added", part(0, part={**thought, "text": ""})),
        ("response.reasoning_text.delta", part(0, delta="Hm.")),
        ("response.reasoning_text.done", part(0, text="Hm.")),
        ("response.content_part.done", part(0, part=thought)),
        ("response.output_item.done", {"output_index": 0, "item": finished[0]}),
        ("response.ping", {}),
        ("response.output_item.added", {"output_index": 1, "item": message("in_progress")}),
        ("response.content_part.added", part(1, part=empty)),
        ("response.output_text.delta", part(1, delta="Hello", logprobs=[LOGPROB])),
        ("response.in_progress", lifecycle("in_progress", [])),
        ("response.output_text.delta", part(1, delta=" world", logprobs=[])),
        ("response.output_text.done", part(1, text=TEXT, logprobs=[LOGPROB])),
        ("response.content_part.done", part(1, part=text)),
        ("response.output_item.done", {"output_index": 1, "item": finished[1]}),
        ("response.output_item.added", {"output_index": 2, "item": function_call(1, "in_progress", "")}),
        ("response.function_call_arguments.delta", about(2, delta='{"a"')),
        ("response.function_call_arguments.delta", about(2, delta=":1}")),
        ("response.function_call_arguments.done", about(2, name="f", arguments='{"a":1}')),
        ("response.output_item.done", {"output_index": 2, "item": finished[2]}),
        ("response.output_item.added", {"output_index": 3, "item": function_call(2, "in_progress", "")}),
        ("response.function_call_arguments.delta", about(3, delta="{}")),
        ("response.function_call_arguments.done", about(3, name="f", arguments="{}")),
        ("response.output_item.done", {"output_index": 3, "item": finished[3]}),
        ("response.completed", lifecycle("completed", finished)),
    ]
    events = [{"type": name, "sequence_number": number, **data} for number, (name, data) in enumerate(pairs)]
    return unshared(events)


def failed_stream() -> list[Json]:
    """A stream of a host that died in the middle of its answer."""
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    failure = {"code": "context_length_exceeded", "message": "too long"}
    error = {**failure, "param": None}
    events = [event for event in good_stream() if event["sequence_number"] < 2]
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    pairs: list[tuple[str, Json]] = [
        ("response.output_item.added", {"output_index": 0, "item": message("in_progress")}),
        ("response.content_part.added", {**at, "part": {**part, "text": ""}}),
        ("response.output_text.delta", {**at, "delta": "Hello", "logprobs": []}),
        ("response.output_text.done", {**at, "text": "Hello", "logprobs": []}),
        ("response.content_part.done", {**at, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": message("incomplete", part)}),
        ("error", {**error, "error": {**error, "type": "invalid_request_error", "status": 400}}),
        ("response.failed", {"response": snapshot("failed", [message("incomplete", part)], error=failure)}),
    ]
    events += [{"type": name, "sequence_number": number, **data} for number, (name, data) in enumerate(pairs, 2)]
    return unshared(events)


def test_valid_streams_pass() -> None:
    check_stream(good_stream())
    check_stream(failed_stream())
    check_stream(stream_of_tools())


def first(events: list[Json], name: str) -> Json:
    return next(event for event in events if event["type"] == name)


def renumber(events: list[Json]) -> None:
    for number, event in enumerate(events):
        event["sequence_number"] = number


def drop(events: list[Json], name: str) -> None:
    events.remove(first(events, name))
    renumber(events)


def repeat(events: list[Json], name: str) -> None:
    event = first(events, name)
    events.insert(events.index(event), deepcopy(event))
    renumber(events)


def swap(events: list[Json], one: int, other: int) -> None:
    events[one], events[other] = events[other], events[one]
    renumber(events)


# Ways to corrupt the stream of `good_stream`, and a part of the oracle's message for each.
CORRUPTIONS: dict[str, tuple[Callable[[list[Json]], Any], str]] = {
    # One event, against the SDK's types.
    "a required key is missing": (
        lambda e: first(e, "response.output_text.done").pop("logprobs"),
        "logprobs: Field required",
    ),
    "a number is a string": (
        lambda e: first(e, "response.output_text.delta").update(output_index="1"),
        "valid integer",
    ),
    "a number is a boolean": (
        lambda e: first(e, "response.output_text.delta").update(output_index=True),
        "valid integer",
    ),
    "a string is null": (
        lambda e: first(e, "response.output_text.delta").update(delta=None),
        "valid string",
    ),
    "a key is misspelt": (
        lambda e: first(e, "response.output_text.delta").update(detla=""),
        "unknown keys",
    ),
    "an unknown event": (
        lambda e: e[4].update(type="response.reasoning.delta"),
        "no such event type",
    ),
    "an unknown part": (
        lambda e: first(e, "response.content_part.added")["part"].update(type="text"),
        "not a ResponseContentPartAddedEvent",
    ),
    "a nested error": (
        lambda e: e[4].update(error={"message": "no"}),
        "top-level error",
    ),
    "a ping without a number": (
        lambda e: first(e, "response.ping").pop("sequence_number"),
        "no number",
    ),
    # The response object.
    "a key of Open Responses is missing": (
        lambda e: e[-1]["response"].pop("store"),
        "requires ['store']",
    ),
    "a key is null that may not be": (
        lambda e: e[-1]["response"].update(service_tier=None),
        "null where",
    ),
    "completed without the time": (
        lambda e: e[-1]["response"].update(completed_at=None),
        "completed_at is None",
    ),
    "a time before the end": (
        lambda e: e[0]["response"].update(completed_at=1_700_000_001),
        "in_progress, but completed_at",
    ),
    "a fractional time": (
        lambda e: e[0]["response"].update(created_at=1_700_000_000.5),
        "created_at",
    ),
    "a tool echoed in part": (
        lambda e: e[0]["response"]["tools"][0].pop("description"),
        "lacks ['description']",
    ),
    "an item without a status": (
        lambda e: e[2]["item"].pop("status"),
        "status None",
    ),
    "sealed reasoning that is null": (
        lambda e: e[2]["item"].update(encrypted_content=None),
        "encrypted_content",
    ),
    "an id of the wrong kind": (
        lambda e: [event["response"].update(id="msg_9") for event in e if "response" in event],
        "response: id",
    ),
    # The order.
    "the first number is one": (
        lambda e: [event.update(sequence_number=event["sequence_number"] + 1) for event in e],
        "first number is 1",
    ),
    "a number twice": (
        lambda e: e[5].update(sequence_number=4),
        "number 4 follows 4",
    ),
    "no created": (lambda e: drop(e, "response.created"), "should be response.created"),
    "created twice": (lambda e: repeat(e, "response.created"), "should be response.in_progress"),
    "no terminal event": (lambda e: e.pop(), "no terminal event"),
    "two terminal events": (lambda e: repeat(e, "response.completed"), "after the terminal one"),
    "a ping at the end": (
        lambda e: e.append({"type": "response.ping", "sequence_number": 99}),
        "after the terminal one",
    ),
    # Items.
    "an item is not opened": (lambda e: drop(e, "response.output_item.added"), "no item at 0"),
    "an item is opened twice": (lambda e: repeat(e, "response.output_item.added"), "output_index 0"),
    "an item is not closed": (lambda e: drop(e, "response.output_item.done"), "item 1 opens before item 0 is done"),
    "an item is closed twice": (lambda e: repeat(e, "response.output_item.done"), "is done"),
    "a gap in the indices": (
        lambda e: [event.update(output_index=4) for event in e if event.get("output_index") == 3],
        "output_index 4",
    ),
    "an id is used twice": (
        lambda e: e[22]["item"].update(id="fc_1"),
        "is taken",
    ),
    "ids are swapped": (
        lambda e: e[23].update(item_id="fc_1"),
        "not that of the item",
    ),
    "an id changes at the end": (
        lambda e: first(e, "response.output_item.done")["item"].update(id="rs_2"),
        "id changes",
    ),
    "an item opens with its text": (
        lambda e: e[17]["item"].update(arguments="{"),
        "not empty yet",
    ),
    "a call opens as completed": (
        lambda e: e[17]["item"].update(status="completed"),
        "added as completed",
    ),
    "the name is another": (
        lambda e: first(e, "response.function_call_arguments.done").update(name="g"),
        "name is 'g'",
    ),
    # Parts and text.
    "a part is not opened": (lambda e: drop(e, "response.content_part.added"), "no part at 0"),
    "a part is not closed": (lambda e: drop(e, "response.content_part.done"), "parts [0] are not done"),
    "a text is not closed": (lambda e: drop(e, "response.output_text.done"), "before its text"),
    "a delta after done": (lambda e: swap(e, 13, 14), "deltas join to 'Hello'"),
    "a delta is lost": (lambda e: drop(e, "response.output_text.delta"), "deltas join to"),
    "a delta of another kind": (
        lambda e: e[4].update(type="response.output_text.delta", logprobs=[]),
        "the part is reasoning_text",
    ),
    "the part says something else": (
        lambda e: first(e, "response.content_part.done")["part"].update(text="Ho."),
        "the part has",
    ),
    "the item says something else": (
        lambda e: e[16]["item"]["content"][0].update(text="Hello, world"),
        "the item is not what was streamed",
    ),
    "the arguments say something else": (
        lambda e: e[21]["item"].update(arguments="{}"),
        "the item has",
    ),
    "the logprobs are lost": (
        lambda e: first(e, "response.output_text.done").update(logprobs=[]),
        "logprobs",
    ),
    "the snapshot says something else": (
        lambda e: e[-1]["response"]["output"][2].update(arguments="{}"),
        "the snapshot is not",
    ),
    "the snapshot is in another order": (
        lambda e: e[-1]["response"]["output"].reverse(),
        "the snapshot is not",
    ),
    "the snapshot lacks an item": (
        lambda e: e[-1]["response"]["output"].pop(),
        "the snapshot is not",
    ),
    "the response changes its id": (
        lambda e: e[-1]["response"].update(id="resp_2"),
        "id changes",
    ),
    "completed with an incomplete item": (
        lambda e: [event.update(status="incomplete") for event in (e[25]["item"], e[-1]["response"]["output"][3])],
        "with an incomplete item",
    ),
}


# The same for the stream of tools. Its events by their numbers: 2 custom, 6 shell, 11 local shell, 13 search, 15 patch.
CORRUPTIONS_OF_TOOLS: dict[str, tuple[Callable[[list[Json]], Any], str]] = {
    "an item that nobody puts out": (
        lambda e: e[2].update(item={"id": "cmp_1", "type": "compaction", "encrypted_content": "x"}),
        "no item that is put out here",
    ),
    "an id of another kind": (lambda e: e[6]["item"].update(id="fc_1"), "does not begin with sh_"),
    "a call without a call id": (lambda e: e[11]["item"].update(call_id=""), "the call_id is empty"),
    "a namespace that is null": (lambda e: e[2]["item"].update(namespace=None), "namespace is null"),
    "the namespace is lost": (lambda e: e[5]["item"].pop("namespace"), "namespace changes to None"),
    "the namespace is another": (lambda e: e[5]["item"].update(namespace="other"), "namespace changes to 'other'"),
    "a key that comes late": (lambda e: e[5]["item"].update(caller=None), "['caller'] come or go"),
    "a status that is a slip": (lambda e: e[4].update(status="completed"), "unknown keys"),
    "the input says something else": (lambda e: e[5]["item"].update(input="abd"), "the item has 'abd'"),
    "the input is not closed": (lambda e: drop(e, "response.custom_tool_call_input.done"), "before its text"),
    "a shell opens with commands": (lambda e: e[6]["item"]["action"].update(commands=["ls"]), "not empty yet"),
    "a local shell opens with its command": (lambda e: e[11]["item"]["action"].update(command=["ls"]), "not empty yet"),
    "a search opens with arguments": (lambda e: e[13]["item"].update(arguments={"query": ""}), "not empty yet"),
    "a patch opens with its file": (lambda e: e[15]["item"]["operation"].update(path="a"), "not empty yet"),
    "a command opens with its text": (lambda e: e[7].update(command="ls"), "the command is not empty yet"),
    "a command is not opened": (lambda e: drop(e, "response.shell_call_command.added"), "no command at 0"),
    "a command is opened twice": (lambda e: repeat(e, "response.shell_call_command.added"), "command 0, but 1"),
    "a command is not closed": (lambda e: drop(e, "response.shell_call_command.done"), "before its commands"),
    "a command says something else": (lambda e: e[9].update(command="rm"), "deltas join to 'ls'"),
    "a command of another item": (lambda e: e[6].update(item=local_call("in_progress")), "has no commands"),
    "the shell has another command": (lambda e: e[10]["item"]["action"].update(commands=["rm"]), "its events ['ls']"),
    "the shell has no command": (lambda e: e[10]["item"]["action"].update(commands=[]), "its events ['ls']"),
    "a command with an item id": (lambda e: e[7].update(item_id="sh_1"), "unknown keys"),
    "an environment that comes late": (
        lambda e: e[10]["item"].update(environment={"type": "local"}),
        "environment changes",
    ),
    "a patch without a diff": (lambda e: e[16]["item"]["operation"].pop("diff"), "diff"),
    "a patch that failed": (lambda e: e[16]["item"].update(status="failed"), "not a ResponseOutputItemDoneEvent"),
    "tokens without log-probabilities": (
        lambda e: e[16]["item"].pop("generation_log_probs"),
        "token ids without log-probabilities",
    ),
    "a token too many": (lambda e: e[16]["item"]["generation_token_ids"].append(4), "3 token ids, 2 others"),
    "a token too many in a delta": (lambda e: e[3].update(generation_token_ids=[2, 3]), "2 token ids, 1 others"),
    "tokens that are null": (lambda e: e[16]["item"].update(prompt_token_ids=None), "prompt_token_ids is null"),
    "tokens in an event that has none": (
        lambda e: e[4].update(generation_token_ids=[2], generation_log_probs=[-0.5]),
        "unknown keys",
    ),
    "tokens in the response": (lambda e: e[0]["response"].update(prompt_token_ids=[1]), "unknown keys"),
}


@pytest.mark.parametrize("way", [*CORRUPTIONS, *CORRUPTIONS_OF_TOOLS])
def test_a_corrupted_stream_is_found(way: str) -> None:
    events = good_stream() if way in CORRUPTIONS else stream_of_tools()
    corrupt, expected = (CORRUPTIONS | CORRUPTIONS_OF_TOOLS)[way]
    corrupt(events)
    with pytest.raises(AssertionError) as caught:
        check_stream(events)
    assert expected in str(caught.value)


def test_a_stream_with_an_error_must_end_with_failed() -> None:
    events = failed_stream()
    events[-1] = {
        "type": "response.incomplete",
        "sequence_number": 99,
        "response": {
            **events[-1]["response"],
            "status": "incomplete",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"},
        },
    }
    with pytest.raises(AssertionError, match="an error was sent before it"):
        check_stream(events)


# Ways to corrupt the `error` event of `failed_stream`, and a part of the oracle's message for each.
CORRUPTIONS_OF_ERRORS: dict[str, tuple[Callable[[list[Json]], Any], str]] = {
    "it is not there": (lambda e: drop(e, "error"), "no error was sent before it"),
    "it comes twice": (lambda e: repeat(e, "error"), "a second error"),
    "the flat form alone": (lambda e: first(e, "error").pop("error"), "its keys are"),
    "the nested form alone": (lambda e: first(e, "error").pop("code"), "its keys are"),
    "no status": (lambda e: first(e, "error")["error"].pop("status"), "the inner keys are"),
    "a status that is none": (lambda e: first(e, "error")["error"].update(status=200), "status 200"),
    "no code": (lambda e: first(e, "error")["error"].update(code=None), "no code"),
    "two messages": (lambda e: first(e, "error")["error"].update(message="too short"), "message is 'too long' and"),
    "another code than the response": (lambda e: first(e, "error").update(code="x_error"), "the code of the error"),
}


@pytest.mark.parametrize("way", CORRUPTIONS_OF_ERRORS)
def test_a_corrupted_error_is_found(way: str) -> None:
    events = failed_stream()
    corrupt, expected = CORRUPTIONS_OF_ERRORS[way]
    corrupt(events)
    with pytest.raises(AssertionError) as caught:
        check_stream(events)
    assert expected in str(caught.value)


def test_only_the_last_item_may_be_incomplete() -> None:
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    output = [message("incomplete", part), function_call(1, "completed", "{}")]
    response = snapshot("incomplete", output, incomplete_details={"reason": "max_output_tokens"})
    with pytest.raises(AssertionError, match="incomplete items at"):
        check_response(response)


def test_an_unknown_code_of_a_failed_response_is_found() -> None:
    event = failed_stream()[-1]
    check_event(event)
    event["response"]["error"]["code"] = "my_own_code"
    with pytest.raises(AssertionError, match=r"error\.code"):
        check_event(event)


def test_the_body_of_an_error_must_have_its_four_keys_and_a_message() -> None:
    error = {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    check_error({"error": error})
    for key in error:
        with pytest.raises(AssertionError):
            check_error({"error": {name: value for name, value in error.items() if name != key}})
    with pytest.raises(AssertionError):
        check_error({"error": {**error, "message": " "}})
    with pytest.raises(AssertionError):
        check_error({"error": {**error, "code": 400}})
    with pytest.raises(AssertionError):
        check_error({"error": error, "detail": "x"})


# Responses in the background -----------------------------------------------------------------------------------------


def queued_stream() -> list[Json]:
    """The stream of `good_stream`, of a response that was queued."""
    created, *rest = good_stream()
    created["response"]["status"] = "queued"
    queued = {"type": "response.queued", "response": deepcopy(created["response"])}
    events = [created, queued, *rest]
    renumber(events)
    return events


def ended_stream(*, at: int, status: str = "cancelled") -> list[Json]:
    """The first events of a queued stream, ended from outside of its run."""
    events = queued_stream()[:at]
    output = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    if status == "failed":
        error = failed_stream()[-2:]
        error[-1]["response"] = {**error[-1]["response"], "output": output}
        events += error
    else:
        events.append({"type": "response.incomplete", "response": snapshot(status, output)})
    renumber(events)
    return events


def test_valid_streams_of_responses_in_the_background_pass() -> None:
    check_stream(queued_stream())
    an_item = 1 + [event["type"] for event in queued_stream()].index("response.output_item.done")
    for at in (2, 3, an_item):
        check_stream(ended_stream(at=at))
        check_stream(ended_stream(at=at, status="failed"))


@pytest.mark.parametrize(
    ("way", "message"),
    [
        (lambda e: drop(e, "response.queued"), "should be response.queued"),
        (lambda e: drop(e, "response.in_progress"), "should be response.in_progress"),
        (lambda e: repeat(e, "response.queued"), "should be response.in_progress"),
        (lambda e: first(e, "response.queued")["response"].update(status="in_progress"), "status 'in_progress'"),
        (lambda e: first(e, "response.in_progress")["response"].update(status="queued"), "status 'queued'"),
        (lambda e: first(e, "response.created")["response"].update(status="in_progress"), "should be"),
    ],
)
def test_a_corrupted_stream_of_one_is_found(way: Callable[[list[Json]], Any], message: str) -> None:
    events = queued_stream()
    way(events)
    with pytest.raises(AssertionError, match=message):
        check_stream(events)


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_one_that_is_ended_from_outside_has_the_output_that_was_streamed(status: str) -> None:
    with pytest.raises(AssertionError, match="not done"):
        check_stream(ended_stream(at=6, status=status))
    events = ended_stream(at=3, status=status)
    events[-1]["response"]["output"] = [message("completed")]
    with pytest.raises(AssertionError, match="not what was streamed"):
        check_stream(events)


def test_a_resumed_stream_is_the_end_of_the_complete_one() -> None:
    complete = queued_stream()
    for after in (-1, 0, 5, len(complete)):
        check_resumed([event for event in unshared(complete) if event["sequence_number"] > after], after, complete)
    with pytest.raises(AssertionError, match="behind 3 there are"):
        check_resumed(complete[3:], 3, complete)
    with pytest.raises(AssertionError, match="behind 3 there are"):
        check_resumed(complete[4:-1], 3, complete)
    changed = unshared(complete[4:])
    changed[0]["type"] = "response.ping"
    with pytest.raises(AssertionError, match="another one"):
        check_resumed(changed, 3, complete)
