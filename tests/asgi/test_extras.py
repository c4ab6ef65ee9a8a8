"""What a client may ask for besides the answer: sealed reasoning, obfuscation, token ids; and think tags."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from openai import OpenAI

from responses_shim import ResponsesShim
from responses_shim.asgi.answer import random_text
from tests.caller import Reply, payloads, post
from tests.oracle import check_response, check_stream
from tests.scripted import DONE, Script, ScriptedHost, Step, call, chunk, frame, text_answer
from tests.serving import serving

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
QUESTION = {"role": "user", "content": "Which?"}
REQUEST = {"model": "scripted", "input": [QUESTION], "store": False}
SEALED = "reasoning.encrypted_content"
FINISH = chunk(finish_reason="stop")
THOUGHT = 'Hm.\n é😀 \u2028 "</think>" \\ \x01\t'
THINKS: list[Step] = [chunk(reasoning=THOUGHT[:5]), chunk(reasoning=THOUGHT[5:]), *text_answer("Paris.")]
OLD, NEW = "an-old-key-0123456789", "a-new-key-9876543210"
TOKENS = ("prompt_token_ids", "generation_token_ids", "generation_log_probs")

streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])


async def ask(
    app: ResponsesShim, *, key: str | None = "alice", stream: bool = True, **fields: Any
) -> tuple[Json, list[Json], Reply]:
    """The response, its events if it was streamed, and the reply; all of it valid."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    reply = await post(app, "/v1/responses", {**REQUEST, "stream": stream, **fields}, headers=headers)
    assert reply.status == 200, reply.body
    events = payloads(reply.events) if stream else []
    if stream:
        check_stream(events)
    response: Json = events[-1]["response"] if stream else reply.json
    check_response(response)
    return response, events, reply


async def answer(*steps: Step, settings: Json | None = None, **fields: Any) -> tuple[Json, list[Json]]:
    """The response and its events when the host takes these steps."""
    response, events, _ = await ask(ResponsesShim(ScriptedHost(steps), **(settings or {})), **fields)
    return response, events


def of_type(events: Sequence[Json], kind: str) -> list[Json]:
    return [event for event in events if event["type"] == f"response.{kind}"]


def report_of(reply: Reply) -> str:
    return str(reply.headers.get("responses-shim-report", ""))


# Sealed reasoning ----------------------------------------------------------------------------------------------------


@streaming
@pytest.mark.parametrize("summary", ["auto", None], ids=["summary", "raw"])
async def test_the_host_gets_sealed_reasoning_back_unchanged(stream: bool, summary: str | None) -> None:
    host = ScriptedHost(THINKS, text_answer("Well."))
    app = ResponsesShim(host)
    fields: Json = {"include": [SEALED], "reasoning": {"summary": summary}, "stream": stream}
    made, events, _ = await ask(app, **fields)
    reasoning, message = made["output"]
    assert [part["text"] for part in reasoning["summary"] + reasoning["content"]] == [THOUGHT]
    if stream:
        (added, _), (done, _) = of_type(events, "output_item.added"), of_type(events, "output_item.done")
        assert "encrypted_content" not in added["item"]
        assert done["item"] == reasoning
    kept = {"type": "reasoning", "summary": [], "encrypted_content": reasoning["encrypted_content"]}
    _, _, reply = await ask(app, input=[QUESTION, kept, message, QUESTION], **fields)
    assert host.requests[1]["messages"][1] == {
        "role": "assistant",
        "content": "Paris.",
        "reasoning": THOUGHT,
        "reasoning_content": THOUGHT,
    }
    assert "encrypted_content" not in report_of(reply)


@pytest.mark.parametrize("other", ["bob", None], ids=["another key", "no key"])
async def test_sealed_reasoning_of_another_owner_is_left_out_and_reported(other: str | None) -> None:
    host = ScriptedHost(THINKS, text_answer("Well."))
    app = ResponsesShim(host)
    made, _, _ = await ask(app, include=[SEALED])
    kept = {"type": "reasoning", "summary": [], "encrypted_content": made["output"][0]["encrypted_content"]}
    _, _, reply = await ask(app, key=other, input=[QUESTION, kept, made["output"][1], QUESTION])
    assert report_of(reply) == 'dropped=("input[1].encrypted_content")'
    assert host.requests[1]["messages"][1] == {"role": "assistant", "content": "Paris."}


