"""What those who train with NeMo Gym rely on: its converter between Responses and chat, behaviour by behaviour.

Each test says one thing that the converter does, and holds that the shim does it too. Where the API, or this
project, says otherwise, the test holds the difference, and its words say what Gym does.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from responses_shim import RequestView, ResponsesShim
from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.errors import InvalidRequest
from responses_shim.runtime import run as runs
from tests.caller import Reply, call, payloads
from tests.conformance.asking import Json, ask, both_ways, events_of, items_of, refusal_of, response_of, text_of
from tests.core.driver import play
from tests.core.prepared import prepared
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import (
    DONE,
    Hold,
    Raise,
    ScriptedHost,
    Start,
    Step,
    Wait,
    call_answer,
    chunk,
    frame,
    read_body,
    text_answer,
    usage,
)
from tests.scripted import Json as JsonAnswer
from tests.scripted import call as tool_call

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": True}
SOUND = "data:audio/wav;base64,UklGRg=="
GYM: Json = {"nemo_gym": True}


def chat_for(options: TranslationOptions = DEFAULT_OPTIONS, **fields: Any) -> Json:
    """The chat request, before a host's own spelling."""
    return prepared(options=options, **fields).chat


def messages_for(*items: Json, options: TranslationOptions = DEFAULT_OPTIONS, **fields: Any) -> list[Json]:
    messages: list[Json] = chat_for(options, input=list(items), **fields)["messages"]
    return messages


def refused(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        chat_for(**fields)
    return caught.value


async def chat_of(*, settings: Json = GYM, **fields: Any) -> Json:
    """The chat request as the host gets it."""
    host = ScriptedHost()
    await response_of(ResponsesShim(host, **settings), **fields)
    return host.requests[0]


async def answer(*steps: Step, settings: Json = GYM, **fields: Any) -> Json:
    """The response to a host's answer."""
    return await response_of(ResponsesShim(ScriptedHost(steps), **settings), **fields)


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def thought(*texts: str) -> Json:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text} for text in texts]}


def said(text: str, **fields: Any) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content, **fields}


def called(call_id: str, **fields: Any) -> Json:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **fields}


