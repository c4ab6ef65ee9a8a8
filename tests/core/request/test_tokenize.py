"""The request that asks vLLM for the tokens of a prompt."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.request.tokenize import tokenize_request


def test_it_has_the_fields_that_the_chat_template_is_given() -> None:
    fields: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "chat_template_kwargs": {"enable_thinking": False},
        "add_generation_prompt": False,
        "continue_final_message": True,
        "mm_processor_kwargs": {"x": 1},
        "required_prefix_token_ids": [1],
    }
    assert tokenize_request(fields | {"stream": True, "temperature": 0, "logprobs": True, "max_tokens": 3}) == fields


@pytest.mark.parametrize(("effort", "thinking"), [("none", False), ("low", True)])
def test_what_the_chat_route_hands_to_the_template_is_given_as_its_arguments(effort: str, thinking: bool) -> None:
    """vLLM's chat route hands over the effort, whether there is one, and the documents."""
    chat: dict[str, Any] = {"model": "m", "messages": [], "reasoning_effort": effort, "documents": [{"text": "d"}]}
    expected = {"enable_thinking": thinking, "reasoning_effort": effort, "documents": [{"text": "d"}]}
    assert tokenize_request(chat)["chat_template_kwargs"] == expected
    chosen = chat | {"chat_template_kwargs": {"enable_thinking": "so", "reasoning_effort": "other", "more": 1}}
    assert tokenize_request(chosen)["chat_template_kwargs"] == expected | {"enable_thinking": "so", "more": 1}


def test_without_an_effort_there_is_no_argument_about_thinking() -> None:
    chat = {"model": "m", "messages": [], "documents": [{"text": "d"}], "reasoning_effort": None}
    assert tokenize_request(chat)["chat_template_kwargs"] == {"documents": [{"text": "d"}]}
    assert "chat_template_kwargs" not in tokenize_request({"model": "m", "messages": []})
