"""What the scripts of the Python clients share: the questions on their command line, and the outcomes that they print.

    python -m integrations.clients.ask_langchain BASE_URL stream:silent-at-first whole:two-calls

Each question is a way to ask (`stream` or `whole`) and a model. The outcomes are printed as one JSON list.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

QUESTION = "What is the weather in Paris, and the time in Rome?"
API_KEY = "none"
SECONDS = 20.0


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


def get_time(city: str) -> str:
    """The time in a city."""
    return f"It is noon in {city}."


FUNCTIONS = {"get_weather": get_weather, "get_time": get_time}


@dataclass
class Outcome:
    """What a client makes of one response."""

    text: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    """The functions that it called or would have its user call: `id`, `name` and `arguments`."""
    error: str | None = None
    """The type and the message of the exception that it raises."""

    def called(self, id: str | None, name: str, arguments: str | dict[str, Any]) -> None:
        """Add a call; arguments that are JSON text are parsed."""
        parsed = json.loads(arguments) if isinstance(arguments, str) else arguments
        self.calls.append({"id": id, "name": name, "arguments": parsed})


def function_tools() -> list[dict[str, Any]]:
    """The functions as tools of the Responses API."""
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return [
        {"type": "function", "name": name, "description": function.__doc__, "parameters": city, "strict": False}
        for name, function in FUNCTIONS.items()
    ]


def main(ask: Callable[[str, str, bool, Outcome], None]) -> None:
    """Ask each question of the command line, by `ask(base_url, model, stream, outcome)`, and print the outcomes.

    `ask` fills in the outcome; what it raises becomes the outcome's error.
    """
    base_url, *questions = sys.argv[1:]
    # Some clients print of themselves, CrewAI in colourful boxes.
    standard_output, sys.stdout = sys.stdout, sys.stderr
    outcomes = []
    for question in questions:
        way, _, model = question.partition(":")
        outcome = Outcome()
        try:
            ask(base_url, model, way == "stream", outcome)
        except Exception as error:
            outcome.error = f"{type(error).__name__}: {error}"
        outcomes.append(asdict(outcome))
    print(json.dumps(outcomes), file=standard_output)