def put_out(call_id: str, output: Any = "4") -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def chat_call(call_id: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


# The request: messages ----------------------------------------------------------------------------------------------


def test_a_string_is_one_message_of_the_user() -> None:
    """Gym makes it a list with one text part; a string is the same to every template, and some take nothing else."""
    assert chat_for(input="Hi")["messages"] == [user("Hi")]
    assert messages_for(user([{"type": "input_text", "text": "Hi"}])) == [user("Hi")]


def test_an_item_with_a_role_needs_no_type() -> None:
    assert messages_for(user("Hi"), {"type": "message", **user("Hi")}) == [user("Hi"), user("Hi")]


def test_reasoning_text_and_calls_of_one_turn_are_one_assistant_message() -> None:
    items = [user("Hi"), thought("So."), said("Let me see."), called("a"), called("b")]
    assert messages_for(*items, options=TranslationOptions(reasoning="think")) == [
        user("Hi"),
        {
            "role": "assistant",
            "content": "<think>So.</think>Let me see.",
            "tool_calls": [chat_call("a"), chat_call("b")],
        },
    ]


@pytest.mark.parametrize(
    "between", [[user("And?")], [called("a"), put_out("a")], [{"role": "tool", "tool_call_id": "z", "content": "4"}]]
)
def test_the_user_and_outputs_of_tools_end_the_assistants_turn(between: list[Json]) -> None:
    messages = messages_for(said("One.", tool_calls=[chat_call("z")]), *between, said("Two."))
    assert [message["content"] for message in messages if message["role"] == "assistant"] == ["One.", "Two."]


def test_system_text_that_is_folded_does_not_end_a_turn() -> None:
    """In Gym it does, and stays where it stands; here there is nothing left between the two halves."""
    items = [user("Hi"), said("One."), {"role": "developer", "content": "Be brief."}, said(" Two.")]
    expected = [{"role": "system", "content": "Be brief."}, user("Hi"), {"role": "assistant", "content": "One. Two."}]
    assert messages_for(*items) == expected


def test_an_assistant_message_without_text_has_null_and_one_without_calls_has_none() -> None:
    assert messages_for(user("Hi"), called("a"))[1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [chat_call("a")],
    }
    assert messages_for(user("Hi"), said("Yes."))[1] == {"role": "assistant", "content": "Yes."}


async def test_a_host_about_which_nothing_is_known_gets_an_empty_string_for_null() -> None:
    """A template fails on null here and there; Gym leaves that to vLLM."""
    chat = await chat_of(input=[user("Hi"), called("a"), put_out("a")])
    assert chat["messages"][1]["content"] == ""


def test_each_summary_is_one_think_span_and_an_empty_one_is_none() -> None:
    (message,) = messages_for(thought("One", "", "Two"), said("So."), options=TranslationOptions(reasoning="think"))
    assert message["content"] == "<think>One</think><think>Two</think>So."


def test_null_content_and_calls_in_chats_form_are_taken() -> None:
    assistant = {"role": "assistant", "content": None, "tool_calls": [chat_call("a")]}
    tool = {"role": "tool", "tool_call_id": "a", "content": "4"}
    assert messages_for(user("Hi"), assistant, tool) == [user("Hi"), assistant, tool]


def test_instructions_and_leading_system_text_are_one_message_with_blank_lines_between() -> None:
    items = [{"role": "system", "content": "Two."}, {"role": "developer", "content": "Three."}, user("Hi")]
    assert messages_for(*items, instructions="One.") == [
        {"role": "system", "content": "One.\n\nTwo.\n\nThree."},
        user("Hi"),
    ]


def test_later_system_text_folds_too() -> None:
    """Gym folds the leading run only; templates that raise at a second system message are why all of it does here."""
    messages = messages_for(user("Hi"), {"role": "system", "content": "Be brief."})
    assert messages == [{"role": "system", "content": "Be brief."}, user("Hi")]


def test_outputs_may_be_lists_of_text() -> None:
    parts = [{"type": "input_text", "text": "4"}, {"type": "input_text", "text": "2"}]
    assert messages_for(user("Hi"), called("a"), put_out("a", parts))[2]["content"] == "4\n2"


def test_images_in_outputs_are_shown() -> None:
    """Gym raises NotImplementedError for them."""
    parts = [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]
    shown = messages_for(user("Hi"), called("a"), put_out("a", parts))[3]
    assert shown["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def test_an_item_of_another_type_is_refused_by_name() -> None:
    """Gym raises NotImplementedError, which its client sees as a 500; here it is a 400."""
    error = refused(input=[user("Hi"), {"type": "mystery"}])
    assert (error.status, error.param) == (400, "input[1].type")
    assert "mystery" in error.message


# The request: content -----------------------------------------------------------------------------------------------


def test_images_keep_their_detail() -> None:
    """Where none is given Gym says `auto`, which is what chat takes it for anyway."""
    image: Json = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    (message,) = messages_for(user([image, image | {"detail": "high"}]))
    url = "data:image/png;base64,AA=="
    assert [part["image_url"] for part in message["content"]] == [{"url": url}, {"url": url, "detail": "high"}]


@pytest.mark.parametrize("kind", ["image", "video"])
def test_an_empty_url_is_an_error(kind: str) -> None:
    part = {"type": f"input_{kind}", f"{kind}_url": ""}
    assert refused(input=[user([part])]).param == f"input[0].content[0].{kind}_url"


def test_video_goes_to_the_host_as_a_video_url() -> None:
    (message,) = messages_for(user([{"type": "input_video", "video_url": "data:video/mp4;base64,AA=="}]))
    assert message["content"] == [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}]


# The request: parameters and tools ----------------------------------------------------------------------------------


async def test_the_token_limit_and_the_effort_have_chats_names() -> None:
    chat = await chat_of(max_output_tokens=9, reasoning={"effort": "low"})
    assert chat["max_tokens"] == chat["max_completion_tokens"] == 9
    assert chat["reasoning_effort"] == "low"


def test_tools_are_nested_and_keep_strict() -> None:
    """Gym drops `strict`; vLLM holds a call to its schema only where it is set."""
    function = {"name": "f", "parameters": FUNCTION["parameters"], "strict": True}
    assert chat_for(tools=[FUNCTION])["tools"] == [{"type": "function", "function": function}]


def test_without_tools_nothing_is_said_of_them() -> None:
    for choice in ("auto", "none"):
        chat = chat_for(tools=[], tool_choice=choice, parallel_tool_calls=True)
        assert not chat.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


def test_a_call_that_is_required_without_tools_is_an_error() -> None:
    assert refused(tool_choice="required").param == "tool_choice"


async def test_an_operator_who_pins_the_sampling_does_it_in_an_interceptor() -> None:
    """Gym's `sampling_overrides`: what is trained on must come from the distribution that is optimised."""

    async def pinned(view: RequestView, headers: Mapping[str, str]) -> None:
        view.params.update({"temperature": 1.0, "top_p": 1.0})

    host = ScriptedHost()
    shim = ResponsesShim(host, interceptors=[pinned], nemo_gym=True)
    await response_of(shim, temperature=0.2, metadata={"extra_body": '{"temperature": 0.1}'})
    assert (host.requests[0]["temperature"], host.requests[0]["top_p"]) == (1.0, 1.0)


async def test_the_session_of_a_client_reaches_the_host() -> None:
    """Gym itself picks the endpoint of a session; here the host's own router sees its header."""
    host = ScriptedHost()
    await ask(ResponsesShim(host), {"X-Session-ID": "rollout-7"})
    assert host.headers[0]["x-session-id"] == "rollout-7"


# Past reasoning, in the spelling that the host reads ----------------------------------------------------------------

TURN = [user("Hi"), thought("Hm."), said("\n\nYes."), user("And?")]


async def test_a_host_with_a_parser_gets_reasoning_under_both_names() -> None:
    """vLLM has called it `reasoning` since 0.16, and `reasoning_content` before."""
    message = (await chat_of(input=TURN))["messages"][1]
    assert message == {"role": "assistant", "content": "\n\nYes.", "reasoning": "Hm.", "reasoning_content": "Hm."}


async def test_a_host_without_a_parser_gets_what_the_model_wrote() -> None:
    """Gym's `preserve_reasoning_in_assistant_content`."""
    chat = await chat_of(settings={"reasoning_replay": "think"}, input=TURN)
    assert chat["messages"][1] == {"role": "assistant", "content": "<think>Hm.</think>\n\nYes."}


async def test_past_reasoning_is_left_out_where_the_request_says_so() -> None:
    """Gym has `uses_interleaved_reasoning=false` for it, for all requests alike."""
    message = (await chat_of(input=TURN, reasoning={"context": "current_turn"}))["messages"][1]
    assert message == {"role": "assistant", "content": "\n\nYes."}


async def test_the_operators_word_on_replay_is_heard_by_every_host() -> None:
    chat = await chat_of(settings={"host": "llama-cpp", "reasoning_replay": "field"}, input=TURN)
    assert chat["messages"][1]["content"] == "\n\nYes."
    chat = await chat_of(settings={"host": "llama-cpp"}, input=TURN)
    assert chat["messages"][1]["content"] == "<think>Hm.</think>\n\nYes."


# The side channel in metadata ---------------------------------------------------------------------------------------


@both_ways
async def test_arguments_of_the_template_and_extra_fields_come_in_metadata(stream: bool) -> None:
    metadata = {"chat_template_kwargs": '{"enable_thinking": false}', "extra_body": '{"top_k": 5}', "split": "train"}
    host = ScriptedHost()
    response = await response_of(ResponsesShim(host, **GYM), stream=stream, metadata=metadata)
    assert host.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert host.requests[0]["top_k"] == 5
    assert "metadata" not in host.requests[0]
    assert response["metadata"] == metadata


async def test_the_report_tells_of_the_side_channel() -> None:
    metadata = {"chat_template_kwargs": "{}", "extra_body": '{"top_k": 5, "temperature": 0}', "audio_data": SOUND}
    reply = await ask(ResponsesShim(ScriptedHost(), **GYM), temperature=1, metadata=metadata)
    report = reply.headers["responses-shim-report"]
    assert report == 'mapped=("metadata.audio_data" "metadata.extra_body"), dropped=("metadata.extra_body.temperature")'


async def test_without_the_setting_the_keys_are_metadata_like_any_other() -> None:
    metadata = {"chat_template_kwargs": '{"a": 1}', "extra_body": '{"model": "x"}', "audio_path": "../a.wav"}
    host = ScriptedHost()
    response = await response_of(ResponsesShim(host), metadata=metadata)
    assert response["metadata"] == metadata
    assert not host.requests[0].keys() & {"chat_template_kwargs", "extra_body", "audio_path"}
    assert host.requests[0]["model"] == "scripted"
    error = await refusal_of(ResponsesShim(host), metadata={"extra_body": json.dumps({"a": "x" * 512})})
    assert error["param"] == "metadata"


@pytest.mark.parametrize(
    "name", ["model", "messages", "stream", "stream_options", "n", "tools", "tool_choice", "response_format"]
)
async def test_extra_fields_do_not_reach_what_the_answer_is_read_by(name: str) -> None:
    """Several choices cannot be trained on: Gym asks for n = 1 too."""
    error = await refusal_of(ResponsesShim(ScriptedHost(), **GYM), metadata={"extra_body": json.dumps({name: 2})})
    assert error["param"] == "metadata.extra_body"
    assert name in error["message"]


@both_ways
async def test_sound_goes_before_the_text_of_the_last_message_of_the_user(stream: bool, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "b.flac").write_bytes(b"fLaC")
    a, b = (
        {"type": "audio_url", "audio_url": {"url": f"data:audio/{kind};base64,{base64.b64encode(data).decode()}"}}
        for kind, data in (("wav", b"RIFF"), ("flac", b"fLaC"))
    )
    text = {"type": "text", "text": "What is said?"}
    for metadata, parts in (
        ({"audio_data": SOUND}, [{"type": "audio_url", "audio_url": {"url": SOUND}}]),
        ({"audio_path": "a.wav"}, [a]),
        ({"audio_path": str(tmp_path / "b.flac")}, [b]),
        ({"audio_paths": ["b.flac", "a.wav"]}, [b, a]),
        ({"audio_paths": '["b.flac","a.wav"]'}, [b, a]),
    ):
        host = ScriptedHost()
        shim = ResponsesShim(host, nemo_gym=True, audio_root=str(tmp_path))
        items = [user("Hi"), said("Yes?"), user("What is said?")]
        await response_of(shim, stream=stream, input=items, metadata=metadata)
        messages = host.requests[0]["messages"]
        assert [message["content"] for message in messages] == ["Hi", "Yes?", [*parts, text]]


async def test_paths_outside_the_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "root").mkdir()
    shim = ResponsesShim(ScriptedHost(), nemo_gym=True, audio_root=str(tmp_path / "root"))
    for path in ("../secret.wav", str(tmp_path / "secret.wav"), "missing.wav"):
        error = await refusal_of(shim, metadata={"audio_path": path})
        assert error["param"] == "metadata.audio_path"
    error = await refusal_of(ResponsesShim(ScriptedHost(), **GYM), metadata={"audio_path": "a.wav"})
    assert "audio_root" in error["message"]


