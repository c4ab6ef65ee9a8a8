"""Microsoft's Agent Framework: an agent, whose loop runs the functions and goes on by `previous_response_id`."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient
from openai import AsyncOpenAI

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


async def run(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key=API_KEY, max_retries=0, timeout=SECONDS) as client:
        agent = Agent(OpenAIChatClient(model, async_client=client), tools=list(FUNCTIONS.values()))
        if stream:
            streamed: Any = agent.run(QUESTION, stream=True)
            async for _ in streamed:
                pass
            response = await streamed.get_final_response()
        else:
            response = await agent.run(QUESTION)
    outcome.text = response.text
    for message in response.messages:
        for content in message.contents:
            if content.type == "function_call":
                outcome.called(content.call_id, content.name, content.arguments)


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    asyncio.run(run(base_url, model, stream, outcome))


main(ask)
