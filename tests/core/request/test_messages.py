"""Input items as chat messages: one leading system message, one assistant message a turn."""

from __future__ import annotations

import copy
import json
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.responses import ResponseInputItemParam

from responses_shim.core.request import content
from responses_shim.core.request.messages import (
    MAX_CALLS,
    READ_ITEMS,
    REFUSED_ITEMS,
    SKIPPED_ITEMS,
    current_turn,
    declared_tools,
    located,
)
from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.tools.kinds import KINDS
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.core.request.conversations import (
    AS_TEXT,
    GYM,
    IN_TOOL,
    KEEP,
    OPENS,
    THINK,
    answered,
    assistant,
    called,
    chat_call,
    developer,
    messages,
    reasoning,
    refusal,
    result,
    summary,
    text,
    translated,
    user,
)
from tests.cpu_time import takes_less_than
from tests.oracle import check_error

# System and user -----------------------------------------------------------------------------------------------------


def test_a_string_is_a_user_message() -> None:
    assert messages("Hi") == [user("Hi")]


def test_instructions_come_first() -> None:
    assert messages("Hi", "Be brief.") == [{"role": "system", "content": "Be brief."}, user("Hi")]


@pytest.mark.parametrize("instructions", [None, ""])
def test_without_instructions_there_is_no_system_message(instructions: str | None) -> None:
    assert messages("Hi", instructions) == [user("Hi")]


SYSTEM = [
    {"role": "system", "content": "One."},
    user("Hi"),
    {"role": "developer", "content": [{"type": "input_text", "text": "Two."}, {"type": "text", "text": "Three."}]},
]


def test_all_system_text_goes_into_the_leading_message() -> None:
    """Templates of Qwen and Mistral raise at a second system message, and most know no developer."""
    leading = {"role": "system", "content": "Zero.\n\nOne.\n\nTwo.\nThree."}
    assert messages(SYSTEM, "Zero.") == [leading, user("Hi")]


def test_where_the_template_knows_developers_they_are_kept_where_they_are() -> None:
    expected = [
        {"role": "system", "content": "Zero."},
        {"role": "system", "content": "One."},
        user("Hi"),
        {"role": "developer", "content": "Two.\nThree."},
    ]
    assert messages(SYSTEM, "Zero.", KEEP) == expected


def test_a_developer_message_that_is_kept_ends_the_turn_and_one_that_is_folded_does_not() -> None:
    items = [assistant("One."), developer("Be brief."), assistant("Two.")]
    leading = {"role": "system", "content": "Be brief."}
    assert messages(items) == [leading, {"role": "assistant", "content": "One.\n\nTwo."}]
    assert [message["content"] for message in messages(items, options=KEEP)] == ["One.", "Be brief.", "Two."]


@pytest.mark.parametrize("options", [DEFAULT_OPTIONS, KEEP])
def test_the_last_instruction_is_at_the_end_of_the_leading_message(options: TranslationOptions) -> None:
    assert messages("Hi", "Be brief.", options, last_instruction="In JSON.")[0]["content"] == "Be brief.\n\nIn JSON."
    assert messages("Hi", None, options, last_instruction="In JSON.")[0] == {"role": "system", "content": "In JSON."}


@pytest.mark.parametrize("kind", [{}, {"type": None}, {"type": "message"}])
def test_a_message_needs_no_type(kind: Json) -> None:
    assert messages([{**user("Hi"), **kind, "id": "msg_1", "status": "completed", "internal": 1}]) == [user("Hi")]


@pytest.mark.parametrize("items", [[], [reasoning()], [assistant("")], [{"type": "web_search_call"}]])
def test_an_input_without_any_content_is_missing(items: list[Json]) -> None:
    """Hosts answer an empty list of messages with an error, or with an answer to nothing."""
    error = refusal(*items)
    assert (error.message, error.param) == ("Missing required parameter: 'input'.", "input")
    with pytest.raises(InvalidRequest):
        messages(items, last_instruction="In JSON.")


def test_instructions_alone_are_enough() -> None:
    assert messages([], "Say hello.") == [{"role": "system", "content": "Say hello."}]


# The assistant's turn ------------------------------------------------------------------------------------------------

TURN = [
    reasoning("Hm."),
    assistant([text("Let me "), text("see.")]),
    called("a"),
    called("b", "g", '{"x":1}'),
    reasoning("Ah."),
    assistant(" There."),
]
CALLED = [chat_call("a"), chat_call("b", "g", '{"x":1}')]


