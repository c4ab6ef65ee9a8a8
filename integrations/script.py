"""What a scripted engine says: a file that it reads for each prompt, in the process of the server.

The file is a JSON list of turns, the first of which whose `when` is in the prompt is played:

    [{"when": "<tool_response>", "text": "Done."}, {"when": "", "text": "<think>Hm.</think>Hello."}]

What else a turn may have, each engine says. What an engine was given goes to the file with `.seen` behind its name, one
JSON object a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def turn_for(script: Path, prompt: str) -> dict[str, Any]:
    """The turn that is played for a prompt."""
    turns: list[dict[str, Any]] = json.loads(script.read_text(encoding="utf-8"))
    return next(turn for turn in turns if turn.get("when", "") in prompt)


def add_line(script: Path, kind: str, value: Any) -> None:
    """Add a line to the file with `.kind` behind the script's name."""
    with script.with_name(f"{script.name}.{kind}").open("a", encoding="utf-8") as file:
        file.write(json.dumps(value, default=str) + "\n")


class Script:
    """Sets what the engine says, and reads what it was given."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "script.json"
        self.say("")

    def play(self, *turns: Mapping[str, Any]) -> None:
        """Play these turns from now on. What was seen before is forgotten."""
        self.file.write_text(json.dumps(turns), encoding="utf-8")
        for kind in ("seen", "ended"):
            self.file.with_name(f"{self.file.name}.{kind}").write_text("", encoding="utf-8")

    def say(self, text: str, **how: Any) -> None:
        """Play one turn, whatever the prompt is."""
        self.play({"when": "", "text": text, **how})

    @property
    def seen(self) -> list[dict[str, Any]]:
        """What the engine was given since the script was set, call by call: its `prompt`, and what else it notes."""
        return self.lines("seen")

    def lines(self, kind: str) -> list[Any]:
        """What the engine has noted under that name since the script was set."""
        noted = self.file.with_name(f"{self.file.name}.{kind}").read_text(encoding="utf-8")
        return [json.loads(line) for line in noted.splitlines()]
