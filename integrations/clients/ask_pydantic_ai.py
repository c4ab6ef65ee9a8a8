"""Pydantic AI: an agent, whose loop runs the functions and sends their outputs back."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI
from pydantic_ai import Agent, ModelResponse
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


async def run(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key=API_KEY, max_retries=0, timeout=SECONDS) as client:
        responses = OpenAIResponsesModel(model, provider=OpenAIProvider(openai_client=client))
        agent = Agent(responses, tools=list(FUNCTIONS.values()))
        if stream:
            async with agent.run_stream(QUESTION) as streamed:
                outcome.text = await streamed.get_output()
                messages = streamed.all_messages()
        else:
            result = await agent.run(QUESTION)
            outcome.text = result.output
            messages = result.all_messages()
    for message in messages:
        if isinstance(message, ModelResponse):
            for call in message.tool_calls:
                outcome.called(call.tool_call_id, call.tool_name, call.args_as_dict())


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    asyncio.run(run(base_url, model, stream, outcome))


main(ask)
