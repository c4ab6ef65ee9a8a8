"""Token ids for training: where they come from, on which item they are, and how they go back to the host."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim import ResponsesShim
from responses_shim.runtime import run as runs
from tests.caller import call, payloads
from tests.conformance.asking import Json, ask, refusal_of, streaming
from tests.conformance.nemo_gym.gym import (
    AUDIO,
    FUNCTION,
    GYM,
    TOKEN_FIELDS,
    TOKENS,
    TokenizingHost,
    assistant,
    chat_of,
    text_of_item,
    user,
)
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import DONE, Hold, ScriptedHost, Step, chunk, frame, text_answer, usage
from tests.scripted import Json as JsonAnswer
from tests.scripted import call as tool_call

pytestmark = pytest.mark.anyio


# Where the token ids come from ---------------------------------------------------------------------------------------


def without_tokens(data: Any) -> Any:
    """The same without the keys of token ids, which OpenAI's types lack."""
    if isinstance(data, dict):
        return {key: without_tokens(value) for key, value in data.items() if key not in TOKEN_FIELDS}
    return [without_tokens(value) for value in data] if isinstance(data, list) else data


def token_frame(text: str | None, *ids: int, as_text: bool = False, with_ids: bool = True, **fields: Any) -> bytes:
    """A chunk as vLLM sends it with `return_token_ids`; with `as_text` as with `return_tokens_as_token_ids`."""
    entries = [{"token": f"token_id:{id}" if as_text else f"<{id}>", "logprob": -float(id)} for id in ids]
    choice: Json = {
        "index": 0,
        "delta": {} if text is None else {"content": text},
        "logprobs": {"content": entries} if entries else None,
        "finish_reason": fields.pop("finish_reason", None),
        "token_ids": list(ids) if ids and with_ids else None,
    }
    return frame({"choices": [choice], **fields})


def vllm_answer(**options: Any) -> list[Step]:
    """An answer of two tokens, and the one that ends it."""
    prompt: Json = {"prompt_token_ids": [1, 2]} if options.get("with_ids", True) else {}
    return [
        token_frame("", **prompt),
        token_frame("Ye", 3, **options),
        token_frame("s", 4, **options),
        token_frame(None, 5, finish_reason="stop", **options),
        chunk(usage=usage(2, 3)),
        DONE,
    ]


async def response_with_tokens(
    host: ScriptedHost | TokenizingHost, *, stream: bool = False, settings: Json | None = None, **fields: Any
) -> Json:
    """The response to a request for token ids. Without these it is valid."""
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


def tokens_of(item: Json) -> Json:
    return {key: value for key, value in item.items() if key in TOKEN_FIELDS}


async def test_the_host_is_asked_for_token_ids_in_every_way() -> None:
    host = ScriptedHost(vllm_answer())
    await response_with_tokens(host)
    chat = host.requests[0]
    assert (chat["logprobs"], chat["top_logprobs"]) == (True, 0)
    assert chat["return_token_ids"] is True
    assert chat["return_tokens_as_token_ids"] is True
    assert "n" not in chat


async def test_the_setting_asks_for_token_ids_unless_the_request_says_otherwise() -> None:
    settings = {"return_token_ids": True}
    response = await response_with_tokens(ScriptedHost(vllm_answer()), settings=settings, return_token_ids=None)
    assert tokens_of(response["output"][-1])["prompt_token_ids"] == [1, 2]
    response = await response_with_tokens(ScriptedHost(text_answer("Yes")), settings=settings, return_token_ids=False)
    assert not tokens_of(response["output"][-1])


@streaming
async def test_token_ids_on_the_message_come_first(stream: bool) -> None:
    message = {"role": "assistant", "content": "Yes", **TOKENS, "routed_experts": [[[0, 1]]]}
    host = TokenizingHost(
        ScriptedHost([JsonAnswer(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})]),
        {"tokens": [9]},
    )
    response = await response_with_tokens(host, stream=stream)
    assert tokens_of(response["output"][-1]) == TOKENS | {"routed_experts": [[[0, 1]]]}
    assert host.requests == []


@streaming
async def test_token_ids_of_the_chunk_and_the_choice_come_second(stream: bool) -> None:
    host = TokenizingHost(ScriptedHost(vllm_answer()), {"tokens": [9]})
    response = await response_with_tokens(host, stream=stream)
    assert tokens_of(response["output"][-1]) == {
        "prompt_token_ids": [1, 2],
        "generation_token_ids": [3, 4, 5],
        "generation_log_probs": [-3.0, -4.0, -5.0],
    }
    assert host.requests == []


