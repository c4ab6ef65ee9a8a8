"""Inspect's model for servers with OpenAI's API, with `responses_api`."""

from __future__ import annotations

import asyncio

from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.tool import ToolInfo, ToolParam, ToolParams
from tenacity import RetryError

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


async def run(base_url: str, model: str, outcome: Outcome) -> None:
    city = ToolParams(properties={"city": ToolParam(type="string", description="The city.")}, required=["city"])
    tools = [
        ToolInfo(name=name, description=function.__doc__ or "", parameters=city) for name, function in FUNCTIONS.items()
    ]
    async with get_model(
        f"openai-api/shim/{model}",
        base_url=base_url,
        api_key=API_KEY,
        responses_api=True,
        config=GenerateConfig(max_retries=0, timeout=int(SECONDS)),
    ) as chat:
        try:
            output = await chat.generate(QUESTION, tools=tools)
        except RetryError as error:  # of tenacity, without the server's message
            raise (error.last_attempt.exception() or error) from error
    outcome.text = output.completion
    for call in output.message.tool_calls or []:
        outcome.called(call.id, call.function, call.arguments)


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    asyncio.run(run(base_url, model, outcome))


main(ask)
