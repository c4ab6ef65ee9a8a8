"""Semantic Kernel's agent for the Responses API, whose loop runs the functions and leaves the history to the server."""

from __future__ import annotations

import asyncio
from typing import Any

from openai import AsyncOpenAI
from semantic_kernel.agents import OpenAIResponsesAgent
from semantic_kernel.contents import FunctionCallContent
from semantic_kernel.functions import KernelPlugin, kernel_function

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


async def run(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    async def seen(message: Any) -> None:
        for item in message.items:
            if isinstance(item, FunctionCallContent):
                outcome.called(item.call_id, item.function_name, item.arguments)

    async with AsyncOpenAI(base_url=base_url, api_key=API_KEY, max_retries=0, timeout=SECONDS) as client:
        agent = OpenAIResponsesAgent(
            ai_model_id=model,
            client=client,
            name="agent",
            plugins=[KernelPlugin("tools", functions=[kernel_function(function) for function in FUNCTIONS.values()])],
        )
        invoke = agent.invoke_stream if stream else agent.invoke
        pieces = [str(piece.message.content) async for piece in invoke(QUESTION, on_intermediate_message=seen)]
    outcome.text = "".join(pieces)


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    asyncio.run(run(base_url, model, stream, outcome))


main(ask)
