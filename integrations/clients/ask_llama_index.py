"""LlamaIndex's `OpenAIResponses`."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    llm = OpenAIResponses(
        model=model, api_base=base_url, api_key=API_KEY, max_retries=0, timeout=SECONDS, context_window=32_000
    )
    request: dict[str, Any] = {
        "tools": [FunctionTool.from_defaults(function) for function in FUNCTIONS.values()],
        "chat_history": [ChatMessage(role="user", content=QUESTION)],
        "allow_parallel_tool_calls": True,
    }
    if stream:
        *_, response = llm.stream_chat_with_tools(**request)
    else:
        response = llm.chat_with_tools(**request)
    outcome.text = response.message.content or ""
    for call in llm.get_tool_calls_from_response(response, error_on_no_tool_call=False):
        outcome.called(call.tool_id, call.tool_name, call.tool_kwargs)


main(ask)
