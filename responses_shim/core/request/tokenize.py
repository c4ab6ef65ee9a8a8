"""The request that asks a host for the token ids of a prompt."""

from __future__ import annotations

from typing import Any

# What a chat request has that its chat template sees, under the name that the tokenize route knows it by too.
_SEEN = (
    *("model", "messages", "tools", "add_generation_prompt", "continue_final_message", "add_special_tokens"),
    *("chat_template", "chat_template_kwargs", "media_io_kwargs", "mm_processor_kwargs", "required_prefix_token_ids"),
)


def tokenize_request(chat: dict[str, Any]) -> dict[str, Any]:
    """What the tokenize route of vLLM is asked, to get the tokens of the prompt of `chat`.

    It has no `documents` and no `reasoning_effort`, which the chat route hands to the template; so they go there
    themselves.
    """
    asked = {name: chat[name] for name in _SEEN if name in chat}
    given = {name: chat[name] for name in ("documents", "reasoning_effort") if chat.get(name) is not None}
    if given:
        thinking = {"enable_thinking": given["reasoning_effort"] != "none"} if "reasoning_effort" in given else {}
        asked["chat_template_kwargs"] = thinking | (chat.get("chat_template_kwargs") or {}) | given
    return asked