async def test_sound_is_refused_by_a_host_that_takes_none() -> None:
    shim = ResponsesShim(ScriptedHost(), host="llama-cpp", **GYM)
    assert (await refusal_of(shim, metadata={"audio_data": SOUND}))["param"] == "metadata.audio_data"


async def test_an_interceptor_may_write_the_side_channel() -> None:
    async def deterministic(view: RequestView, headers: Mapping[str, str]) -> None:
        view.extra["metadata"] = {"extra_body": '{"seed": 7}'}

    host = ScriptedHost()
    await response_of(ResponsesShim(host, interceptors=[deterministic], **GYM), metadata={"audio_data": SOUND})
    assert host.requests[0]["seed"] == 7
    assert host.requests[0]["messages"] == [user("Hi")]


# The response: reasoning, text and calls ----------------------------------------------------------------------------


@both_ways
async def test_think_spans_anywhere_are_reasoning(stream: bool) -> None:
    """Gym puts all spans into one item before the text; here each is where the model thought it, in order."""
    steps = [chunk(piece) for piece in ("Before<thi", "nk>one</think>mid", "dle<think>two\nlines</think>after")]
    response = await answer(*steps, chunk(finish_reason="stop"), DONE, stream=stream)
    told = [
        ("reasoning", item["summary"][0]["text"]) if item["type"] == "reasoning" else ("message", text_of_item(item))
        for item in response["output"]
    ]
    assert told == [
        ("message", "Before"),
        ("reasoning", "one"),
        ("message", "middle"),
        ("reasoning", "two\nlines"),
        ("message", "after"),
    ]


