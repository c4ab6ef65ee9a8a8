"""Requests: what NeMo Gym's converter makes of items, content and parameters, and what the shim makes of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from responses_shim import RequestView, ResponsesShim
from responses_shim.core.request.options import TranslationOptions
from tests.conformance.asking import Json, ask, response_of
from tests.conformance.nemo_gym.gym import (
    FUNCTION,
    assistant,
    call_output,
    chat_call,
    chat_for,
    chat_of,
    function_call,
    messages_for,
    reasoning,
    refusal,
    user,
)
from tests.scripted import ScriptedHost

pytestmark = pytest.mark.anyio


# Messages ------------------------------------------------------------------------------------------------------------


def test_an_input_string_is_one_user_message() -> None:
    """Gym makes it a list with one text part; a string is the same to every template, and some take nothing else."""
    assert chat_for(input="Hi")["messages"] == [user("Hi")]
    assert messages_for(user([{"type": "input_text", "text": "Hi"}])) == [user("Hi")]


def test_an_item_with_a_role_needs_no_type() -> None:
    assert messages_for(user("Hi"), {"type": "message", **user("Hi")}) == [user("Hi"), user("Hi")]


def test_reasoning_text_and_calls_of_one_turn_are_one_assistant_message() -> None:
    items = [user("Hi"), reasoning("So."), assistant("Let me see."), function_call("a"), function_call("b")]
    assert messages_for(*items, options=TranslationOptions(reasoning_replay="think")) == [
        user("Hi"),
        {
            "role": "assistant",
            "content": "<think>So.</think>Let me see.",
            "tool_calls": [chat_call("a"), chat_call("b")],
        },
    ]


@pytest.mark.parametrize(
    "between",
    [[user("And?")], [function_call("a"), call_output("a")], [{"role": "tool", "tool_call_id": "z", "content": "4"}]],
)
def test_a_user_message_or_a_tool_output_ends_the_assistants_turn(between: list[Json]) -> None:
    messages = messages_for(assistant("One.", tool_calls=[chat_call("z")]), *between, assistant("Two."))
    assert [message["content"] for message in messages if message["role"] == "assistant"] == ["One.", "Two."]


def test_system_text_that_moves_to_the_front_does_not_end_a_turn() -> None:
    """In Gym it stays where it is and ends the turn; here nothing is left between the two halves of the turn."""
    items = [user("Hi"), assistant("One."), {"role": "developer", "content": "Be brief."}, assistant(" Two.")]
    expected = [{"role": "system", "content": "Be brief."}, user("Hi"), {"role": "assistant", "content": "One. Two."}]
    assert messages_for(*items) == expected


def test_an_assistant_message_without_text_has_null_content_and_one_without_calls_no_tool_calls() -> None:
    assert messages_for(user("Hi"), function_call("a"))[1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [chat_call("a")],
    }
    assert messages_for(user("Hi"), assistant("Yes."))[1] == {"role": "assistant", "content": "Yes."}


async def test_an_unknown_host_gets_an_empty_string_in_place_of_null_content() -> None:
    """Some templates fail on null; Gym leaves that to vLLM."""
    chat = await chat_of(input=[user("Hi"), function_call("a"), call_output("a")])
    assert chat["messages"][1]["content"] == ""


def test_each_summary_part_is_put_between_tags_unless_it_is_empty() -> None:
    (message,) = messages_for(
        reasoning("One", "", "Two"), assistant("So."), options=TranslationOptions(reasoning_replay="think")
    )
    assert message["content"] == "<think>One</think><think>Two</think>So."


def test_messages_in_the_form_of_chat_completions_are_accepted() -> None:
    assistant = {"role": "assistant", "content": None, "tool_calls": [chat_call("a")]}
    tool = {"role": "tool", "tool_call_id": "a", "content": "4"}
    assert messages_for(user("Hi"), assistant, tool) == [user("Hi"), assistant, tool]


def test_instructions_and_leading_system_text_are_joined_by_blank_lines() -> None:
    items = [{"role": "system", "content": "Two."}, {"role": "developer", "content": "Three."}, user("Hi")]
    assert messages_for(*items, instructions="One.") == [
        {"role": "system", "content": "One.\n\nTwo.\n\nThree."},
        user("Hi"),
    ]


def test_later_system_text_moves_to_the_front_too() -> None:
    """Gym moves only what comes first. Some templates raise at a second system message, so all of it moves here."""
    messages = messages_for(user("Hi"), {"role": "system", "content": "Be brief."})
    assert messages == [{"role": "system", "content": "Be brief."}, user("Hi")]


def test_outputs_may_be_lists_of_text() -> None:
    parts = [{"type": "input_text", "text": "4"}, {"type": "input_text", "text": "2"}]
    assert messages_for(user("Hi"), function_call("a"), call_output("a", parts))[2]["content"] == "4\n2"


def test_images_in_outputs_follow_in_a_user_message() -> None:
    """Gym raises NotImplementedError for them."""
    parts = [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]
    shown = messages_for(user("Hi"), function_call("a"), call_output("a", parts))[3]
    assert shown["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def test_an_item_of_another_type_is_refused_by_name() -> None:
    """Gym raises NotImplementedError, which its client sees as a 500; here it is a 400."""
    error = refusal(input=[user("Hi"), {"type": "mystery"}])
    assert (error.status, error.param) == (400, "input[1].type")
    assert "mystery" in error.message


# Content -------------------------------------------------------------------------------------------------------------


def test_images_keep_their_detail() -> None:
    """If there is none Gym adds `auto`, which is chat's default anyway."""
    image: Json = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    (message,) = messages_for(user([image, image | {"detail": "high"}]))
    url = "data:image/png;base64,AA=="
    assert [part["image_url"] for part in message["content"]] == [{"url": url}, {"url": url, "detail": "high"}]


