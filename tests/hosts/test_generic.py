"""The profile of a host about which nothing is known."""

from __future__ import annotations

import copy

import pytest

from responses_shim.core.report import Report
from responses_shim.hosts.generic import PROFILE, adapt, read_exception
from responses_shim.hosts.profile import Chat


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