def text_of_item(item: Json) -> str:
    return "".join(part["text"] for part in item["content"])


@both_ways
async def test_reasoning_is_told_as_a_summary_text(stream: bool) -> None:
    """That is where Gym's readers look for it; to everybody else it is `reasoning_text` unless they ask."""
    steps = [chunk(reasoning="So."), chunk("Yes."), chunk(finish_reason="stop"), DONE]
    response = await answer(*steps, stream=stream)
    reasoning, message = response["output"]
    assert reasoning["id"].startswith("rs_")
    assert reasoning["summary"] == [{"type": "summary_text", "text": "So."}]
    assert text_of_item(message) == "Yes."
    without = await answer(*steps, settings={}, stream=stream)
    assert without["output"][0]["summary"] == []


async def test_the_operators_word_on_think_tags_wins_over_gyms() -> None:
    steps = text_answer("Say <think>a</think>.")
    assert text_of(await answer(*steps)) == "Say ."
    for settings in ({"think_tags": "leading"}, {"think_tags": "off"}):
        assert text_of(await answer(*steps, settings=GYM | settings)) == "Say <think>a</think>."
    assert text_of(await answer(*steps, settings={})) == "Say <think>a</think>."


async def test_a_span_without_an_end_is_reasoning() -> None:
    """To Gym it is text, tag and all; but it is what the model thought when it was cut."""
    response = await answer(*text_answer("<think>Hm, ", "so", finish_reason="length"))
    assert [item["type"] for item in response["output"]] == ["reasoning"]
    assert response["output"][0]["summary"][0]["text"] == "Hm, so"


@both_ways
async def test_reasoning_message_and_calls_come_in_that_order(stream: bool) -> None:
    steps = [
        chunk("<think>So.</think>Let me see."),
        chunk(tool_calls=[tool_call(0, "call_1", "f", "{}")]),
        chunk(finish_reason="tool_calls"),
        DONE,
    ]
    response = await answer(*steps, stream=stream, tools=[FUNCTION])
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", "function_call"]


async def test_a_call_is_known_by_the_hosts_call_id() -> None:
    """In Gym the item's own id is the same; here it has one of the API's."""
    (call,) = (await answer(*call_answer(("call_9", "f", '{"a": 1}')), tools=[FUNCTION]))["output"]
    assert (call["call_id"], call["name"], call["arguments"]) == ("call_9", "f", '{"a": 1}')
    assert call["id"].startswith("fc_")