@streaming
async def test_token_ids_in_log_probabilities_and_from_the_tokenize_route_come_third(stream: bool) -> None:
    host = TokenizingHost(ScriptedHost(vllm_answer(as_text=True, with_ids=False)), {"tokens": [1, 2], "count": 2})
    fields: Json = {"tools": [FUNCTION], "instructions": "Be brief.", "reasoning": {"effort": "low"}, "temperature": 1}
    response = await response_with_tokens(host, stream=stream, **fields)
    assert tokens_of(response["output"][-1]) == {
        "prompt_token_ids": [1, 2],
        "generation_token_ids": [3, 4, 5],
        "generation_log_probs": [-3.0, -4.0, -5.0],
    }
    chat = host.host.requests[0]
    assert host.requests == [
        {
            **{name: chat[name] for name in ("model", "messages", "tools")},
            "chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "low"},
        }
    ]


async def test_the_tokenize_route_gets_the_clients_headers_and_root_path() -> None:
    host = TokenizingHost(
        ScriptedHost(vllm_answer(as_text=True, with_ids=False)), {"tokens": [1, 2]}, path="/llm/tokenize"
    )
    body = {"model": "scripted", "input": "Hi", "return_token_ids": True}
    headers = {"Authorization": "Bearer key", "X-Request-Id": "mine"}
    async with call(ResponsesShim(host), "POST", "/v1/responses", json=body, headers=headers, root_path="/llm") as one:
        assert await one.start() == 200
    tokenize, chat = host.headers[0], host.host.headers[0]
    assert tokenize[b"authorization"] == b"Bearer key"
    assert (tokenize[b"accept"], tokenize[b"content-type"]) == (b"application/json", b"application/json")
    assert tokenize[b"x-request-id"].decode() not in ("mine", chat["x-request-id"])


async def test_the_tokenize_route_gets_what_came_in_metadata_too() -> None:
    host = TokenizingHost(ScriptedHost(vllm_answer(as_text=True, with_ids=False)), {"tokens": [1, 2]})
    metadata = {
        "chat_template_kwargs": '{"enable_thinking": false}',
        "extra_body": '{"mm_processor_kwargs": {"x": 1}, "top_k": 5}',
        "audio_data": AUDIO,
    }
    await response_with_tokens(host, settings=GYM, metadata=metadata)
    assert host.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert host.requests[0]["mm_processor_kwargs"] == {"x": 1}
    assert host.requests[0]["messages"] == host.host.requests[0]["messages"]
    assert "top_k" not in host.requests[0]


@pytest.mark.parametrize(
    ("answer", "status"),
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
async def test_a_prompt_without_certain_token_ids_is_an_error(answer: Any, status: int) -> None:
    """Gym trusts the route; here another number of tokens than that of the usage is a contradiction."""
    host = TokenizingHost(ScriptedHost(vllm_answer(as_text=True, with_ids=False)), answer, status)
    reply = await ask(ResponsesShim(host), return_token_ids=True)
    assert reply.status == 502
    assert reply.json["error"]["code"] == "token_ids_inconsistent"
    assert len(host.requests) == 1


async def test_a_tokenize_route_that_does_not_answer_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.01)
    host = TokenizingHost(ScriptedHost(vllm_answer(as_text=True, with_ids=False)), Hold())
    reply = await ask(ResponsesShim(host), return_token_ids=True)
    assert reply.json["error"]["code"] == "token_ids_inconsistent"


async def test_the_tokenize_route_of_llama_cpp_python_is_not_called() -> None:
    """Its host has no other token ids either, so the field is reported as dropped."""
    host = TokenizingHost(ScriptedHost(), {"tokens": [1]})
    reply = await ask(ResponsesShim(host, host="llama-cpp"), return_token_ids=True)
    assert reply.headers["responses-shim-report"] == 'dropped=("return_token_ids")'
    assert host.requests == []