async def test_sealed_reasoning_opens_as_long_as_its_key_is_listed() -> None:
    """The first key seals, every key opens; what a key has sealed that is gone is left out."""
    before = ResponsesShim(ScriptedHost(THINKS), secret_keys=[OLD])
    made, _, _ = await ask(before, include=[SEALED])
    kept = {"type": "reasoning", "summary": [], "encrypted_content": made["output"][0]["encrypted_content"]}
    for keys, opens in (([OLD], True), ([NEW, OLD], True), ([NEW], False), ([], False)):
        host = ScriptedHost(text_answer("Well."))
        _, _, reply = await ask(ResponsesShim(host, secret_keys=keys), input=[QUESTION, kept, QUESTION])
        assert (THOUGHT in [message.get("reasoning") for message in host.requests[0]["messages"]]) == opens
        assert ("encrypted_content" in report_of(reply)) != opens


async def test_after_a_rotation_the_new_key_seals() -> None:
    made, _, _ = await ask(ResponsesShim(ScriptedHost(THINKS), secret_keys=[NEW, OLD]), include=[SEALED])
    kept = {"type": "reasoning", "summary": [], "encrypted_content": made["output"][0]["encrypted_content"]}
    host = ScriptedHost(text_answer("Well."))
    await ask(ResponsesShim(host, secret_keys=[NEW]), input=[QUESTION, kept, QUESTION])
    assert host.requests[0]["messages"][1]["reasoning"] == THOUGHT


@streaming
async def test_without_the_library_nothing_is_sealed_and_that_is_reported(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    include = ["message.output_text.logprobs", SEALED]
    made, _, reply = await ask(ResponsesShim(ScriptedHost(THINKS)), include=include, stream=stream)
    assert 'dropped=("include[1]")' in report_of(reply)
    assert "encrypted_content" not in made["output"][0]


@pytest.mark.parametrize("foreign", ["gAAAAABo-of-another-service", "rs1.", "rs1.AAAAAAAA", "é", "x" * 100_000])
async def test_reasoning_that_another_service_sealed_is_left_out_and_not_refused(foreign: str) -> None:
    host = ScriptedHost()
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "In short."}]}
    response, _, reply = await ask(
        ResponsesShim(host), input=[QUESTION, item | {"encrypted_content": foreign}, QUESTION]
    )
    assert response["status"] == "completed"
    assert report_of(reply) == 'dropped=("input[1].encrypted_content")'
    assert host.requests[0]["messages"][1]["reasoning"] == "In short."


@streaming
async def test_sealed_reasoning_may_be_asked_for_where_there_is_none(stream: bool) -> None:
    made, _, reply = await ask(ResponsesShim(ScriptedHost()), include=[SEALED], stream=stream)
    assert [item["type"] for item in made["output"]] == ["message"]
    assert "encrypted_content" not in json.dumps(made)
    assert report_of(reply) == ""


@streaming
async def test_reasoning_is_not_sealed_unless_asked_for(stream: bool) -> None:
    made, events = await answer(*THINKS, stream=stream)
    assert "encrypted_content" not in json.dumps([made, events])


async def test_reasoning_between_tags_is_sealed_too() -> None:
    host = ScriptedHost([*map(chunk, ["<think>", "Hm.", "</think>", "Paris."]), FINISH, DONE], text_answer("Well."))
    app = ResponsesShim(host)
    made, _, _ = await ask(app, include=[SEALED])
    await ask(app, input=[QUESTION, {**made["output"][0], "content": []}, made["output"][1], QUESTION])
    assert host.requests[1]["messages"][1]["reasoning"] == "Hm."


# How reasoning is shown ----------------------------------------------------------------------------------------------


@streaming
@pytest.mark.parametrize(
    ("display", "nemo_gym", "asked", "shown"),
    [
        ("auto", False, None, ["content"]),
        ("auto", False, "auto", ["summary"]),
        ("auto", True, None, ["summary"]),
        ("text", False, "auto", ["content"]),
        ("summary", False, None, ["summary"]),
        ("both", False, None, ["content", "summary"]),
        ("both", False, "auto", ["content", "summary"]),
        ("both", True, None, ["content", "summary"]),
    ],
)
async def test_reasoning_is_shown_as_the_operator_has_set_it_or_as_the_client_asks(
    display: str, nemo_gym: bool, asked: str | None, shown: list[str], stream: bool
) -> None:
    settings = {"reasoning_display": display, "nemo_gym": nemo_gym}
    response, events = await answer(*THINKS, settings=settings, stream=stream, reasoning={"summary": asked})
    thought = response["output"][0]
    assert [key for key in ("content", "summary") if thought[key]] == shown
    assert {part["text"] for key in shown for part in thought[key]} == {THOUGHT}
    if stream:
        kinds = {"content": "reasoning_text.delta", "summary": "reasoning_summary_text.delta"}
        pieces = {key: [event["delta"] for event in of_type(events, kind)] for key, kind in kinds.items()}
        assert pieces == {key: [THOUGHT[:5], THOUGHT[5:]] if key in shown else [] for key in kinds}


