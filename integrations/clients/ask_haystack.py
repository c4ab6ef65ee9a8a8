"""Haystack's `OpenAIResponsesChatGenerator`."""

from __future__ import annotations

from haystack.components.generators.chat import OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.tools import create_tool_from_function
from haystack.utils import Secret

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    pieces: list[StreamingChunk] = []
    generator = OpenAIResponsesChatGenerator(
        model=model,
        api_base_url=base_url,
        api_key=Secret.from_token(API_KEY),
        tools=[create_tool_from_function(function) for function in FUNCTIONS.values()],
        streaming_callback=pieces.append if stream else None,
        max_retries=0,
        timeout=SECONDS,
    )
    [message] = generator.run([ChatMessage.from_user(QUESTION)])["replies"]
    outcome.text = message.text or ""
    for call in message.tool_calls:
        outcome.called(call.extra["call_id"], call.tool_name, call.arguments)


main(ask)
