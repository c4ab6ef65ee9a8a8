"""CrewAI's OpenAI model, with `api="responses"`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crewai.llms.providers.openai.completion import OpenAICompletion

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, SECONDS, Outcome, function_tools, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    llm = OpenAICompletion(
        model=model, base_url=base_url, api_key=API_KEY, api="responses", stream=stream, max_retries=0, timeout=SECONDS
    )

    def recorded(name: str) -> Callable[..., str]:
        def function(**arguments: Any) -> str:
            outcome.called(None, name, arguments)
            return FUNCTIONS[name](**arguments)

        return function

    # The calls of a stream it gives to nobody: it makes the first itself, and answers with the output.
    functions = {name: recorded(name) for name in FUNCTIONS} if stream else None
    answer: Any = llm.call(QUESTION, tools=function_tools(), available_functions=functions)
    if isinstance(answer, str):
        outcome.text = answer
    else:
        for call in answer:
            outcome.called(call["id"], call["name"], call["arguments"])


main(ask)
