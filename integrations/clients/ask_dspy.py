"""DSPy's `LM`, with `model_type="responses"`."""

from __future__ import annotations

import dspy

from integrations.clients.asking import API_KEY, QUESTION, SECONDS, Outcome, function_tools, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    lm = dspy.LM(
        f"openai/{model}",
        model_type="responses",
        api_base=base_url,
        api_key=API_KEY,
        cache=False,
        num_retries=0,
        timeout=SECONDS,
    )
    [answer] = lm(messages=[{"role": "user", "content": QUESTION}], tools=function_tools())
    if isinstance(answer, str):
        outcome.text = answer
        return
    outcome.text = answer["text"] or ""
    for call in answer["tool_calls"]:
        outcome.called(call["id"], call["function"]["name"], call["function"]["arguments"])


main(ask)