def test_a_turn_of_the_model_is_one_message() -> None:
    turn = {
        "role": "assistant",
        "content": "Let me see. There.",
        "reasoning": "Hm.\nAh.",
        "tool_calls": CALLED,
    }
    items = [user("2 + 2?"), *TURN, result("a"), result("b", "5"), assistant("4.")]
    assert messages(items) == [
        user("2 + 2?"),
        turn,
        answered("a"),
        answered("b", "5"),
        {"role": "assistant", "content": "4."},
    ]


def test_for_a_host_without_a_reasoning_parser_reasoning_is_where_the_model_wrote_it() -> None:
    (turn,) = messages(TURN, options=THINK)
    assert turn == {
        "role": "assistant",
        "content": "<think>Hm.</think>Let me see.<think>Ah.</think> There.",
        "tool_calls": CALLED,
    }


def test_texts_of_reasoning_stay_apart() -> None:
    item = reasoning(summary=summary("One", "", "Two"))
    assert messages([item], options=THINK)[0]["content"] == "<think>One</think><think>Two</think>"
    assert messages([item])[0]["reasoning"] == "One\nTwo"


@pytest.mark.parametrize("options", [DEFAULT_OPTIONS, THINK])
def test_a_tool_output_ends_the_turn(options: TranslationOptions) -> None:
    items = [reasoning("Hm."), called("a"), result("a"), reasoning("Ah."), assistant("4.")]
    first, output, second = messages(items, options=options)
    thought = ("Hm.", "Ah.") if options is DEFAULT_OPTIONS else ("<think>Hm.</think>", "<think>Ah.</think>4.")
    key = "reasoning" if options is DEFAULT_OPTIONS else "content"
    assert (first[key], second[key]) == thought
    assert output == answered("a")


def test_calls_without_text_have_no_content() -> None:
    (message, _) = messages([called("a"), result("a")])
    assert message == {"role": "assistant", "content": None, "tool_calls": [chat_call("a")]}


def test_reasoning_alone_is_a_message() -> None:
    assert messages([reasoning("Hm."), user("?")])[0] == {"role": "assistant", "content": None, "reasoning": "Hm."}
    assert messages([reasoning("Hm.")], options=THINK) == [{"role": "assistant", "content": "<think>Hm.</think>"}]


def test_a_span_begins_as_the_prompt_began_it() -> None:
    """A prompt that ends in the tag has a line end after it, and so had the model's own text."""
    options = TranslationOptions(reasoning_replay="think", think_opening="<think>\n")
    turn = [reasoning("Hm."), assistant("Hello.")]
    assert messages(turn, options=options)[0]["content"] == "<think>\nHm.</think>Hello."


def test_two_messages_with_nothing_between_are_two_texts() -> None:
    """Joined, the last word of one would run into the first of the next."""
    items = [assistant("One."), assistant([text("Two"), text(".")]), assistant(""), assistant("Three."), user("?")]
    for options in (DEFAULT_OPTIONS, THINK):
        assert messages(items, options=options)[0]["content"] == "One.\n\nTwo.\n\nThree."


@pytest.mark.parametrize("between", [reasoning("Hm."), called("a")], ids=lambda item: item["type"])
def test_texts_around_a_thought_or_a_call_are_what_the_model_wrote_in_one_go(between: Json) -> None:
    """A host splits one text there, and a blank line would be one that the model did not write."""
    assert messages([assistant("One"), between, assistant(" and two.")])[0]["content"] == "One and two."


@pytest.mark.parametrize("empty", [{"content": None}, {}, {"content": ""}, {"content": []}, {"content": [text("")]}])
def test_an_empty_assistant_message_is_left_out(empty: Json) -> None:
    """An empty assistant message makes some templates fail, and teaches the model to say nothing."""
    assert messages([user("Hi"), {"role": "assistant", **empty}, user("?")]) == [user("Hi"), user("?")]


def test_calls_in_the_form_of_chat_completions_are_taken() -> None:
    """Agents that were written for it leave them on the message, and answer with role `tool`."""
    items = [
        user("2 + 2?"),
        {"role": "assistant", "content": None, "tool_calls": [chat_call("a"), chat_call("b", "g")]},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "5"}]},
        {"role": "tool", "tool_call_id": "a", "content": ""},
        {"role": "assistant", "content": "4.", "tool_calls": []},
        {"role": "assistant", "content": None, "tool_calls": None},
    ]
    assert messages(items) == [
        user("2 + 2?"),
        {"role": "assistant", "content": None, "tool_calls": [chat_call("a"), chat_call("b", "g")]},
        answered("b", "5"),
        answered("a", ""),
        {"role": "assistant", "content": "4."},
    ]


def test_the_phase_stays_on_the_message() -> None:
    items = [assistant("Let me see.", phase="commentary"), called("a"), result("a"), assistant("4.", phase="final")]
    assert [message.get("phase") for message in messages(items)] == ["commentary", None, "final"]