@both_ways
async def test_an_empty_answer_is_one_message_all_the_same(stream: bool) -> None:
    steps = [chunk("", role="assistant"), chunk(finish_reason="stop"), DONE]
    (message,) = (await answer(*steps, stream=stream))["output"]
    assert (message["type"], message["status"]) == ("message", "completed")
    assert message["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
    assert (await answer(*steps, settings={}, stream=stream))["output"] == []


@pytest.mark.parametrize(
    "steps",
    [[chunk(reasoning="So."), chunk(finish_reason="stop"), DONE], call_answer(("call_1", "f", "{}"))],
    ids=["reasoning", "call"],
)
async def test_reasoning_or_a_call_alone_needs_no_message(steps: list[Step]) -> None:
    assert not items_of(await answer(*steps, tools=[FUNCTION]), "message")


async def test_a_failed_answer_is_given_no_message() -> None:
    reply = await ask(ResponsesShim(ScriptedHost([chunk("", role="assistant"), Raise(OSError())]), **GYM))
    assert reply.status == 500
    go = anyio.Event()
    app = ResponsesShim(ScriptedHost([chunk("", role="assistant"), Wait(go), Raise(OSError())]), commit_after=0, **GYM)
    body = {"model": "scripted", "input": "Hi", "stream": True}
    async with call(app, "POST", "/v1/responses", json=body) as exchange:
        await exchange.next_event()  # the stream has begun before the failure
        go.set()
        events = payloads(await exchange.events())
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["output"] == []


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
async def test_the_finish_reason_is_the_status(finish: str, status: str, reason: str | None) -> None:
    response = await answer(*text_answer("Yes", finish_reason=finish))
    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == reason


# A prompt that is too long ------------------------------------------------------------------------------------------

OVERFLOW = {
    "message": "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input "
    "tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=2049)",
    "type": "BadRequestError",
    "param": "input_tokens",
    "code": 400,
}
INCOMPLETE: Json = {"overflow": "incomplete"}
# How hosts refuse it: with a 400, in the stream before anything else, or with an exception out of their app.
REFUSALS: dict[str, Sequence[Step]] = {
    "status": [JsonAnswer(400, {"error": OVERFLOW}, [(b"x-request-id", b"r-1")])],
    "frame": [frame({"error": OVERFLOW}), DONE],
    "frame after the role": [chunk("", role="assistant"), frame({"error": OVERFLOW})],
    "exception": [Start(), Raise(ValueError("Requested tokens (3000) exceed context window of 2048"))],
}


@both_ways
@pytest.mark.parametrize("steps", REFUSALS.values(), ids=REFUSALS)
async def test_too_long_a_prompt_is_an_incomplete_response_where_that_is_set(
    steps: Sequence[Step], stream: bool
) -> None:
    response = await answer(*steps, settings=INCOMPLETE, stream=stream)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"] == []
    assert response["usage"] is None
    assert response["error"] is None


@both_ways
@pytest.mark.parametrize("steps", REFUSALS.values(), ids=REFUSALS)
async def test_and_with_gym_it_has_one_empty_message(steps: Sequence[Step], stream: bool) -> None:
    response = await answer(*steps, settings=INCOMPLETE | GYM, stream=stream)
    (message,) = response["output"]
    assert message["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
    assert message["status"] == "incomplete", "in Gym it is completed, and the response alone is not"


@both_ways
async def test_too_long_a_prompt_is_a_400_by_default(stream: bool) -> None:
    """Gym has the two the other way round: its `propagate_context_overflow_errors` asks for the error."""
    for settings in ({}, GYM):
        reply = await ask(ResponsesShim(ScriptedHost(REFUSALS["status"]), **settings), stream=stream)
        assert reply.status == 400
        check_error(reply.json)
        assert reply.json["error"]["code"] == "context_length_exceeded"


async def test_too_long_a_prompt_that_is_found_late_ends_the_stream_that_has_begun() -> None:
    refuse = anyio.Event()
    host = ScriptedHost([Wait(refuse), *REFUSALS["status"]])
    shim = ResponsesShim(host, commit_after=0, ping_interval=0.01, **INCOMPLETE)
    body = {"model": "scripted", "input": "Hi", "stream": True}
    async with call(shim, "POST", "/v1/responses", json=body) as exchange:
        created = await exchange.next_event()
        assert created is not None
        assert created.name == "response.created"
        refuse.set()
        events = payloads(await exchange.events())
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["output"] == []


async def test_too_long_a_prompt_with_tokens_wanted_has_none() -> None:
    host = Tokenizing(ScriptedHost(REFUSALS["status"]), {"tokens": [1]})
    response = await response_of(ResponsesShim(host, **INCOMPLETE | GYM), return_token_ids=True)
    assert not TOKENS & response["output"][0].keys()
    assert host.asked == []


async def test_an_answer_that_outgrows_the_context_is_no_overflow() -> None:
    """Something was said: what ended it is an error, not the size of the prompt."""
    events = await events_of(ResponsesShim(ScriptedHost([chunk("Yes"), frame({"error": OVERFLOW})]), **INCOMPLETE))
    assert events[-1]["type"] == "response.failed"


async def test_a_limit_that_no_context_could_hold_stays_an_error() -> None:
    """To Gym any 400 that speaks of `max_tokens` is an overflow; but no shorter prompt would help here."""
    message = "max_tokens=100000 cannot be greater than max_model_len=2048. Please request fewer output tokens."
    error = {"message": message, "type": "BadRequestError", "param": "max_tokens", "code": 400}
    shim = ResponsesShim(ScriptedHost([JsonAnswer(400, {"error": error})]), **INCOMPLETE | GYM)
    assert (await refusal_of(shim, max_output_tokens=100_000))["param"] == "max_output_tokens"


# Usage --------------------------------------------------------------------------------------------------------------


async def used(counts: Json | None) -> Any:
    steps = [chunk("Yes"), chunk(finish_reason="stop"), *([chunk(usage=counts)] if counts is not None else []), DONE]
    return (await answer(*steps))["usage"]


@pytest.mark.parametrize(
    ("told", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 5}, "cached_input_tokens": 7}, 5),
        ({"cached_input_tokens": 7, "cache_read_input_tokens": 8}, 7),
        ({"cache_read_input_tokens": 8}, 8),
        ({"prompt_tokens_details": None, "cached_tokens": 9}, 9),
    ],
)
async def test_cached_tokens_are_found_under_any_of_their_names(told: Json, cached: int) -> None:
    counts = await used({**usage(10, 2), **told})
    assert counts["input_tokens_details"]["cached_tokens"] == cached


@pytest.mark.parametrize("told", [None, {}, {"prompt_tokens": 3}, {"prompt_tokens": None, "completion_tokens": None}])
async def test_usage_that_nobody_told_is_null_and_never_zero(told: Json | None) -> None:
    assert await used(told) is None


async def test_a_detail_that_nobody_told_is_zero_because_the_type_has_no_null() -> None:
    """In Gym's own types it stays null."""
    counts = await used(usage(3, 2))
    assert counts["input_tokens_details"]["cached_tokens"] == 0
    assert counts["output_tokens_details"]["reasoning_tokens"] == 0


async def test_the_total_of_the_host_is_kept() -> None:
    assert (await used({**usage(3, 2), "total_tokens": 9}))["total_tokens"] == 9


# Token ids ----------------------------------------------------------------------------------------------------------

TOKENS = frozenset({"prompt_token_ids", "generation_token_ids", "generation_log_probs", "routed_experts"})
BUNDLE: Json = {"prompt_token_ids": [1, 2], "generation_token_ids": [3, 4], "generation_log_probs": [-3.0, -4.0]}


