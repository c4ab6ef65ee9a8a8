"""The request that asks a host for the token ids of a prompt."""

from __future__ import annotations

from typing import Any

# The fields of a chat request that its chat template is given, and that the tokenize route has under the same name.
_TEMPLATE_FIELDS = (
    *("model", "messages", "tools", "add_generation_prompt", "continue_final_message", "add_special_tokens"),
    *("chat_template", "chat_template_kwargs", "media_io_kwargs", "mm_processor_kwargs", "required_prefix_token_ids"),
)


def tokenize_request(chat: dict[str, Any]) -> dict[str, Any]:
    """The body for vLLM's `POST /tokenize` that gives the tokens of the prompt of `chat`, a chat request.

    That route has no `documents` and no `reasoning_effort`. vLLM's chat route hands these on to the template, so here
    they are given as arguments of the template.
    """
    body = {name: chat[name] for name in _TEMPLATE_FIELDS if name in chat}
    arguments = {name: chat[name] for name in ("documents", "reasoning_effort") if chat.get(name) is not None}
    if arguments:
        effort = arguments.get("reasoning_effort")
        thinking = {"enable_thinking": effort != "none"} if effort is not None else {}
        body["chat_template_kwargs"] = thinking | (chat.get("chat_template_kwargs") or {}) | arguments
    return body