@pytest.mark.parametrize(
    "steps",
    [
        [token_frame("Yes", 3, prompt_token_ids=[1]), token_frame(None, prompt_token_ids=[2], finish_reason="stop")],
        [
            frame(
                {"choices": [{"delta": {"content": "Yes", **TOKENS}, "finish_reason": "stop"}], "prompt_token_ids": [1]}
            )
        ],
        [frame({"choices": [{"delta": {"content": "Yes", "generation_token_ids": [3]}, "finish_reason": "stop"}]})],
        [token_frame("Yes", prompt_token_ids=[1]), frame({"choices": [{"token_ids": [3], "finish_reason": "stop"}]})],
        [token_frame("Yes", 3, with_ids=False, prompt_token_ids=[1], finish_reason="stop")],
    ],
    ids=[
        "two prompts",
        "two prompts, one on the message",
        "one field of three on the message",
        "no log-probabilities",
        "no ids",
    ],
)
async def test_contradictory_or_incomplete_token_ids_are_an_error(steps: list[Step]) -> None:
    reply = await ask(ResponsesShim(ScriptedHost([*steps, DONE])), return_token_ids=True)
    assert reply.status == 502
    check_error(reply.json)
    assert reply.json["error"]["code"] == "token_ids_inconsistent"


async def test_the_prompt_of_a_host_that_leaves_it_out_comes_from_the_tokenize_route() -> None:
    """Gym refuses such an answer; but it trusts the route where the host gives no ids at all."""
    host = TokenizingHost(ScriptedHost([*vllm_answer()[1:]]), {"tokens": [1, 2]})
    assert tokens_of((await response_with_tokens(host))["output"][-1])["prompt_token_ids"] == [1, 2]


# Which items have them -----------------------------------------------------------------------------------------------


@streaming
async def test_the_last_item_has_the_token_ids_whatever_its_type(stream: bool) -> None:
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
    response = await response_with_tokens(ScriptedHost(steps), stream=stream, tools=[FUNCTION])
    assert [bool(tokens_of(item)) for item in response["output"]] == [False, False, True]
    assert tokens_of(response["output"][-1])["generation_token_ids"] == [3, 4]


@streaming
async def test_an_answer_of_control_tokens_alone_has_a_message_with_the_token_ids(stream: bool) -> None:
    steps = [token_frame("", prompt_token_ids=[1]), token_frame(None, 5, finish_reason="stop"), DONE]
    for settings in ({}, GYM):
        (message,) = (await response_with_tokens(ScriptedHost(steps), stream=stream, settings=settings))["output"]
        assert message["type"] == "message"
        assert tokens_of(message)["generation_token_ids"] == [5]


async def test_the_deltas_of_a_stream_have_their_token_ids() -> None:
    """Gym does not stream."""
    reply = await ask(ResponsesShim(ScriptedHost(vllm_answer())), stream=True, return_token_ids=True)
    deltas = [event for event in payloads(reply.events) if event["type"] == "response.output_text.delta"]
    assert [delta["generation_token_ids"] for delta in deltas] == [[3], [4]]
    assert [delta["generation_log_probs"] for delta in deltas] == [[-3.0], [-4.0]]


async def test_an_empty_answer_without_a_token_has_a_message_with_empty_lists() -> None:
    steps = [token_frame("", prompt_token_ids=[1]), token_frame(None, finish_reason="stop"), DONE]
    (message,) = (await response_with_tokens(ScriptedHost(steps), settings=GYM))["output"]
    assert text_of_item(message) == ""
    assert tokens_of(message) == {
        "prompt_token_ids": [1],
        "generation_token_ids": [],
        "generation_log_probs": [],
    }


# Token ids of past turns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "fields"),
    [(GYM, {}), ({"return_token_ids": True}, {}), ({}, {"return_token_ids": True})],
    ids=["nemo_gym", "setting", "request"],
)
async def test_the_token_ids_of_past_turns_go_back_on_the_assistant_message(settings: Json, fields: Json) -> None:
    first = await response_with_tokens(ScriptedHost(vllm_answer()), settings=settings)
    host = ScriptedHost(vllm_answer())
    await response_with_tokens(host, settings=settings, input=[user("Hi"), *first["output"], user("And?")], **fields)
    question, message, second_question = host.requests[0]["messages"]
    assert tokens_of(message) == tokens_of(first["output"][-1])
    assert not tokens_of(question)
    assert not tokens_of(second_question)


async def test_the_token_ids_of_past_turns_are_not_sent_to_a_host_unless_wanted() -> None:
    items = [user("Hi"), assistant("Yes", **TOKENS), user("And?")]
    assert not tokens_of((await chat_of(settings={}, input=items))["messages"][1])


@pytest.mark.parametrize("name", TOKENS)
async def test_an_item_that_lacks_one_of_the_token_fields_is_refused_by_name(name: str) -> None:
    partial = {key: value for key, value in TOKENS.items() if key != name}
    error = await refusal_of(ResponsesShim(ScriptedHost(), **GYM), input=[user("Hi"), assistant("Yes", **partial)])
    assert error["param"] == f"input[1].{name}"
