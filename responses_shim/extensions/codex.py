"""A host's list of models as the catalogue that Codex reads, from `GET /v1/models?client_version=…` or from a file.

Codex knows what its own models can do. Of any other it learns it here, or guesses: 272,000 tokens of context, and no
`apply_patch`. The fields are those of its `ModelInfo`, as Codex CLI 0.169.0 reads them; two, marked below, only
older ones ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

INSTRUCTIONS = """\
You are a coding agent. You work in the user's workspace through the Codex CLI: with the tools that you are given you \
read files, run commands and change files.

# How to work

- Go on until the task is done: look, change, check. Stop at a plan only if a plan is what was asked for. Ask the user \
only what you cannot find out yourself.
- Look before you change anything. Search with `rg`, or with `grep` and `find` where it is missing. Read the code \
around a place before you edit it, and write as it is written.
- Solve the problem at its cause, with the smallest change that does. Leave unrelated code alone, and never undo \
changes that are not yours. Commit or make branches only when asked to.
- Check what you did by running what shows it: the tests, the build, the program. If nothing can be run, say so.
- `AGENTS.md` files hold for the folder they are in and all below it; a deeper one outranks a higher one, and the \
user's own words outrank both.
- Commands must end by themselves: no editors, no pagers, no servers in the foreground.

# How to edit files

With `apply_patch`, where you have it, rather than by commands. Its input is a patch in this form and nothing around it:

*** Begin Patch
*** Update File: src/greeting.py
@@ def greet(name):
     name = name.strip()
-    print("Hi " + name)
+    print(f"Hello {name}")
     return name
*** Add File: docs/notes.md
+The first line.
+The second line.
*** Delete File: docs/old.md
*** End Patch

- In an update each line begins with one more character: a space if it stays, `-` if it goes, `+` if it is new.
- Give some three lines that stay on either side of a change, exactly as they are in the file. If they occur there \
more than once, say after `@@` which class or function is meant.
- Each line of a new file begins with `+`.
- Paths are relative to the workspace. `*** Move to: new/path` right below `*** Update File:` renames the file.

# How to answer

Briefly and plainly: what you changed and where, what you ran and what came of it, what is left. Name files by their \
paths instead of repeating what is in them."""
"""What a model is told first. Codex's own text is for its own models, and about as long as all of its tools."""

MAX_TOOL_OUTPUT = 10_000
"""Tokens of one tool's output that the model gets to see, as for Codex's own models; less in a small context."""

_LEVELS = {
    "low": "Fast answers with little reasoning",
    "medium": "Some reasoning, for everyday tasks",
    "high": "Much reasoning, for hard problems",
}
_CONTEXT = ("max_model_len", "context_length", "context_window")


class Model(NamedTuple):
    """One entry of a host's list.

    - `context_window`: tokens, prompt and answer together; None where the host does not tell
    - `images`: the host says that the model takes them
    """

    id: str
    context_window: int | None = None
    images: bool = False


def read_models(told: Any) -> list[Model] | None:
    """The models of `GET /v1/models` as OpenAI's clients read it, `{"data": [{"id": …}, …]}`; None if it is not that.

    What hosts add: `max_model_len` (vLLM), `context_length` and `architecture.input_modalities` (OpenRouter),
    `context_window` (Groq).
    """
    entries = told.get("data") if isinstance(told, dict) else None
    if not isinstance(entries, list):
        return None
    if not all(isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"] for entry in entries):
        return None
    return [Model(entry["id"], _context_window(entry), _takes_images(entry)) for entry in entries]


def _context_window(entry: dict[str, Any]) -> int | None:
    told = [entry[name] for name in _CONTEXT if type(entry.get(name)) is int and entry[name] > 0]
    return told[0] if told else None


def _takes_images(entry: dict[str, Any]) -> bool:
    architecture = entry.get("architecture")
    modalities = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    return isinstance(modalities, list) and "image" in modalities


def catalog(models: Sequence[Model]) -> dict[str, Any]:
    """The catalogue, JSON data. The first model is the one that Codex takes when none is named."""
    return {"models": [_model_info(model, place) for place, model in enumerate(models)]}


def _model_info(model: Model, place: int) -> dict[str, Any]:
    info: dict[str, Any] = {
        "slug": model.id,
        "display_name": model.id,
        "description": None,
        "visibility": "list",
        "supported_in_api": True,
        "priority": place,
        "base_instructions": INSTRUCTIONS,
        "shell_type": "default",
        # The one kind it knows, a custom tool. Without it Codex offers none, and models patch files by shell commands.
        "apply_patch_tool_type": "freeform",
        # Codex tells a model that takes no images so; a host would refuse the whole conversation from then on.
        "input_modalities": ["text", "image"] if model.images else ["text"],
        # To choose from. There is no default, so that the host's holds until the user chooses.
        "supported_reasoning_levels": [{"effort": effort, "description": says} for effort, says in _LEVELS.items()],
        "supports_reasoning_summaries": True,  # older ones only
        "support_verbosity": False,
        "supports_parallel_tool_calls": True,  # older ones only
        "experimental_supported_tools": [],
        "truncation_policy": {"mode": "tokens", "limit": MAX_TOOL_OUTPUT},
    }
    if model.context_window is not None:
        info["context_window"] = model.context_window
        info["truncation_policy"]["limit"] = min(MAX_TOOL_OUTPUT, model.context_window // 4)
    return info
