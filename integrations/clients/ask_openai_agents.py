"""OpenAI's Agents SDK for Python: its loop runs the functions and sends their outputs back."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import Agent, OpenAIResponsesModel, RunConfig, Runner, function_tool
from openai import AsyncOpenAI

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


async def run(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key=API_KEY, max_retries=0, timeout=SECONDS) as client:
        # Traces would go to OpenAI.
        config = RunConfig(model=OpenAIResponsesModel(model=model, openai_client=client), tracing_disabled=True)
        agent = Agent(name="agent", tools=[function_tool(function) for function in FUNCTIONS.values()])
        if stream:
            result: Any = Runner.run_streamed(agent, QUESTION, run_config=config)
            async for _ in result.stream_events():
                pass
        else:
            result = await Runner.run(agent, QUESTION, run_config=config)
    outcome.text = result.final_output
    for item in result.new_items:
        if item.type == "tool_call_item":
            outcome.called(item.raw_item.call_id, item.raw_item.name, item.raw_item.arguments)


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    asyncio.run(run(base_url, model, stream, outcome))


main(ask)
