"""The profile of unknown hosts: it sends no request that any server is known to fail on."""

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
from tests.core.driver import Json
from tests.core.prepared import prepare_body, prepared
from tests.hosts.test_llama_cpp import REQUESTS


def adapted(chat: Chat) -> Chat:
    before = copy.deepcopy(chat)
    report = Report()
    changed = adapt(chat, report)
    assert chat == before
    assert report.header() == ""
    return changed


def test_the_token_limit_is_sent_under_both_names() -> None:
    assert adapted({"messages": [], "max_completion_tokens": 9}) == {
        "messages": [],
        "max_completion_tokens": 9,
        "max_tokens": 9,
    }


def test_no_token_limit_is_added() -> None:
    assert adapted({"model": "m", "messages": []}) == {"model": "m", "messages": []}


def test_reasoning_is_sent_under_both_names() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning": "Hm."}
    assert adapted({"messages": [message]})["messages"] == [{**message, "reasoning_content": "Hm."}]


def test_null_content_beside_calls_becomes_an_empty_string() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}
    assert adapted({"messages": [message]})["messages"] == [{**message, "content": ""}]


def test_messages_of_other_roles_are_not_changed() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    messages = [{"role": "system", "content": "x"}, image, {"role": "tool", "tool_call_id": "a", "content": ""}]
    assert adapted({"messages": messages})["messages"] == messages


def test_the_verbosity_is_sent_under_its_chat_name() -> None:
    translation = prepared(text={"verbosity": "low"})
    assert adapt(translation.chat, translation.report)["verbosity"] == "low"
    assert translation.report.header() == 'mapped=("text.verbosity")'


def objections(chat: Json) -> Iterator[str]:
    """What in a chat request some server is known to fail on."""
    if not chat.get("model"):
        yield "no model"
    if chat.get("max_completion_tokens") != chat.get("max_tokens"):
        yield "a token limit that only some servers read"
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
    """The paths of all nulls, but for those in schemas, which are the client's."""
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
def test_objections_finds_each_of_these(chat: Json) -> None:
    assert list(objections(chat))


@given(REQUESTS)
def test_no_chat_request_contains_what_some_server_fails_on(request: Json) -> None:
    translation = prepare_body(request, options=PROFILE.policy)
    before = json.dumps(translation.chat)
    chat = adapt(translation.chat, translation.report)
    assert not list(objections(chat))
    assert (chat["stream"], chat["stream_options"]) == (True, {"include_usage": True})
    assert json.dumps(translation.chat) == before


def test_its_chunks_need_no_filter() -> None:
    assert PROFILE.make_filter({"messages": []}) is None


@pytest.mark.parametrize("error", [KeyError("secret"), ValueError("/home/me/secret"), RuntimeError()])
def test_the_error_for_an_exception_has_its_class_but_not_its_message(error: Exception) -> None:
    shown = read_exception(error)
    assert shown.message == f"The host failed with {type(error).__name__}; its log says more."
    assert (shown.status, shown.code) == (500, None)


def test_the_error_for_a_prompt_that_is_too_long_has_the_exceptions_message() -> None:
    shown = read_exception(ValueError("Requested tokens (631) exceed context window of 512"))
    assert (shown.status, shown.code) == (400, "context_length_exceeded")
    assert shown.message == "Requested tokens (631) exceed context window of 512"
