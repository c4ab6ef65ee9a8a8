"""LiteLLM's `responses()`, with the model registered as one that streams."""

from __future__ import annotations

from typing import Any

import litellm

from integrations.clients.asking import API_KEY, QUESTION, SECONDS, Outcome, function_tools, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    name = f"openai/{model}"
    # By default it waits for the complete response and makes a stream of that.
    known = {"litellm_provider": "openai", "mode": "responses", "supports_native_streaming": True}
    litellm.register_model({name: known})
    result: Any = litellm.responses(
        model=name,
        input=QUESTION,
        tools=function_tools(),
        stream=stream,
        api_base=base_url,
        api_key=API_KEY,
        timeout=SECONDS,
        num_retries=0,
    )
    if stream:
        *_, last = result
        result = last.response
    for item in result.output:
        if item.type == "message":
            outcome.text += "".join(part.text for part in item.content)
        elif item.type == "function_call":
            outcome.called(item.call_id, item.name, item.arguments)


main(ask)