@pytest.mark.parametrize("field", ["summary", "generate_summary"])
async def test_a_summary_that_is_asked_for_in_vain_is_reported(field: str) -> None:
    asked: Json = {"reasoning": {field: "auto"}}
    _, _, reply = await ask(ResponsesShim(ScriptedHost(THINKS), reasoning_display="text"), **asked)
    assert report_of(reply) == f'dropped=("reasoning.{field}")'
    _, _, reply = await ask(ResponsesShim(ScriptedHost(THINKS), reasoning_display="both"), **asked)
    assert report_of(reply) == ""


async def test_reasoning_that_was_shown_as_both_comes_back_once() -> None:
    host = ScriptedHost(THINKS, text_answer("Well."))
    app = ResponsesShim(host, reasoning_display="both")
    response, _, _ = await ask(app)
    await ask(app, input=[QUESTION, *response["output"], QUESTION])
    assert [message.get("reasoning") for message in host.requests[1]["messages"]] == [None, THOUGHT, None]


# Obfuscation ---------------------------------------------------------------------------------------------------------

TOOLS: list[Json] = [
    {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
    {"type": "custom", "name": "patch"},
]
EVERYTHING: list[Step] = [
    chunk(reasoning="Let me see."),
    chunk("Hello"),
    chunk(' "world"\n'),
    chunk(refusal="No."),
    chunk(tool_calls=[call(0, "a", "f", '{"x":')]),
    chunk(tool_calls=[call(0, arguments="1}"), call(1, "b", "patch", '{"input": "*** ')]),
    chunk(tool_calls=[call(1, arguments='Begin"}')]),
    FINISH,
    DONE,
]


def deltas(events: Sequence[Json]) -> list[Json]:
    return [event for event in events if event["type"].endswith(".delta")]


@pytest.mark.parametrize("summary", ["auto", None], ids=["summary", "raw"])
async def test_each_delta_is_padded_with_random_digits_if_asked_for(summary: str | None) -> None:
    fields: Json = {"tools": TOOLS, "reasoning": {"summary": summary}}
    _, events = await answer(*EVERYTHING, stream_options={"include_obfuscation": True}, **fields)
    kinds = {"reasoning_summary_text" if summary else "reasoning_text", "output_text", "refusal"}
    kinds |= {"function_call_arguments", "custom_tool_call_input"}
    assert {event["type"] for event in deltas(events)} == {f"response.{kind}.delta" for kind in kinds}
    for event in deltas(events):
        size = len(json.dumps(event["delta"], ensure_ascii=False).encode()) + len(event["obfuscation"])
        assert size % 16 == 0
        assert re.fullmatch(r"[0-9a-f]{1,16}", event["obfuscation"])


async def test_obfuscation_differs_from_response_to_response() -> None:
    answers = [await answer(*EVERYTHING, tools=TOOLS, stream_options={"include_obfuscation": True}) for _ in range(2)]
    first, second = ([event["obfuscation"] for event in deltas(events)] for _, events in answers)
    assert first != second


@pytest.mark.parametrize("options", [None, {}, {"include_obfuscation": False}, {"include_obfuscation": None}])
async def test_there_is_no_obfuscation_unless_asked_for(options: Json | None) -> None:
    _, events = await answer(*EVERYTHING, tools=TOOLS, stream_options=options)
    assert not any("obfuscation" in event for event in events)


@pytest.mark.parametrize("size", range(17))
def test_noise_is_as_long_as_it_should_be(size: int) -> None:
    assert re.fullmatch(rf"[0-9a-f]{{{size}}}", random_text(size))


# Token ids -----------------------------------------------------------------------------------------------------------


def token(id: int, *, finish: str | None = None, **delta: Any) -> bytes:
    entries = [{"token": f"<{id}>", "logprob": -float(id), "bytes": None, "top_logprobs": []}]
    choice: Json = {"index": 0, "delta": delta, "finish_reason": finish, "token_ids": [id]}
    return frame({"choices": [choice | {"logprobs": {"content": entries}}]})


PROMPT = frame({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}], "prompt_token_ids": [1, 2]})
TOKENISED: list[Step] = [PROMPT, token(3, reasoning="Hm."), token(4), token(5, content="Hi"), token(6, finish="stop")]


