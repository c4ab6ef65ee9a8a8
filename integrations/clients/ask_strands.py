"""Strands: an agent, whose loop runs the functions and sends their outputs back. It always streams."""

from __future__ import annotations

from strands import Agent, tool
from strands.models.openai_responses import OpenAIResponsesModel

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    client = {"base_url": base_url, "api_key": API_KEY, "max_retries": 0, "timeout": SECONDS}
    agent = Agent(
        OpenAIResponsesModel(client_args=client, model_id=model),
        tools=[tool(function) for function in FUNCTIONS.values()],
        callback_handler=None,
    )
    outcome.text = str(agent(QUESTION)).removesuffix("\n")
    for message in agent.messages:
        for part in message["content"]:
            if "toolUse" in part:
                call = part["toolUse"]
                outcome.called(call["toolUseId"], call["name"], call["input"])


main(ask)
