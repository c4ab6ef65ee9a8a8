"""Token ids from vLLM's captured streams: they are the engine's own, on the right item and the right deltas.

Each capture contains the engine's own output, recorded before the server made an answer of it, beside that answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.core.request.tokenize import tokenize_request
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from tests.caller import payloads, post
from tests.core.driver import Json, Played, play
from tests.hosts.replay import CAPTURES, Recorded, names, recorded
from tests.oracle import check_response, check_stream

GREETING = [("reasoning", "A greeting.\n"), ("message", "\n\nHello there!")]
LOOKING = [("reasoning", "Weather."), ("message", "\n\nLet me look.\n")]
PARIS, ROME = ("function_call", '{"city": "Paris"}'), ("function_call", '{"city": "Rome"}')
TWICE = [("reasoning", "Two."), PARIS, ROME]  # the line end before the calls belongs to their markup

# The output items of each stream, and whether max_output_tokens cut it.
STREAMS: dict[str, tuple[list[tuple[str, str]], bool]] = {
    "call_merged_stream": ([*LOOKING, PARIS], False),
    "call_readable_stream": ([*LOOKING, PARIS], False),
    "call_stream": ([*LOOKING, PARIS], False),
    "calls_not_parallel_stream": (TWICE[:-1], False),
    "calls_stream": (TWICE, False),
    "cut_at_once_stream": ([("message", "")], True),
    "cut_in_arguments_stream": ([*LOOKING, ("function_call", '{"city": "Paris')], True),
    "cut_in_markup_stream": (LOOKING, True),
    "cut_in_thought_stream": ([("reasoning", "Weather")], True),
    "nothing_stream": ([("message", "")], False),
    "real_bytes_stream": ([("message", "é 😀 日")], False),
    "real_named_stream": ([("function_call", '{\n    "city": "New York"\n}')], False),
    "real_stream": ([("message", "<|im_start|>user\nWhat is the")], True),
    "thought_merged_readable_stream": (GREETING, False),
    "thought_merged_stream": (GREETING, False),
    "thought_only_stream": ([("reasoning", "Well")], False),
    "thought_readable_stream": (GREETING, False),
    "thought_stream": (GREETING, False),
    "unparsed_merged_stream": (GREETING, False),
    "unparsed_thought_readable_stream": (GREETING, False),
    "unparsed_thought_stream": (GREETING, False),
}
READABLE = [name for name in STREAMS if "readable" in name or "bytes" in name]
OTHERS = {"experts", "thought", "thought_as_text_stream"}


def test_every_capture_with_token_ids_is_listed() -> None:
    asked = [
        name for name in names("vllm") if "return_tokens_as_token_ids" in capture_of(name)["request"].get("json", ())
    ]
    assert sorted({*STREAMS, *OTHERS}) == asked


def capture_of(name: str) -> Json:
    """The capture as JSON data: `request`, `engine`, `sent`."""
    capture: Json = json.loads((CAPTURES / "vllm" / f"{name}.json").read_text())
    return capture


def tokens_of(name: str) -> Json:
    """The engine's tokens, under the names of the fields that an output item has for them."""
    engine = capture_of(name)["engine"]
    return {
        "prompt_token_ids": engine["prompt_token_ids"],
        "generation_token_ids": engine["token_ids"],
        "generation_log_probs": engine["log_probs"],
    }


def token_fields(item: Json) -> Json:
    return {key: value for key, value in item.items() if key.startswith(("prompt_token", "generation_"))}


def texts(response: Json) -> list[tuple[str, str]]:
    return [
        (item["type"], item["arguments"] if "arguments" in item else "".join(part["text"] for part in item["content"]))
        for item in response["output"]
    ]


def played(name: str, pieces: Sequence[bytes]) -> Played:
    request = capture_of(name)["request"]["json"]
    readable = name in READABLE

    def filters() -> list[Filter]:
        return [LogprobFilter(), ThinkTagFilter("leading")] if readable else [ThinkTagFilter("leading")]

    return play(
        pieces,
        options=ResponseOptions(token_ids=True, logprobs=readable),
        tools=ToolMap(request.get("tools"), None, request.get("parallel_tool_calls"), Report()),
        filters=filters,
    )


@settings(deadline=None)
@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 40_000), max_size=40))
@example("thought_merged_stream", list(range(0, 4000, 7)))
def test_the_events_are_the_same_wherever_the_bytes_are_cut(name: str, positions: list[int]) -> None:
    body = recorded("vllm", name).body
    data = b"".join(body)
    cuts = sorted(position % (len(data) + 1) for position in positions)
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert played(name, pieces).frames == played(name, body).frames


@pytest.mark.parametrize("name", STREAMS)
def test_the_last_item_and_no_other_has_the_engines_tokens(name: str) -> None:
    events = played(name, recorded("vllm", name).body).payloads
    check_stream(events)
    response = events[-1]["response"]
    items, cut = STREAMS[name]
    assert texts(response) == items
    assert response["status"] == ("incomplete" if cut else "completed")
    *others, last = response["output"]
    assert token_fields(last) == tokens_of(name)
    assert not any(map(token_fields, others))
    usage, engine = response["usage"], capture_of(name)["engine"]
    assert usage["input_tokens"] == len(engine["prompt_token_ids"])
    assert usage["output_tokens"] == len(engine["token_ids"])