@streaming
async def test_the_host_is_asked_for_token_ids_and_the_last_item_has_them(stream: bool) -> None:
    host = ScriptedHost(TOKENISED)
    made, events, _ = await ask(ResponsesShim(host), return_token_ids=True, stream=stream)
    assert host.requests[0]["return_token_ids"] is True
    assert host.requests[0]["logprobs"] is True
    reasoning, message = made["output"]
    assert not set(TOKENS) & set(reasoning)
    assert [message[key] for key in TOKENS] == [[1, 2], [3, 4, 5, 6], [-3.0, -4.0, -5.0, -6.0]]
    if stream:
        assert [event["generation_token_ids"] for event in deltas(events)] == [[3], [4, 5]]
        assert [event["generation_log_probs"] for event in deltas(events)] == [[-3.0], [-4.0, -5.0]]
    assert message["content"][0]["logprobs"] == []


@streaming
async def test_token_ids_are_not_shown_unless_asked_for(stream: bool) -> None:
    host = ScriptedHost(TOKENISED)
    made, events, _ = await ask(ResponsesShim(host), stream=stream)
    assert "return_token_ids" not in host.requests[0]
    assert not any(key in json.dumps([made, events]) for key in TOKENS)


async def test_an_item_that_is_sent_back_gives_the_host_its_token_ids_back() -> None:
    host = ScriptedHost(TOKENISED)
    app = ResponsesShim(host)
    made, _, _ = await ask(app, return_token_ids=True)
    await ask(app, return_token_ids=True, input=[QUESTION, *made["output"], QUESTION])
    message = host.requests[1]["messages"][1]
    assert [message[key] for key in TOKENS] == [made["output"][1][key] for key in TOKENS]


# All options at once -------------------------------------------------------------------------------------------------

SOURCE = {"url": "u", "title": "t", "start_index": 0, "end_index": 2}
ALL_AT_ONCE: list[Step] = [
    PROMPT,
    token(3, content="<th"),
    token(4, content="ink>"),
    token(5, content="Hm."),
    token(6, content="</think>"),
    token(7, content="Hi"),
    token(8, content=" there", annotations=[{"type": "url_citation", "url_citation": SOURCE}]),
    token(9, tool_calls=[call(0, "a", "f", "{"), call(1, "b", "f", "[]")]),
    token(10, tool_calls=[call(0, arguments="}")], finish="tool_calls"),
    DONE,
]
ALL: Json = {
    "include": [SEALED, "message.output_text.logprobs"],
    "reasoning": {"summary": "detailed"},
    "stream_options": {"include_obfuscation": True},
    "return_token_ids": True,
    "parallel_tool_calls": False,
    "tools": TOOLS[:1],
}


def comparable(response: Json) -> Json:
    """What two responses to the same answer of a host have in common: all but ids, times and what is sealed."""
    text = re.sub(r'"(resp|msg|rs|fc)_[0-9a-f]{32}"', '"an id"', json.dumps(response))
    text = re.sub(r'"(created_at|completed_at)": \d+', r'"\1": 0', text)
    same: Json = json.loads(re.sub(r'"encrypted_content": "rs1\.[^"]+"', '"encrypted_content": "sealed"', text))
    return same