@pytest.mark.parametrize("kind", ["image", "video"])
def test_an_empty_image_or_video_url_is_an_error(kind: str) -> None:
    part = {"type": f"input_{kind}", f"{kind}_url": ""}
    assert refusal(input=[user([part])]).param == f"input[0].content[0].{kind}_url"


def test_video_goes_to_the_host_as_a_video_url() -> None:
    (message,) = messages_for(user([{"type": "input_video", "video_url": "data:video/mp4;base64,AA=="}]))
    assert message["content"] == [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}]


# Parameters and tools ------------------------------------------------------------------------------------------------


async def test_the_token_limit_and_the_effort_have_the_names_of_chat_completions() -> None:
    chat = await chat_of(max_output_tokens=9, reasoning={"effort": "low"})
    assert chat["max_tokens"] == chat["max_completion_tokens"] == 9
    assert chat["reasoning_effort"] == "low"


def test_functions_are_nested_and_keep_strict() -> None:
    """Gym drops `strict`; vLLM holds a call to its schema only if it is set."""
    function = {"name": "f", "parameters": FUNCTION["parameters"], "strict": True}
    assert chat_for(tools=[FUNCTION])["tools"] == [{"type": "function", "function": function}]


def test_without_tools_the_chat_request_has_no_field_about_tools() -> None:
    for choice in ("auto", "none"):
        chat = chat_for(tools=[], tool_choice=choice, parallel_tool_calls=True)
        assert not chat.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


def test_a_required_call_without_tools_is_an_error() -> None:
    assert refusal(tool_choice="required").param == "tool_choice"


async def test_an_interceptor_can_fix_the_sampling_parameters() -> None:
    """Gym's `sampling_overrides`: what is trained on must come from the distribution that is optimised."""

    async def pinned(view: RequestView, headers: Mapping[str, str]) -> None:
        view.params.update({"temperature": 1.0, "top_p": 1.0})

    host = ScriptedHost()
    shim = ResponsesShim(host, interceptors=[pinned], nemo_gym=True)
    await response_of(shim, temperature=0.2, metadata={"extra_body": '{"temperature": 0.1}'})
    assert (host.requests[0]["temperature"], host.requests[0]["top_p"]) == (1.0, 1.0)


async def test_the_session_header_of_a_client_reaches_the_host() -> None:
    """Gym itself chooses the endpoint of a session; here the host's own router gets the header."""
    host = ScriptedHost()
    await ask(ResponsesShim(host), {"X-Session-ID": "rollout-7"})
    assert host.headers[0]["x-session-id"] == "rollout-7"


# Reasoning of past turns, in the field that the host reads -----------------------------------------------------------

TURN = [user("Hi"), reasoning("Hm."), assistant("\n\nYes."), user("And?")]


async def test_a_host_with_a_parser_gets_reasoning_under_both_names() -> None:
    """vLLM reads `reasoning` since 0.16, and `reasoning_content` before."""
    message = (await chat_of(input=TURN))["messages"][1]
    assert message == {"role": "assistant", "content": "\n\nYes.", "reasoning": "Hm.", "reasoning_content": "Hm."}


async def test_a_host_without_a_parser_gets_reasoning_between_tags() -> None:
    """Gym's `preserve_reasoning_in_assistant_content`."""
    chat = await chat_of(settings={"reasoning_replay": "think"}, input=TURN)
    assert chat["messages"][1] == {"role": "assistant", "content": "<think>Hm.</think>\n\nYes."}


async def test_past_reasoning_is_left_out_if_the_request_says_so() -> None:
    """Gym has `uses_interleaved_reasoning=false` for it, for all requests alike."""
    message = (await chat_of(input=TURN, reasoning={"context": "current_turn"}))["messages"][1]
    assert message == {"role": "assistant", "content": "\n\nYes."}


async def test_the_setting_reasoning_replay_overrides_the_profile_of_the_host() -> None:
    chat = await chat_of(settings={"host": "llama-cpp", "reasoning_replay": "field"}, input=TURN)
    assert chat["messages"][1]["content"] == "\n\nYes."
    chat = await chat_of(settings={"host": "llama-cpp"}, input=TURN)
    assert chat["messages"][1]["content"] == "<think>Hm.</think>\n\nYes."
