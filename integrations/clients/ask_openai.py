"""OpenAI's Python SDK: `responses.stream()`, its helper that collects a stream, and `responses.create()`."""

from __future__ import annotations

from typing import Any

from openai import OpenAI

from integrations.clients.asking import API_KEY, QUESTION, SECONDS, Outcome, function_tools, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    client = OpenAI(base_url=base_url, api_key=API_KEY, max_retries=0, timeout=SECONDS)
    request: dict[str, Any] = {"model": model, "input": QUESTION, "tools": function_tools()}
    if stream:
        with client.responses.stream(**request) as events:
            response: Any = events.get_final_response()
    else:
        response = client.responses.create(**request)
    outcome.text = response.output_text
    for item in response.output:
        if item.type == "function_call":
            outcome.called(item.call_id, item.name, item.arguments)


main(ask)