@pytest.mark.parametrize("name", STREAMS)
def test_the_texts_of_the_items_are_in_the_text_of_the_engines_tokens(name: str) -> None:
    """The engine's own tokenizer decoded its tokens when this was recorded."""
    decoded = capture_of(name)["engine"]["text"]
    end = 0
    for _, text in STREAMS[name][0]:
        end = decoded.index(text, end) + len(text)


@pytest.mark.parametrize("name", STREAMS)
def test_the_deltas_have_the_tokens_in_order_and_each_once(name: str) -> None:
    events = played(name, recorded("vllm", name).body).payloads
    deltas = [event for event in events if "generation_token_ids" in event]
    ids = [token for event in deltas for token in event["generation_token_ids"]]
    log_probs = [number for event in deltas for number in event["generation_log_probs"]]
    engine = capture_of(name)["engine"]
    assert ids == engine["token_ids"][: len(ids)]
    assert log_probs == engine["log_probs"][: len(ids)]
    assert all(event["type"].endswith(".delta") for event in deltas)
    # Tokens at the end that no delta has are those of markup. Where there are deltas at all, some have tokens.
    all_deltas = [event for event in events if event["type"].endswith(".delta")]
    assert not all_deltas or deltas


@pytest.mark.parametrize("name", READABLE)
def test_the_log_probabilities_are_those_of_the_message_text(name: str) -> None:
    """Also where a chunk has the end of the reasoning and the beginning of the answer, or part of a character."""
    response = played(name, recorded("vllm", name).body).response
    ((part,),) = (item["content"] for item in response["output"] if item["type"] == "message")
    assert "".join(entry["token"] for entry in part["logprobs"]) == part["text"]
    engine = capture_of(name)["engine"]
    numbers = [entry["logprob"] for entry in part["logprobs"]]
    assert any(
        numbers == engine["log_probs"][start : start + len(numbers)] for start in range(len(engine["log_probs"]))
    )


def test_each_token_of_a_multi_byte_character_has_its_log_probability() -> None:
    response = played("real_bytes_stream", recorded("vllm", "real_bytes_stream").body).response
    ((part,),) = (item["content"] for item in response["output"])
    engine = capture_of("real_bytes_stream")["engine"]
    assert [entry["logprob"] for entry in part["logprobs"]] == engine["log_probs"][:-1]  # the last is the end of turn


# The whole shim ------------------------------------------------------------------------------------------------------


async def ask(app: Any, stream: bool, **fields: Any) -> Json:
    body = {"model": "smol", "input": "Say hello.", "stream": stream, "return_token_ids": True, **fields}
    reply = await post(ResponsesShim(app), "/v1/responses", body)
    assert reply.status == 200, reply.body
    response: Json = payloads(reply.events)[-1]["response"] if stream else reply.json
    check_response(response)
    return response


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
@pytest.mark.parametrize("name", ["thought", "thought_stream"])
async def test_an_answer_of_the_host_that_is_not_streamed_has_the_same_tokens(name: str, stream: bool) -> None:
    response = await ask(recorded("vllm", name), stream)
    assert texts(response) == GREETING
    assert token_fields(response["output"][-1]) == tokens_of(name)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
async def test_a_client_gets_log_probabilities_of_the_message_only(stream: bool) -> None:
    host = recorded("vllm", "thought_merged_readable_stream")
    response = await ask(host, stream, include=["message.output_text.logprobs"])
    ((part,),) = (item["content"] for item in response["output"] if item["type"] == "message")
    assert "".join(entry["token"] for entry in part["logprobs"]) == part["text"] == GREETING[1][1]
    assert token_fields(response["output"][-1]) == tokens_of("thought_merged_readable_stream")


class TokensAsText:
    """vLLM as it answers when tokens are only sent as `token_id:…`: those of the prompt are at `/tokenize`."""

    def __init__(self) -> None:
        self.asked: list[Json] = []
        self.chat = recorded("vllm", "thought_as_text_stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host: Recorded = recorded("vllm", "tokenize") if scope["path"] == "/tokenize" else self.chat
        await host(scope, receive, send)
        if host is not self.chat:
            self.asked += host.requests


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
async def test_prompt_tokens_that_the_stream_lacks_come_from_the_tokenize_route(stream: bool) -> None:
    host = TokensAsText()
    response = await ask(host, stream)
    assert host.asked == [capture_of("tokenize")["request"]["json"]]
    assert texts(response) == GREETING
    assert token_fields(response["output"][-1]) == tokens_of("thought_as_text_stream")


@pytest.mark.parametrize(("route", "stream"), [("tokenize", "thought_stream"), ("tokenize_tools", "call_stream")])
def test_the_tokenize_route_gives_the_prompt_that_the_engine_had(route: str, stream: str) -> None:
    """The request that the shim sends there is the captured one, and the captured answer has the engine's tokens."""
    assert tokenize_request(capture_of(stream)["request"]["json"]) == capture_of(route)["request"]["json"]
    (body,) = recorded("vllm", route).body
    assert json.loads(body)["tokens"] == capture_of(stream)["engine"]["prompt_token_ids"]