@pytest.mark.parametrize("odd", [assistant("", phase="commentary"), assistant("One.", phase=7)])
def test_a_phase_of_no_text_or_of_another_type_is_left_out(odd: Json) -> None:
    """That of an empty message once went to the message of the next turn."""
    assert all("phase" not in message for message in messages([user("Hi"), odd, user("?"), assistant("Two.")]))


def test_a_past_refusal_is_text() -> None:
    assert messages([assistant([{"type": "refusal", "refusal": "No."}]), user("?")])[0]["content"] == "No."


# Reasoning -----------------------------------------------------------------------------------------------------------


def shown(item: Json, options: TranslationOptions = OPENS) -> tuple[str | None, str]:
    """What the model is shown of a reasoning item, and the report."""
    made, report = translated([user("Hi"), item, assistant("!")], options=options)
    return made[1].get("reasoning"), report


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (reasoning("Content.", summary=summary("Summary."), encrypted_content="ours"), "Content."),
        (reasoning(summary=summary("Summary."), encrypted_content="ours"), "Sealed."),
        (reasoning("", summary=summary("Summary."), encrypted_content="ours"), "Sealed."),
        (reasoning(summary=summary("One.", "Two.")), "One.\nTwo."),
        (reasoning("", summary=summary("Summary."), encrypted_content="empty"), "Summary."),
        ({"type": "reasoning", "encrypted_content": "ours", "content": None, "summary": None}, "Sealed."),
        ({"type": "reasoning", "id": None, "status": None, "summary": "LiteLLM's."}, "LiteLLM's."),
        ({"type": "reasoning", "content": "Bare.", "encrypted_content": None}, "Bare."),
        ({"type": "reasoning", "content": [{"type": "text", "text": "Another's."}]}, "Another's."),
    ],
)
def test_content_is_shown_before_what_is_sealed_and_that_before_the_summary(item: Json, expected: str) -> None:
    assert shown(item) == (expected, "")


@pytest.mark.parametrize("foreign", ["gAAAAAB", "rs1.x", 7, {"a": 1}, ["ours"]])
@pytest.mark.parametrize(
    ("fields", "expected"), [({}, None), ({"summary": summary("S.")}, "S."), ({"content": "C."}, "C.")]
)
def test_what_another_server_sealed_is_left_out_and_reported(foreign: Any, fields: Json, expected: str | None) -> None:
    """A conversation can go on here that began there."""
    item = {"type": "reasoning", "encrypted_content": foreign, **fields}
    assert shown(item) == (expected, 'dropped=("input[1].encrypted_content")')


def test_without_a_key_nothing_can_be_unsealed() -> None:
    item = reasoning(encrypted_content="ours")
    assert shown(item, DEFAULT_OPTIONS) == (None, 'dropped=("input[1].encrypted_content")')


@pytest.mark.parametrize("nothing", [{}, {"content": None}, {"content": []}, {"summary": None}, {"content": ""}])
@pytest.mark.parametrize("options", [DEFAULT_OPTIONS, THINK])
def test_empty_reasoning_is_left_out(nothing: Json, options: TranslationOptions) -> None:
    assert messages([user("Hi"), reasoning(**nothing), user("?")], options=options) == [user("Hi"), user("?")]


CONTEXT = [
    user("One?"),
    reasoning("Old."),
    assistant("One."),
    user("Two?"),
    reasoning("New."),
    called("a"),
    result("a"),
]


def test_reasoning_of_earlier_turns_can_be_left_out() -> None:
    made = messages(CONTEXT, reasoning_from=current_turn(located(CONTEXT)))
    assert [message.get("reasoning") for message in made] == [None, None, None, "New.", None]


@pytest.mark.parametrize("items", ["Hi", [], [reasoning("Hm.")]])
def test_without_a_user_message_everything_is_the_current_turn(items: Any) -> None:
    assert current_turn(located(items)) == 0
    assert current_turn(located(CONTEXT)) == 3


# Calls ---------------------------------------------------------------------------------------------------------------

SHELL = {"commands": ["ls", "pwd"], "timeout_ms": 9, "max_output_length": None}
EXEC: Json = {
    "type": "exec",
    "command": ["ls"],
    "env": {},
    "working_directory": "/tmp",
    "user": None,
    "timeout_ms": None,
}
PATCH = {"type": "update_file", "path": "a.py", "diff": "@@\n-a\n+b"}
SPACE = {"type": "namespace", "name": "mcp", "tools": [{"type": "function", "name": "get"}]}


