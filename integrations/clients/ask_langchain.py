"""LangChain's chat model for OpenAI, with `use_responses_api`."""

from __future__ import annotations

from typing import Any

from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    chat = ChatOpenAI(
        base_url=base_url,
        api_key=SecretStr(API_KEY),
        model=model,
        use_responses_api=True,
        max_retries=0,
        timeout=SECONDS,
    ).bind_tools(list(FUNCTIONS.values()))
    message: Any
    if stream:
        first, *others = chat.stream(QUESTION)
        message = sum(others, first)
    else:
        message = chat.invoke(QUESTION)
    outcome.text = message.text
    for call in message.tool_calls:
        outcome.called(call["id"], call["name"], call["args"])


main(ask)