@streaming
async def test_all_options_work_together(stream: bool) -> None:
    made, events = await answer(*ALL_AT_ONCE, stream=stream, **ALL)
    reasoning, message, function_call = made["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert reasoning["encrypted_content"].startswith("rs1.")
    (part,) = message["content"]
    assert part["text"] == "Hi there"
    assert part["annotations"] == [{"type": "url_citation", **SOURCE}]
    assert [entry["token"] for entry in part["logprobs"]] == ["<7>", "<8>"]
    assert (function_call["call_id"], function_call["arguments"]) == ("a", "{}")
    assert function_call["generation_token_ids"] == [3, 4, 5, 6, 7, 8, 9, 10]
    if stream:
        assert [event["generation_token_ids"] for event in deltas(events)] == [[3, 4, 5], [6, 7], [8], [9], [10]]
        assert all("obfuscation" in event for event in deltas(events))
        assert part["logprobs"] == of_type(events, "output_text.done")[0]["logprobs"]


async def test_the_response_is_the_same_whether_it_is_streamed_or_not() -> None:
    (streamed, _), (unstreamed, _) = [await answer(*ALL_AT_ONCE, stream=stream, **ALL) for stream in (True, False)]
    assert comparable(streamed) == comparable(unstreamed)


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_the_response_is_the_same_however_the_hosts_bytes_are_cut(size: int) -> None:
    data = b"".join(step for step in ALL_AT_ONCE if isinstance(step, bytes))
    cut = [data[start : start + size] for start in range(0, len(data), size)]
    (uncut, _), (pieces, _) = [await answer(*steps, **ALL) for steps in (ALL_AT_ONCE, cut)]
    assert comparable(pieces) == comparable(uncut)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("leading", [("reasoning", "Hm."), ("message", "Hi <think>no</think>.")]),
        ("anywhere", [("reasoning", "Hm."), ("message", "Hi "), ("reasoning", "no"), ("message", ".")]),
        ("prefilled", [("reasoning", "<think>Hm."), ("message", "Hi <think>no</think>.")]),
        ("off", [("message", "<think>Hm.</think>Hi <think>no</think>.")]),
    ],
)
async def test_the_setting_think_tags_decides_which_tags_count(tags: str, expected: list[tuple[str, str]]) -> None:
    pieces = ["<think>Hm", ".</th", "ink>Hi <thi", "nk>no</think", ">", "."]
    steps: list[Step] = [*map(chunk, pieces), FINISH, DONE]
    responses = [(await answer(*steps, settings={"think_tags": tags}, stream=stream))[0] for stream in (True, False)]
    for response in responses:
        texts = [(item["type"], "".join(part["text"] for part in item["content"])) for item in response["output"]]
        assert texts == expected
    assert comparable(responses[0]) == comparable(responses[1])


# Over a real server, with the SDK ------------------------------------------------------------------------------------


@pytest.fixture
def served() -> Iterator[tuple[str, ScriptedHost]]:
    scripts: list[Script] = [ALL_AT_ONCE, text_answer("Well.")]
    host = ScriptedHost(*scripts)
    with serving(ResponsesShim(host, secret_keys=[NEW])) as url:
        yield f"{url}/v1", host


def client_of(url: str, key: str) -> OpenAI:
    return OpenAI(base_url=url, api_key=key, max_retries=0, timeout=20)


def test_the_sdk_reads_a_response_with_all_options(served: tuple[str, ScriptedHost]) -> None:
    url, host = served
    fields: Any = REQUEST | {name: value for name, value in ALL.items() if name != "return_token_ids"}
    with client_of(url, "alice") as client:
        with client.responses.create(**fields, stream=True, extra_body={"return_token_ids": True}) as stream:
            events = list(stream)
        final = events[-1]
        assert final.type == "response.completed"
        assert final.response.output_text == "Hi there"
        summaries = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
        assert summaries == ["Hm."]
        assert final.response.output[-1].to_dict()["generation_token_ids"] == [3, 4, 5, 6, 7, 8, 9, 10]
        kept = [item.to_dict() for item in final.response.output]
        kept[0]["summary"] = []
        again: Any = REQUEST | {"input": [QUESTION, *kept, {"type": "function_call_output", "output": "1"}]}
        client.responses.create(**again)
    assert host.requests[1]["messages"][1]["reasoning"] == "Hm."
    with client_of(url, "bob") as other:
        raw = other.responses.with_raw_response.create(**again)
    unread = ["input[1].encrypted_content", *(f"input[3].{name}" for name in TOKENS)]
    assert raw.headers["responses-shim-report"] == f"dropped=({' '.join(json.dumps(path) for path in unread)})"
    assert "reasoning" not in host.requests[2]["messages"][1]


def test_the_sdk_reads_an_answer_with_an_annotation_of_an_unknown_type() -> None:
    """Which is left out: none of its types would be one for it."""
    annotations = [{"type": "video_citation", "at": 7}, {"type": "file_path", "file_id": "f", "index": 1}]
    cited = frame({"choices": [{"index": 0, "delta": {"content": "Hi", "annotations": annotations}}]})
    with serving(ResponsesShim(ScriptedHost([cited, FINISH, DONE]))) as url, client_of(f"{url}/v1", "alice") as client:
        fields: Any = REQUEST
        with client.responses.create(**fields, stream=True) as stream:
            events: list[Any] = list(stream)
    added = [event.annotation.type for event in events if event.type == "response.output_text.annotation.added"]
    final = events[-1].response
    assert added == ["file_path"]
    assert final.output_text == "Hi"
    assert [annotation.type for annotation in final.output[0].content[0].annotations] == ["file_path"]