@pytest.mark.parametrize(
    ("item", "name", "arguments"),
    [
        (called("a", "f", '{"x": 1}'), "f", '{"x": 1}'),
        (called("a", "get", namespace="mcp"), "mcp__get", "{}"),
        (called("a", "get", namespace=None), "get", "{}"),
        (called("a", "get", namespace="gone"), "gone__get", "{}"),
        ({"type": "local_shell_call", "call_id": "a", "action": EXEC}, "local_shell", None),
        ({"type": "shell_call", "call_id": "a", "action": SHELL}, "shell", None),
        ({"type": "apply_patch_call", "call_id": "a", "operation": PATCH}, "apply_patch", None),
        ({"type": "tool_search_call", "call_id": "a", "arguments": {"query": "x"}}, "tool_search", None),
        ({"type": "custom_tool_call", "call_id": "a", "name": "py", "input": "é\n1"}, "py", None),
    ],
)
def test_a_call_of_every_kind_is_a_call_of_a_function(item: Json, name: str, arguments: str | None) -> None:
    ((made,),) = [message["tool_calls"] for message in messages([item], tools=[SPACE])]
    assert (made["id"], made["type"], made["function"]["name"]) == ("a", "function", name)
    assert arguments is None or made["function"]["arguments"] == arguments


def shown_arguments(arguments: str, options: TranslationOptions = DEFAULT_OPTIONS) -> tuple[str, str]:
    """What the host gets as the arguments of a past call, and the report."""
    ((message,), report) = translated([called("a", arguments=arguments)], options=options)
    return message["tool_calls"][0]["function"]["arguments"], report


@given(st.text())
@example('{"cut": "')
@example('{ "spaces" : 1}')
@example("")
def test_a_host_that_shows_arguments_as_text_gets_them_to_the_last_character(arguments: str) -> None:
    """Put right, they would teach the model that it wrote something else, and cost the host its prefix cache."""
    assert shown_arguments(arguments, AS_TEXT) == (arguments, "")


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), st.sampled_from([None, 1]))
def test_arguments_that_are_an_object_stay_as_they_were_written(value: Json, indent: int | None) -> None:
    written = json.dumps(value, indent=indent)
    assert shown_arguments(written) == (written, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "{}"),
        (" \n", "{}"),
        ('{"city": "Par', '{"arguments": "{\\"city\\": \\"Par"}'),
        ("Paris", '{"arguments": "Paris"}'),
        ('"Paris"', '{"arguments": "\\"Paris\\""}'),
        ("[1]", '{"arguments": "[1]"}'),
        ("null", '{"arguments": "null"}'),
        ('{"a": "x\ny"}', '{"a": "x\\ny"}'),
        ('"{\\"a\\": 1}"', '{"a": 1}'),
        ("[" * 100_000, None),
    ],
    ids=lambda case: str(case)[:20],
)
@pytest.mark.parametrize("in_chat", [False, True])
def test_arguments_that_are_no_object_are_made_one(arguments: str, expected: str | None, in_chat: bool) -> None:
    """vLLM parses them for its templates, and answers each later turn with an error if they cannot be."""
    item = {"role": "assistant", "tool_calls": [chat_call("a", arguments=arguments)]}
    (message,), report = translated([item if in_chat else called("a", arguments=arguments)])
    made = message["tool_calls"][0]["function"]["arguments"]
    assert made == expected if expected is not None else json.loads(made) == {"arguments": arguments}
    where = "tool_calls[0].function.arguments" if in_chat else "arguments"
    assert report == f'mapped=("input[0].{where}")'


@pytest.mark.parametrize("ids", [{}, {"id": None}, {"id": "mine", "status": None}, {"id": 7, "status": "whatever"}])
def test_items_need_no_ids_and_no_status(ids: Json) -> None:
    items = [{**called("a"), **ids}, {**result("a"), **ids}, {**reasoning("Hm."), **ids}, {**assistant("!"), **ids}]
    assert [message["role"] for message in messages(items)] == ["assistant", "tool", "assistant"]


# Outputs -------------------------------------------------------------------------------------------------------------

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
IMAGE_IN_CHAT = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
PARTS = [{"type": "input_text", "text": "One."}, IMAGE, {"type": "text", "text": "Two."}]


@pytest.mark.parametrize(
    "output", ["5\n6", [{"type": "input_text", "text": "5"}, {"type": "output_text", "text": "6"}]]
)
def test_an_output_of_text_is_text(output: Any) -> None:
    assert messages([called("a"), result("a", output)])[1] == answered("a", "5\n6")


@pytest.mark.parametrize("output", ["", []])
def test_an_empty_output_is_an_empty_text(output: Any) -> None:
    assert messages([called("a"), result("a", output)])[1] == answered("a", "")


