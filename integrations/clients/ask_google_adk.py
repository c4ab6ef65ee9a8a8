"""Google's ADK: an agent, whose runner runs the functions and sends their outputs back."""

from __future__ import annotations

import asyncio

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.integrations.openai import OpenAIResponsesLlm
from google.adk.runners import InMemoryRunner
from google.genai import types
from openai import AsyncOpenAI

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


async def run(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key=API_KEY, max_retries=0, timeout=SECONDS) as client:
        agent = LlmAgent(
            name="agent",
            model=OpenAIResponsesLlm(model=model, client=client),
            tools=list(FUNCTIONS.values()),
        )
        runner = InMemoryRunner(agent=agent, app_name="app")
        session = await runner.session_service.create_session(app_name="app", user_id="user")
        async for event in runner.run_async(
            user_id="user",
            session_id=session.id,
            new_message=types.Content(role="user", parts=[types.Part(text=QUESTION)]),
            run_config=RunConfig(streaming_mode=StreamingMode.SSE if stream else StreamingMode.NONE),
        ):
            if event.error_message:
                raise RuntimeError(event.error_message)
            if event.partial:
                continue
            for call in event.get_function_calls():
                outcome.called(call.id, call.name, call.args)
            if event.is_final_response() and event.content:
                outcome.text = "".join(part.text or "" for part in event.content.parts)


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    asyncio.run(run(base_url, model, stream, outcome))


main(ask)
