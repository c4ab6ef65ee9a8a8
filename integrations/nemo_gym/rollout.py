"""One rollout with a tool, and the tokens of each turn: what a trainer collects.

    python integrations/nemo_gym/rollout.py http://localhost:8000/v1 my-model

The server has to return token ids, as vLLM does, and runs the shim with `nemo_gym=True`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TEMPLATE = {"enable_thinking": False}
"""Arguments of the server's chat template. In NeMo Gym's rows they are JSON in a string of `metadata`."""


@dataclass(frozen=True)
class Turn:
    """The tokens that the model was shown, those that it generated, and their log-probabilities."""

    prompt: list[int]
    generated: list[int]
    log_probs: list[float]

    def continues(self, earlier: Turn) -> bool:
        """Whether the model was shown the earlier turn as it was. If not, the two cannot be trained on as one text."""
        past = earlier.prompt + earlier.generated
        return self.prompt[: len(past)] == past


def get_weather(city: str) -> str:
    return f"It is sunny in {city}."


def rollout(base_url: str, model: str, question: str, *, max_turns: int = 4) -> list[Turn]:
    """The turns of a conversation, up to the first without a tool call. Raises httpx.HTTPError where one fails."""
    history: list[dict[str, Any]] = [{"role": "user", "content": question}]
    turns: list[Turn] = []
    with httpx.Client(base_url=base_url, timeout=600) as client:
        while len(turns) < max_turns:
            reply = client.post(
                "/responses",
                json={
                    "model": model,
                    "input": history,
                    "tools": [TOOL],
                    "return_token_ids": True,
                    "metadata": {"chat_template_kwargs": json.dumps(TEMPLATE)},
                },
            )
            reply.raise_for_status()
            output = reply.json()["output"]
            last = output[-1]  # the tokens of a turn are on its last item
            turns.append(Turn(last["prompt_token_ids"], last["generation_token_ids"], last["generation_log_probs"]))
            calls = [item for item in output if item["type"] == "function_call"]
            if not calls:
                break
            history += output  # with the tokens: a server that can splice them into the prompt finds them there
            for call in calls:
                result = get_weather(**json.loads(call["arguments"]))
                history.append({"type": "function_call_output", "call_id": call["call_id"], "output": result})
    return turns


def main(arguments: Sequence[str]) -> None:
    base_url, model = arguments
    turns = rollout(base_url, model, "What is the weather in Paris?")
    for number, turn in enumerate(turns):
        mean = sum(turn.log_probs) / len(turn.log_probs)
        line = f"turn {number}: {len(turn.prompt)} tokens in, {len(turn.generated)} out, log-probability {mean:.3f}"
        if number:
            line += ", continues" if turn.continues(turns[number - 1]) else ", does not continue"
            line += " the turn before"
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