def moved(call_id: str) -> Json:
    return user([{"type": "text", "text": f"Output of the tool call {call_id}:"}, IMAGE_IN_CHAT])


@pytest.mark.parametrize(
    "after",
    [[], [user("?")], [assistant("!")], [called("c")], [reasoning("Hm.")]],
    ids=["nothing", "a question", "an answer", "another call", "thoughts"],
)
def test_an_image_moves_behind_all_outputs_and_before_whatever_follows(after: list[Json]) -> None:
    """A `tool` message takes text only, with most hosts, and nothing may come between two of them."""
    items = [called("a"), called("b"), result("a", PARTS), result("b", "5"), *after]
    made, report = translated(items)
    assert made[1:4] == [answered("a", "One.\nTwo."), answered("b", "5"), moved("a")]
    assert len(made) == 4 + len(after)
    assert report == 'mapped=("input[2].output")'


def test_images_of_several_outputs_move_together() -> None:
    items = [called("a"), called("b"), result("b", [IMAGE]), result("a", [IMAGE]), user("?")]
    *_, images, question = messages(items)
    assert images["content"] == [*moved("b")["content"], *moved("a")["content"]]
    assert question == user("?")


def test_images_are_before_a_developer_message_that_is_kept() -> None:
    made = messages([called("a"), result("a", PARTS), developer("Be brief.")], options=KEEP)
    assert [message["role"] for message in made] == ["assistant", "tool", "user", "developer"]


def test_an_output_of_an_image_alone_is_not_empty() -> None:
    assert messages([called("a"), result("a", [IMAGE])])[1]["content"] == "The output follows in the next message."


def test_where_the_host_takes_images_in_a_tool_message_they_stay_there() -> None:
    made, report = translated([called("a"), result("a", PARTS), user("?")], options=IN_TOOL)
    one, two = ({"type": "text", "text": text} for text in ("One.", "Two."))
    assert made[1:] == [answered("a", [one, IMAGE_IN_CHAT, two]), user("?")]
    assert report == ""


def test_calls_and_outputs_that_alternate_stay_in_their_order() -> None:
    items = [
        called("a"),
        result("a", [IMAGE]),
        called("b"),
        result("b"),
        called("c"),
        called("d"),
        result("d"),
        result("c"),
    ]
    made = messages(items)
    roles = [message["role"] for message in made]
    assert roles == ["assistant", "tool", "user", "assistant", "tool", "assistant", "tool", "tool"]
    assert [message["tool_call_id"] for message in made if message["role"] == "tool"] == ["a", "b", "d", "c"]


@pytest.mark.parametrize("missing", [{}, {"call_id": None}])
def test_an_output_that_names_no_call_belongs_to_the_only_one_without_an_output(missing: Json) -> None:
    output = {"type": "function_call_output", "output": "4", "id": "fco_1", **missing}
    assert messages([called("a"), result("a"), called("b"), output])[-1] == answered("b")
    error = refusal(called("a"), called("b"), output)
    assert (error.param, error.code) == ("input[2].call_id", "missing_required_parameter")
    assert refusal(called("a"), result("a"), output).param == "input[2].call_id"
    assert messages([{"role": "assistant", "tool_calls": [chat_call("a")]}, {"role": "tool", "content": "4"}])[-1] == (
        answered("a")
    )


def test_the_output_of_a_local_shell_has_the_id_of_its_calls_item_or_of_its_call() -> None:
    calls = [{"type": "local_shell_call", "id": f"lsh_{n}", "call_id": n, "action": EXEC} for n in ("a", "b")]
    outputs = [{"type": "local_shell_call_output", "id": id, "output": id} for id in ("lsh_b", "a")]
    assert messages([*calls, *outputs])[1:] == [answered("b", "lsh_b"), answered("a", "a")]


def test_the_id_of_a_call_counts_before_the_id_of_an_item() -> None:
    """Clients make ids of their own, and some make them short."""
    calls = [called("a", id="b"), called("b", id="a"), called("c", id="c")]
    outputs = [result("b", "of b"), result("a", "of a"), result("c", "of c")]
    made = messages([*calls, *outputs])[1:]
    assert made == [answered("b", "of b"), answered("a", "of a"), answered("c", "of c")]


@pytest.mark.parametrize(
    "items",
    [
        [user("Hi"), called("a", id="fc_1"), result("a"), result("b")],
        [user("Hi"), called("a", id="fc_1"), result("a"), result("fc_1")],
        [user("Hi"), {"role": "tool", "tool_call_id": "b", "content": "4"}],
    ],
    ids=["unknown", "the item's id", "with role tool"],
)
def test_an_output_without_its_call_is_refused(items: list[Json]) -> None:
    error = refusal(*items)
    where, output = next(
        (f"input[{index}].{key}", item[key])
        for index, item in reversed(list(enumerate(items)))
        for key in ("call_id", "tool_call_id")
        if key in item and (item.get("type") == "function_call_output" or item.get("role") == "tool")
    )
    assert error.message == f"No tool call found for the output with call_id '{output}'."
    assert (error.param, error.code) == (where, "invalid_value")