def without_tokens(data: Any) -> Any:
    """The same without what OpenAI's types do not know."""
    if isinstance(data, dict):
        return {key: without_tokens(value) for key, value in data.items() if key not in TOKENS}
    return [without_tokens(value) for value in data] if isinstance(data, list) else data


class Tokenizing:
    """A host with vLLM's tokenize route: it answers what it is given, and keeps what it was asked."""

    def __init__(self, host: ScriptedHost, answer: Any, status: int = 200, path: str = "/tokenize") -> None:
        self.host = host
        self.answer = answer
        self.status = status
        self.path = path
        self.asked: list[Json] = []
        self.headers: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != self.path:
            await self.host(scope, receive, send)
            return
        assert scope["method"] == "POST"
        self.asked.append(json.loads(await read_body(receive)))
        self.headers.append(dict(scope["headers"]))
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Hold):
            await receive()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(self.answer).encode()})


def token_frame(text: str | None, *ids: int, as_text: bool = False, told: bool = True, **fields: Any) -> bytes:
    """A chunk as vLLM sends it with `return_token_ids`, or with `return_tokens_as_token_ids` only."""
    entries = [{"token": f"token_id:{id}" if as_text else f"<{id}>", "logprob": -float(id)} for id in ids]
    choice: Json = {
        "index": 0,
        "delta": {} if text is None else {"content": text},
        "logprobs": {"content": entries} if entries else None,
        "finish_reason": fields.pop("finish_reason", None),
        "token_ids": list(ids) if ids and told else None,
    }
    return frame({"choices": [choice], **fields})


def vllm_answer(**how: Any) -> list[Step]:
    """Two tokens of text, and the one that ends it."""
    prompt: Json = {"prompt_token_ids": [1, 2]} if how.get("told", True) else {}
    return [
        token_frame("", **prompt),
        token_frame("Ye", 3, **how),
        token_frame("s", 4, **how),
        token_frame(None, 5, finish_reason="stop", **how),
        chunk(usage=usage(2, 3)),
        DONE,
    ]


async def trained(
    host: ScriptedHost | Tokenizing, *, stream: bool = False, settings: Json | None = None, **fields: Any
) -> Json:
    """The response with its tokens; without them it is an ordinary one."""
    fields = {"return_token_ids": True, **fields}
    reply = await ask(ResponsesShim(host, **(settings or {})), stream=stream, **fields)
    assert reply.status == 200, reply.body
    if not stream:
        check_response(without_tokens(reply.json))
        response: Json = reply.json
        return response
    events = payloads(reply.events)
    check_stream(without_tokens(events))
    response = events[-1]["response"]
    return response


async def contradicted(*steps: Step) -> Json:
    reply: Reply = await ask(ResponsesShim(ScriptedHost(steps)), return_token_ids=True)
    assert reply.status == 502
    check_error(reply.json)
    error: Json = reply.json["error"]
    assert error["code"] == "token_ids_inconsistent"
    return error


def tokens_of(item: Json) -> Json:
    return {key: value for key, value in item.items() if key in TOKENS}


async def test_the_host_is_asked_for_everything_that_tells_a_token() -> None:
    host = ScriptedHost(vllm_answer())
    await trained(host)
    chat = host.requests[0]
    assert (chat["logprobs"], chat["top_logprobs"]) == (True, 0)
    assert chat["return_token_ids"] is True
    assert chat["return_tokens_as_token_ids"] is True
    assert "n" not in chat


async def test_the_setting_asks_for_every_request_that_does_not_say() -> None:
    settings = {"return_token_ids": True}
    response = await trained(ScriptedHost(vllm_answer()), settings=settings, return_token_ids=None)
    assert tokens_of(response["output"][-1])["prompt_token_ids"] == [1, 2]
    response = await trained(ScriptedHost(text_answer("Yes")), settings=settings, return_token_ids=False)
    assert not tokens_of(response["output"][-1])


@both_ways
async def test_a_bundle_on_the_message_is_the_first_source(stream: bool) -> None:
    said = {"role": "assistant", "content": "Yes", **BUNDLE, "routed_experts": [[[0, 1]]]}
    host = Tokenizing(
        ScriptedHost([JsonAnswer(200, {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})]),
        {"tokens": [9]},
    )
    response = await trained(host, stream=stream)
    assert tokens_of(response["output"][-1]) == BUNDLE | {"routed_experts": [[[0, 1]]]}
    assert host.asked == []


@both_ways
async def test_ids_of_prompt_and_choice_are_the_second(stream: bool) -> None:
    host = Tokenizing(ScriptedHost(vllm_answer()), {"tokens": [9]})
    response = await trained(host, stream=stream)
    assert tokens_of(response["output"][-1]) == {
        "prompt_token_ids": [1, 2],
        "generation_token_ids": [3, 4, 5],
        "generation_log_probs": [-3.0, -4.0, -5.0],
    }
    assert host.asked == []


@both_ways
async def test_log_probabilities_and_the_tokenize_route_are_the_third(stream: bool) -> None:
    host = Tokenizing(ScriptedHost(vllm_answer(as_text=True, told=False)), {"tokens": [1, 2], "count": 2})
    fields: Json = {"tools": [FUNCTION], "instructions": "Be brief.", "reasoning": {"effort": "low"}, "temperature": 1}
    response = await trained(host, stream=stream, **fields)
    assert tokens_of(response["output"][-1]) == {
        "prompt_token_ids": [1, 2],
        "generation_token_ids": [3, 4, 5],
        "generation_log_probs": [-3.0, -4.0, -5.0],
    }
    chat = host.host.requests[0]
    assert host.asked == [
        {
            **{name: chat[name] for name in ("model", "messages", "tools")},
            "chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "low"},
        }
    ]


