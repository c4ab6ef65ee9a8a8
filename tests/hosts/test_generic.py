"""The profile of a host about which nothing is known: a request that every server was seen to take."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from responses_shim.core.wire.report import Report
from responses_shim.hosts.generic import PROFILE, adapt, read_exception
from responses_shim.hosts.profile import Chat
from tests.core.pipeline import Json
from tests.core.prepared import prepare_body, prepared
from tests.hosts.test_llama_cpp import REQUESTS


def adapted(chat: Chat) -> Chat:
    before = copy.deepcopy(chat)
    report = Report()
    changed = adapt(chat, report)
    assert chat == before
    assert report.header() == ""
    return changed


def test_a_token_limit_is_told_under_both_names() -> None:
    assert adapted({"messages": [], "max_completion_tokens": 9}) == {
        "messages": [],
        "max_completion_tokens": 9,
        "max_tokens": 9,
    }


def test_what_is_not_limited_stays_so() -> None:
    assert adapted({"model": "m", "messages": []}) == {"model": "m", "messages": []}


def test_reasoning_is_told_under_both_names() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning": "Hm."}
    assert adapted({"messages": [message]})["messages"] == [{**message, "reasoning_content": "Hm."}]


def test_content_beside_calls_is_an_empty_string() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}
    assert adapted({"messages": [message]})["messages"] == [{**message, "content": ""}]


def test_the_other_messages_are_passed_on() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    messages = [{"role": "system", "content": "x"}, image, {"role": "tool", "tool_call_id": "a", "content": ""}]
    assert adapted({"messages": messages})["messages"] == messages


def test_the_verbosity_goes_on_under_the_name_that_chat_has_for_it() -> None:
    translation = prepared(text={"verbosity": "low"})
    assert adapt(translation.chat, translation.report)["verbosity"] == "low"
    assert translation.report.header() == 'mapped=("text.verbosity")'


def objections(chat: Json) -> Iterator[str]:
    """What one server or another was seen to fail on: see the notes of the tests that send it."""
    if not chat.get("model"):
        yield "no model"
    if chat.get("max_completion_tokens") != chat.get("max_tokens"):
        yield "a limit that only half of the servers read"
    roles = [message["role"] for message in chat["messages"]]
    if "developer" in roles or "system" in roles[1:]:
        yield "system text behind the first message"
    for message in chat["messages"]:
        content = message["content"]
        if isinstance(content, list):
            if message["role"] != "user" or all(part["type"] == "text" for part in content):
                yield f"a list of parts in a {message['role']} message without need"
        elif not isinstance(content, str):
            yield f"content {content!r}"
        if message.get("reasoning") != message.get("reasoning_content"):
            yield "reasoning under one name only"
    yield from (f"null at {path}" for path in nulls(chat, ""))


def nulls(value: Any, path: str) -> Iterator[str]:
    """Where there is a null, schemas left out, which are the client's."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("parameters", "schema"):
                yield from nulls(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from nulls(inner, f"{path}[]")


@pytest.mark.parametrize(
    "chat",
    [
        {"messages": []},
        {"model": "m", "messages": [], "max_completion_tokens": 9},
        {"model": "m", "messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
        {"model": "m", "messages": [{"role": "tool", "content": [{"type": "text", "text": "a"}]}]},
        {"model": "m", "messages": [{"role": "assistant", "content": None}]},
        {"model": "m", "messages": [{"role": "assistant", "content": "", "reasoning": "Hm."}]},
        {"model": "m", "messages": [], "top_p": None},
    ],
)
def test_what_servers_fail_on_is_objected_to(chat: Json) -> None:
    assert list(objections(chat))


@given(REQUESTS)
def test_whatever_the_request_nothing_is_asked_that_a_server_was_seen_to_fail_on(request: Json) -> None:
    translation = prepare_body(request, options=PROFILE.policy)
    before = json.dumps(translation.chat)
    chat = adapt(translation.chat, translation.report)
    assert not list(objections(chat))
    assert (chat["stream"], chat["stream_options"]) == (True, {"include_usage": True})
    assert json.dumps(translation.chat) == before


def test_its_chunks_need_no_mending() -> None:
    assert PROFILE.mending({"messages": []}) is None


@pytest.mark.parametrize("error", [KeyError("secret"), ValueError("/home/me/secret"), RuntimeError()])
def test_an_exception_is_told_by_its_name_alone(error: Exception) -> None:
    told = read_exception(error)
    assert told.message == f"The host failed with {type(error).__name__}; its log says more."
    assert (told.status, told.code) == (500, None)


def test_an_overflow_is_told_in_the_hosts_words() -> None:
    told = read_exception(ValueError("Requested tokens (631) exceed context window of 512"))
    assert (told.status, told.code) == (400, "context_length_exceeded")
    assert told.message == "Requested tokens (631) exceed context window of 512"