@pytest.mark.parametrize(("call_id", "id"), [("a", None), (None, "tsc_1")])
def test_found_tools_are_listed_by_the_names_they_are_offered_under(call_id: Any, id: Any) -> None:
    """OpenAI's own searches have no call_id: then the item's id is the call's."""
    found = [SPACE, {"type": "function", "name": "f", "description": "Does f"}, {"type": "web_search"}]
    items = [
        user("Hi"),
        {"type": "tool_search_call", "call_id": call_id, "id": id, "arguments": {"query": "x"}},
        {"type": "tool_search_output", "call_id": call_id, "tools": found},
    ]
    _, call, output = messages(items)
    assert call["tool_calls"][0]["id"] == output["tool_call_id"] == (call_id or id)
    assert output["content"] == '{"tools":[{"name":"mcp__get","description":null},{"name":"f","description":"Does f"}]}'


@pytest.mark.parametrize("call_id", ["x" * 100_000, "x\n" * 100_000])
def test_an_error_does_not_send_all_of_a_long_call_id_back(call_id: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages([{"type": "function_call_output", "call_id": call_id, "output": "o"}])
    assert len(caught.value.message) < 200


# The tokens of a turn ------------------------------------------------------------------------------------------------

TOKENS = {"prompt_token_ids": [1], "generation_token_ids": [2], "generation_log_probs": [-0.5], "routed_experts": None}
KEPT = {"prompt_token_ids": [1], "generation_token_ids": [2], "generation_log_probs": [-0.5]}


@pytest.mark.parametrize(
    "last", [reasoning("Hm."), assistant("Hi"), called("a"), assistant(""), reasoning()], ids=lambda item: item["type"]
)
def test_the_tokens_of_a_turn_go_back_on_its_message_if_that_is_wanted(last: Json) -> None:
    """Also those of a turn without text, and not on the message of another turn."""
    items = [user("Hi"), {**last, **TOKENS}, user("?"), assistant("Two.")]
    _, turn, _, other = messages(items, options=GYM)
    assert {key: turn[key] for key in KEPT} == KEPT
    assert not {*TOKENS} & {*other}
    assert "routed_experts" not in turn
    assert not any({*TOKENS} & {*message} for message in messages(items))


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"prompt_token_ids": None}, "input[1].prompt_token_ids"),
        ({"generation_token_ids": None}, "input[1].generation_token_ids"),
        ({"generation_log_probs": None}, "input[1].generation_log_probs"),
        ({"generation_token_ids": "2"}, "input[1].generation_token_ids"),
        ({"generation_log_probs": []}, "input[1].generation_log_probs"),
        ({"prompt_token_ids": [1, "2"]}, "input[1].prompt_token_ids[1]"),
        ({"generation_token_ids": [2.5]}, "input[1].generation_token_ids[0]"),
        ({"generation_log_probs": [None]}, "input[1].generation_log_probs[0]"),
    ],
    ids=lambda case: str(case)[:40],
)
def test_incomplete_or_wrong_tokens_of_a_turn_are_refused_if_they_are_wanted(wrong: Json, param: str) -> None:
    items = [user("Hi"), assistant("Hi", **TOKENS | wrong)]
    with pytest.raises(InvalidRequest) as caught:
        messages(items, options=GYM)
    assert caught.value.param == param
    assert messages(items)[1] == {"role": "assistant", "content": "Hi"}


def test_routed_experts_without_tokens_are_left_out() -> None:
    items = [user("Hi"), assistant("Hi", routed_experts=[[1]])]
    assert messages(items, options=GYM)[1] == {"role": "assistant", "content": "Hi"}


# The 31 types of item in the SDK, in 33 classes -----------------------------------------------------------------------


def kinds(hint: Any) -> set[str]:
    """The strings that a Literal allows, through optionals and `Required`."""
    if get_origin(hint) is Literal:
        return {value for value in get_args(hint) if value is not None}
    return {kind for inner in get_args(hint) for kind in kinds(inner)}


PARAMS = {param.__name__: kinds(get_type_hints(param)["type"]) for param in get_args(ResponseInputItemParam)}
TYPES = sorted({kind for types in PARAMS.values() for kind in types})