async def test_the_tokenize_route_is_asked_as_the_client_and_below_the_same_root() -> None:
    host = Tokenizing(ScriptedHost(vllm_answer(as_text=True, told=False)), {"tokens": [1, 2]}, path="/llm/tokenize")
    body = {"model": "scripted", "input": "Hi", "return_token_ids": True}
    headers = {"Authorization": "Bearer key", "X-Request-Id": "mine"}
    async with call(ResponsesShim(host), "POST", "/v1/responses", json=body, headers=headers, root_path="/llm") as one:
        assert await one.start() == 200
    asked, chat = host.headers[0], host.host.headers[0]
    assert asked[b"authorization"] == b"Bearer key"
    assert (asked[b"accept"], asked[b"content-type"]) == (b"application/json", b"application/json")
    assert asked[b"x-request-id"].decode() not in ("mine", chat["x-request-id"])


async def test_the_tokenize_route_is_asked_about_the_side_channel_too() -> None:
    host = Tokenizing(ScriptedHost(vllm_answer(as_text=True, told=False)), {"tokens": [1, 2]})
    metadata = {
        "chat_template_kwargs": '{"enable_thinking": false}',
        "extra_body": '{"mm_processor_kwargs": {"x": 1}, "top_k": 5}',
        "audio_data": SOUND,
    }
    await trained(host, settings=GYM, metadata=metadata)
    assert host.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert host.asked[0]["mm_processor_kwargs"] == {"x": 1}
    assert host.asked[0]["messages"] == host.host.requests[0]["messages"]
    assert "top_k" not in host.asked[0]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"detail": "Not Found"}, 404),
        ({"tokens": []}, 200),
        ({"tokens": ["1"]}, 200),
        ({"count": 2}, 200),
        (RuntimeError("no"), 200),
        ({"tokens": [1, 2, 3]}, 200),
    ],
    ids=["no route", "empty", "no ids", "no tokens", "raises", "not those of the usage"],
)
async def test_a_prompt_that_cannot_be_told_for_certain_is_an_error(told: Any, status: int) -> None:
    """Gym trusts the route; here a number of tokens that is not the usage's is a contradiction as well."""
    host = Tokenizing(ScriptedHost(vllm_answer(as_text=True, told=False)), told, status)
    reply = await ask(ResponsesShim(host), return_token_ids=True)
    assert reply.status == 502
    assert reply.json["error"]["code"] == "token_ids_inconsistent"
    assert len(host.asked) == 1


async def test_a_tokenize_route_that_does_not_answer_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "GRACE", 0.01)
    host = Tokenizing(ScriptedHost(vllm_answer(as_text=True, told=False)), Hold())
    reply = await ask(ResponsesShim(host), return_token_ids=True)
    assert reply.json["error"]["code"] == "token_ids_inconsistent"


async def test_llama_cpp_pythons_own_tokenize_route_is_not_asked() -> None:
    """It has no token ids at all: the wish is reported as dropped."""
    host = Tokenizing(ScriptedHost(), {"tokens": [1]})
    reply = await ask(ResponsesShim(host, host="llama-cpp"), return_token_ids=True)
    assert reply.headers["responses-shim-report"] == 'dropped=("return_token_ids")'
    assert host.asked == []


@pytest.mark.parametrize(
    "steps",
    [
        [token_frame("Yes", 3, prompt_token_ids=[1]), token_frame(None, prompt_token_ids=[2], finish_reason="stop")],
        [
            frame(
                {"choices": [{"delta": {"content": "Yes", **BUNDLE}, "finish_reason": "stop"}], "prompt_token_ids": [1]}
            )
        ],
        [frame({"choices": [{"delta": {"content": "Yes", "generation_token_ids": [3]}, "finish_reason": "stop"}]})],
        [token_frame("Yes", prompt_token_ids=[1]), frame({"choices": [{"token_ids": [3], "finish_reason": "stop"}]})],
        [token_frame("Yes", 3, told=False, prompt_token_ids=[1], finish_reason="stop")],
    ],
    ids=["two prompts", "two prompts, one in a bundle", "half a bundle", "no log-probabilities", "no ids"],
)
async def test_sources_that_contradict_one_another_or_tell_half_are_errors(steps: list[Step]) -> None:
    await contradicted(*steps, DONE)


async def test_ids_without_a_prompt_are_not_half_told() -> None:
    """Gym refuses them; but the tokenize route, which it trusts without them, is as good with them."""
    host = Tokenizing(ScriptedHost([*vllm_answer()[1:]]), {"tokens": [1, 2]})
    assert tokens_of((await trained(host))["output"][-1])["prompt_token_ids"] == [1, 2]


