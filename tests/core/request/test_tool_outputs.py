"""Outputs that are posted to a response that waits for them, and the request of its next round."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.request.tool_outputs import ITEM_PATH, check_output, next_round_request, output_item
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.stored import waits_for_outputs
from responses_shim.errors import InvalidRequest

Json = dict[str, Any]

FUNCTION: Json = {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}"}
CUSTOM: Json = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "a", "name": "c", "input": "x"}
SHELL: Json = {"type": "shell_call", "id": "sh_1", "call_id": "a", "action": {"commands": ["ls"]}}
LOCAL_SHELL: Json = {"type": "local_shell_call", "id": "lsh_1", "call_id": "a", "action": {"command": ["ls"]}}
PATCH: Json = {
    "type": "apply_patch_call",
    "id": "apc_1",
    "call_id": "a",
    "operation": {"type": "delete_file", "path": "a.txt"},
}
SEARCH: Json = {"type": "tool_search_call", "id": "tsc_1", "call_id": "a", "arguments": {"query": "mail"}}
TEXT = [{"type": "output_text", "text": "4"}, {"type": "output_text", "text": "2"}]
PRINTED = [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
IMAGE = {"type": "input_image", "image_url": "https://images.test/a.png"}
F: Json = {"type": "function", "name": "f"}


@pytest.mark.parametrize(
    ("call", "output", "expected"),
    [
        (FUNCTION, "4", {"type": "function_call_output", "output": "4"}),
        (
            FUNCTION,
            [*TEXT, IMAGE],
            {
                "type": "function_call_output",
                "output": [{"type": "input_text", "text": "4"}, {"type": "input_text", "text": "2"}, IMAGE],
            },
        ),
        (CUSTOM, "4", {"type": "custom_tool_call_output", "output": "4"}),
        (SHELL, PRINTED, {"type": "shell_call_output", "output": PRINTED}),
        (SHELL, TEXT, {"type": "shell_call_output", "output": "4\n2"}),
        (LOCAL_SHELL, TEXT, {"type": "local_shell_call_output", "output": "4\n2"}),
        (LOCAL_SHELL, "4", {"type": "local_shell_call_output", "output": "4"}),
        (PATCH, TEXT, {"type": "apply_patch_call_output", "status": "completed", "output": "4\n2"}),
        (SEARCH, [F], {"type": "tool_search_output", "execution": "client", "tools": [F]}),
        (SEARCH, [], {"type": "tool_search_output", "execution": "client", "tools": []}),
    ],
)
def test_a_posted_output_becomes_the_item_of_its_call(call: Json, output: Any, expected: Json) -> None:
    item = output_item(call, output, None)
    assert item == {"call_id": "a", **expected}
    check_output(call, item, DEFAULT_OPTIONS)


def test_a_patch_may_have_failed() -> None:
    assert output_item(PATCH, "No such file.", "failed")["status"] == "failed"


@pytest.mark.parametrize(
    ("call", "output", "path"),
    [
        (FUNCTION, 4, "output"),
        (FUNCTION, {"text": "4"}, "output"),
        (FUNCTION, [4], "output[0]"),
        (FUNCTION, [{"type": "output_text"}], "output[0].text"),
        (FUNCTION, [{"type": "input_image"}], "output[0].image_url"),
        (LOCAL_SHELL, [IMAGE], "output"),
        (SHELL, [{"stdout": "a"}], "output[0].outcome"),
        (SHELL, [], None),
        (SEARCH, "mail", "tools"),
        (SEARCH, [{"type": "function"}], "tools[0].name"),
    ],
)
def test_an_output_that_no_model_could_be_shown_is_named(call: Json, output: Any, path: str | None) -> None:
    item = output_item(call, output, None)
    if path is None:
        check_output(call, item, DEFAULT_OPTIONS)
        return
    with pytest.raises(InvalidRequest) as caught:
        check_output(call, item, DEFAULT_OPTIONS)
    assert caught.value.param == f"{ITEM_PATH}.{path}"


def test_the_status_of_a_patch_is_checked() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_output(PATCH, output_item(PATCH, "Done", "maybe"), DEFAULT_OPTIONS)
    assert caught.value.param == f"{ITEM_PATH}.status"


def test_an_output_keeps_to_the_options_of_the_host_and_of_the_operator() -> None:
    item = output_item(FUNCTION, [IMAGE], None)
    check_output(FUNCTION, item, DEFAULT_OPTIONS)
    for options in (TranslationOptions(parts=frozenset()), TranslationOptions(image_urls="data-only")):
        with pytest.raises(InvalidRequest):
            check_output(FUNCTION, item, options)


def test_an_output_is_not_nested_deeper_than_hosts_can_read() -> None:
    output: Any = "4"
    for _ in range(2000):
        output = [output]
    with pytest.raises(InvalidRequest) as caught:
        check_output(FUNCTION, output_item(FUNCTION, output, None), DEFAULT_OPTIONS)
    assert caught.value.param == ITEM_PATH


# The next round ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["Hi", [{"role": "user", "content": "Hi"}]])
def test_the_items_of_earlier_rounds_come_behind_the_input(sent: Any) -> None:
    request = CreateRequest(model="m", input=sent, temperature=0.5)
    further = next_round_request(request, [FUNCTION, output_item(FUNCTION, "4", None)])
    assert [item.get("type") for item in further.input if isinstance(item, dict)] == [
        None,
        "function_call",
        "function_call_output",
    ]
    assert further.temperature == 0.5
    assert request.input == sent


@pytest.mark.parametrize(
    ("choice", "later"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "auto"),
        ({"type": "none"}, {"type": "none"}),
        ({"type": "required"}, "auto"),
        ({"type": "function", "name": "f"}, "auto"),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [F]},
            {"type": "allowed_tools", "mode": "auto", "tools": [F]},
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [F]}},
            {"type": "allowed_tools", "mode": "auto", "tools": [F]},
        ),
    ],
)
def test_a_choice_that_forces_a_call_does_so_once(choice: Any, later: Any) -> None:
    request = CreateRequest(model="m", input="Hi", tool_choice=choice)
    assert next_round_request(request, []).tool_choice == later


def test_a_stored_response_says_whether_it_waits() -> None:
    assert waits_for_outputs(b'{"id":"resp_1","tool_outputs":"wait"}')
    assert not waits_for_outputs(b'{"id":"resp_1"}')