def test_every_type_of_item_that_the_sdk_knows_is_read_or_skipped_or_refused() -> None:
    assert len(PARAMS) == 33
    assert all(len(types) == 1 for types in PARAMS.values())
    lists: list[set[str]] = [set(READ_ITEMS), set(KINDS.by_call_type), set(SKIPPED_ITEMS), set(REFUSED_ITEMS)]
    for kind in TYPES:
        assert [kind in known for known in lists].count(True) == 1, kind
    assert sorted({kind for known in lists for kind in known}) == TYPES


@pytest.mark.parametrize("kind", sorted(SKIPPED_ITEMS))
def test_a_skipped_item_is_reported_and_left_out(kind: str) -> None:
    made, report = translated([user("Hi"), assistant("One."), {"type": kind, "id": "x"}, assistant("Two.")])
    assert made == [user("Hi"), {"role": "assistant", "content": "One.\n\nTwo."}]
    assert report == 'dropped=("input[2]")'


def test_additional_tools_are_tools_and_no_message() -> None:
    item = {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "f"}]}
    assert translated([item, user("Hi")]) == ([user("Hi")], "")
    assert declared_tools(located([user("Hi"), item])) == [(item["tools"][0], "input[1].tools[0]")]
    assert declared_tools(located("Hi")) == []


@pytest.mark.parametrize("kind", sorted(REFUSED_ITEMS))
def test_a_refused_item_is_named_and_the_error_says_what_to_do_instead(kind: str) -> None:
    error = refusal(user("Hi"), {"type": kind, "id": "x"})
    assert (error.param, error.code) == ("input[1].type", "unsupported_parameter")
    assert error.message == f"Unsupported parameter: items of type '{kind}': {REFUSED_ITEMS[kind]}"


def test_a_reference_needs_no_type() -> None:
    error = refusal(user("Hi"), {"id": "msg_1"})
    assert (error.param, error.code) == ("input[1]", "unsupported_parameter")
    assert "send the item itself" in error.message


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "message", "param"),
    [
        ({}, "Missing required parameter: 'input[0].type'.", "input[0].type"),
        ({"type": None}, "Missing required parameter: 'input[0].type'.", "input[0].type"),
        ({"type": 7}, "Invalid type for 'input[0].type': expected a string.", "input[0].type"),
        ({"type": []}, "Invalid type for 'input[0].type': expected a string.", "input[0].type"),
        ({"type": "message"}, "Missing required parameter: 'input[0].role'.", "input[0].role"),
        (
            {"role": "function", "content": "x"},
            "Invalid value: 'function'. Supported values are: 'user', 'assistant', 'system', 'developer' and 'tool'.",
            "input[0].role",
        ),
    ],
)
def test_a_wrong_item_is_named_by_its_path(item: Json, message: str, param: str) -> None:
    error = refusal(item)
    assert (error.message, error.param) == (message, param)


def chat_calls(calls: Any) -> Json:
    return {"role": "assistant", "tool_calls": calls}


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (user(7), "content"),
        ({"role": "developer", "content": 7}, "content"),
        (assistant(7), "content"),
        (reasoning(content=7), "content"),
        (reasoning(summary={"a": 1}), "summary"),
        (reasoning(summary=[7]), "summary[0]"),
        ({**called("a"), "call_id": 7}, "call_id"),
        ({**called("a"), "name": {}}, "name"),
        ({**called("a"), "namespace": []}, "namespace"),
        ({**called("a"), "arguments": {}}, "arguments"),
        ({"type": "custom_tool_call", "call_id": "a", "name": "f", "input": 7}, "input"),
        ({"type": "shell_call", "call_id": "a", "action": "ls"}, "action"),
        ({"type": "tool_search_output", "call_id": "a", "tools": {}}, "tools"),
        ({"type": "additional_tools", "tools": [7]}, "tools[0]"),
        (chat_calls({}), "tool_calls"),
        (chat_calls([{**chat_call("a"), "id": 7}]), "tool_calls[0].id"),
        (chat_calls([chat_call("a", arguments={})]), "tool_calls[0].function.arguments"),
        ({"role": "tool", "tool_call_id": 7, "content": "4"}, "tool_call_id"),
    ],
)
def test_a_wrong_type_is_named_by_its_path(item: Json, param: str) -> None:
    error = refusal(item)
    assert error.message.startswith(f"Invalid type for 'input[0].{param}': expected a")
    assert (error.param, error.code) == (f"input[0].{param}", "invalid_type")


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([user(None)], "input[0].content"),
        ([{"role": "system"}], "input[0].content"),
        ([{"role": "tool", "content": "4"}], "input[0].tool_call_id"),
        ([chat_calls([chat_call("a")]), {"role": "tool", "tool_call_id": "a"}], "input[1].content"),
        ([chat_calls(["f"])], "input[0].tool_calls[0].function"),
        ([chat_calls([{"id": "a"}])], "input[0].tool_calls[0].function"),
        ([{"type": "tool_search_call"}], "input[0].id"),
        ([{"type": "tool_search_output", "call_id": "a"}], "input[0].tools"),
        ([{"type": "apply_patch_call", "call_id": "a"}], "input[0].operation"),
        ([called("a"), {"type": "function_call_output", "call_id": "a"}], "input[1].output"),
        *[([{**called("a"), field: None}], f"input[0].{field}") for field in ("call_id", "name", "arguments")],
    ],
)
def test_what_is_missing_is_named_by_its_path(items: list[Json], param: str) -> None:
    error = refusal(*items)
    assert (error.param, error.code) == (param, "missing_required_parameter")