@both_ways
async def test_the_tokens_stand_on_the_last_item_whatever_it_is(stream: bool) -> None:
    steps = [
        token_frame("<think>So.</think>Yes", 3, prompt_token_ids=[1]),
        frame(
            {
                "choices": [
                    {
                        "delta": {"tool_calls": [tool_call(0, "call_1", "f", "{}")]},
                        "token_ids": [4],
                        "logprobs": {"content": [{"token": "x", "logprob": -4.0}]},
                        "finish_reason": "tool_calls",
                    }
                ]
            }
        ),
        DONE,
    ]
    response = await trained(ScriptedHost(steps), stream=stream, tools=[FUNCTION])
    assert [bool(tokens_of(item)) for item in response["output"]] == [False, False, True]
    assert tokens_of(response["output"][-1])["generation_token_ids"] == [3, 4]


@both_ways
async def test_an_answer_of_which_nothing_is_seen_has_tokens_too(stream: bool) -> None:
    steps = [token_frame("", prompt_token_ids=[1]), token_frame(None, 5, finish_reason="stop"), DONE]
    for settings in ({}, GYM):
        (message,) = (await trained(ScriptedHost(steps), stream=stream, settings=settings))["output"]
        assert message["type"] == "message"
        assert tokens_of(message)["generation_token_ids"] == [5]


async def test_the_deltas_of_a_stream_carry_their_tokens() -> None:
    """Gym does not stream."""
    reply = await ask(ResponsesShim(ScriptedHost(vllm_answer())), stream=True, return_token_ids=True)
    deltas = [event for event in payloads(reply.events) if event["type"] == "response.output_text.delta"]
    assert [delta["generation_token_ids"] for delta in deltas] == [[3], [4]]
    assert [delta["generation_log_probs"] for delta in deltas] == [[-3.0], [-4.0]]


async def test_an_empty_answer_without_a_token_has_its_message_all_the_same() -> None:
    steps = [token_frame("", prompt_token_ids=[1]), token_frame(None, finish_reason="stop"), DONE]
    (message,) = (await trained(ScriptedHost(steps), settings=GYM))["output"]
    assert text_of_item(message) == ""
    assert tokens_of(message) == {
        "prompt_token_ids": [1],
        "generation_token_ids": [],
        "generation_log_probs": [],
    }


# Replay -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "fields"),
    [(GYM, {}), ({"return_token_ids": True}, {}), ({}, {"return_token_ids": True})],
    ids=["nemo_gym", "setting", "request"],
)
async def test_the_tokens_of_past_turns_go_back_on_their_merged_message(settings: Json, fields: Json) -> None:
    first = await trained(ScriptedHost(vllm_answer()), settings=settings)
    host = ScriptedHost(vllm_answer())
    await trained(host, settings=settings, input=[user("Hi"), *first["output"], user("And?")], **fields)
    question, answered, again = host.requests[0]["messages"]
    assert tokens_of(answered) == tokens_of(first["output"][-1])
    assert not tokens_of(question)
    assert not tokens_of(again), "a bundle belongs to one message"


async def test_the_tokens_of_past_turns_stay_here_where_nobody_wants_them() -> None:
    items = [user("Hi"), said("Yes", **BUNDLE), user("And?")]
    assert not tokens_of((await chat_of(settings={}, input=items))["messages"][1])


@pytest.mark.parametrize("name", BUNDLE)
async def test_half_a_bundle_is_refused_by_name(name: str) -> None:
    partial = {key: value for key, value in BUNDLE.items() if key != name}
    error = await refusal_of(ResponsesShim(ScriptedHost(), **GYM), input=[user("Hi"), said("Yes", **partial)])
    assert error["param"] == f"input[1].{name}"


# Round trips --------------------------------------------------------------------------------------------------------

SPACE = st.text(" \n\t\r ", max_size=4)
WORD = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="<>"), min_size=1, max_size=8)
SPACED = st.builds(lambda *parts: "".join(parts), SPACE, WORD.filter(str.strip), SPACE)


@given(thinking=SPACED, text=SPACED, cuts=st.lists(st.integers(0, 60), max_size=4))
def test_what_the_model_wrote_comes_back_to_it_byte_for_byte(thinking: str, text: str, cuts: list[int]) -> None:
    """White space in every place, for a template that renders what it is given."""
    written = f"<think>{thinking}</think>{text}"
    places = [0, *sorted(cut for cut in cuts if cut < len(written)), len(written)]
    pieces = [written[start:end] for start, end in pairwise(places)]
    steps = [*[chunk(piece) for piece in pieces], chunk(finish_reason="stop"), DONE]
    response = play(steps, filters=lambda: [ThinkTagFilter("anywhere")]).response
    (message,) = messages_for(*response["output"], options=TranslationOptions(reasoning="think"))
    assert message["content"] == written
    (message,) = messages_for(*response["output"])
    assert (message["reasoning"], message["content"]) == (thinking, text)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("\n<think>a</think>b", "<think>a</think>b"),
        ("<think>\n\n</think>\n\nb", "\n\nb"),
        ("<think>a</think><think>b</think>c", "<think>ab</think>c"),
        ("<think>a</think>\n", "<think>a</think>"),
        ("<think>a", "<think>a</think>"),
    ],
    ids=["space before a span", "an empty span", "two spans in a row", "space at the end", "a span without an end"],
)
def test_where_it_does_not_the_tokens_still_do(written: str, kept: str) -> None:
    """Gym keeps these too, since it takes the text apart with one expression when all of it is there. For training
    it makes no difference: what goes back to the host is the tokens of the turn."""
    response = play(
        [chunk(written), chunk(finish_reason="stop"), DONE], filters=lambda: [ThinkTagFilter("anywhere")]
    ).response
    (message,) = messages_for(*response["output"], options=TranslationOptions(reasoning="think"))
    assert message["content"] == kept
