"""Mirascope, with its provider `openai:responses`."""

from __future__ import annotations

from mirascope import llm

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, Outcome, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    llm.register_provider("openai:responses", scope="openai/", base_url=base_url, api_key=API_KEY)
    chat = llm.model(f"openai/{model}:responses")
    tools = [llm.tool(function) for function in FUNCTIONS.values()]
    if stream:
        response = chat.stream(QUESTION, tools=tools)
        response.finish()
    else:
        response = chat.call(QUESTION, tools=tools)
    outcome.text = response.text()
    for call in response.tool_calls:
        outcome.called(call.id, call.name, call.args)


main(ask)