VALUES = st.recursive(
    st.sampled_from([None, True, 0, 7, -1.5, "", "a", "message", "data:,", "input_text", "exit", "ours"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "image_url", "url", "outcome", "stdout"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [
    *["role", "content", "summary", "encrypted_content", "call_id", "id", "name", "namespace", "arguments", "input"],
    *["output", "action", "operation", "tools", "status", "phase", "tool_calls", "tool_call_id"],
]
ROLES = st.sampled_from(["user", "assistant", "developer", "tool"])
ODD = st.builds(
    lambda kind, fields: {**kind, **fields},
    st.sampled_from([*TYPES, "nonsense"]).map(lambda kind: {"type": kind}) | ROLES.map(lambda role: {"role": role}),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6),
)


def attempt(items: list[Json], options: TranslationOptions) -> list[Json] | InvalidRequest:
    try:
        return messages(items, options=options)
    except InvalidRequest as error:
        return error


@given(st.lists(ODD, max_size=4), st.sampled_from([DEFAULT_OPTIONS, THINK, KEEP, IN_TOOL, GYM]))
def test_whatever_an_item_holds_it_is_read_or_refused_by_its_path(odd: list[Json], options: TranslationOptions) -> None:
    items = [user("Hi"), called("a"), *odd]
    before = copy.deepcopy(items)
    read = attempt(items, options)
    if isinstance(read, InvalidRequest):
        assert read.status == 400
        assert (read.param or "").startswith("input[")
        check_error(read.body())
    else:
        assert all(message["role"] in ("system", "developer", "user", "assistant", "tool") for message in read)
    assert items == before


# From turn to turn ---------------------------------------------------------------------------------------------------

TURNS = st.lists(
    st.sampled_from(
        [
            user("Hi"),
            assistant("One."),
            reasoning("Hm."),
            called("a"),
            called("b"),
            result("a"),
            result("a", PARTS),
            developer("Be brief."),
        ]
    ),
    max_size=8,
)


@given(TURNS, TURNS, st.sampled_from([DEFAULT_OPTIONS, THINK, IN_TOOL]))
def test_more_items_leave_the_messages_of_those_before_as_they_were(
    before: list[Json], after: list[Json], options: TranslationOptions
) -> None:
    """So that a host's prefix cache holds from turn to turn: a finished turn makes the same messages ever after.

    Not so if a developer message comes later, which goes into the first message, or an output, which goes to its call.
    """
    before = [called("a"), *before, user("?")]
    after = [
        {**item, "call_id": "c"} if "call_id" in item else item for item in after if item.get("role") != "developer"
    ]
    first = messages(before, options=options)
    assert messages([*before, called("c"), *after], options=options)[: len(first)] == first


def test_the_number_of_calls_on_messages_is_limited() -> None:
    """A chat request has two objects for each, which take ten times the bytes of the shortest."""
    most = assistant(None, tool_calls=[chat_call(str(number)) for number in range(MAX_CALLS)])
    assert len(messages([most])[0]["tool_calls"]) == MAX_CALLS
    with pytest.raises(InvalidRequest) as raised:
        messages([most, assistant(None, tool_calls=[chat_call("a")])])
    assert (raised.value.code, raised.value.param) == ("array_above_max_length", "input[1].tool_calls")


@pytest.mark.parametrize("backwards", [False, True])
def test_the_time_for_many_calls_is_linear(backwards: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request holds up all others on the host while it is translated. Quadratic, this took more than 4 s."""
    monkeypatch.setattr(content, "MAX_MEDIA", 20_000)
    calls = [called(str(number)) for number in range(20_000)]
    outputs = [result(call["call_id"], PARTS) for call in calls]
    items = [*calls, *(reversed(outputs) if backwards else outputs)]
    assert len(messages([*items])) == 20_002
    assert takes_less_than(2, lambda: messages([*items]))
