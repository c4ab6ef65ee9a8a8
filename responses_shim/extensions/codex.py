"""Codex's model catalogue, made from a host's list of models.

Codex asks for it by `GET /v1/models?client_version=…`, or reads it from a file (`model_catalog_json` in its
configuration). It knows its own models. What any other model can do it learns from the catalogue, or it guesses:
272,000 tokens of context, and no `apply_patch`.

The fields are those of Codex's `ModelInfo`, as Codex CLI 0.169.0 reads them. Two of them, marked below, are only asked
for by older versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from responses_shim.core.wire.lenient_json import JSON_ERRORS

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
"""The system prompt for every model. Codex's own is written for its own models, and about as long as all its tools."""

MAX_TOOL_OUTPUT = 10_000
"""How many tokens of a tool's output the model gets, as for Codex's own models; fewer if its context is small."""

_REASONING_LEVELS = {
    "low": "Fast answers with little reasoning",
    "medium": "Some reasoning, for everyday tasks",
    "high": "Much reasoning, for hard problems",
}
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window")


class Model(NamedTuple):
    """One model of a host's list.

    - `id`: its name in requests
    - `context_window`: tokens, prompt and answer together; None if the host does not say
    - `images`: whether the host says that the model takes images
    """

    id: str
    context_window: int | None = None
    images: bool = False


def is_catalog_request(method: str | None, query: bytes) -> bool:
    """Whether a request for the list of models comes from Codex, which sends its version in the query string."""
    return method == "GET" and any(field.partition(b"=")[0] == b"client_version" for field in query.split(b"&"))


def decode_models(body: bytes) -> list[Model] | None:
    """`read_models` of a body that should be JSON; None also if it is not."""
    try:
        return read_models(msgspec.json.decode(body))
    except JSON_ERRORS:
        return None


def read_models(answer: Any) -> list[Model] | None:
    """The models in an answer to `GET /v1/models`, as JSON data: `{"data": [{"id": "…"}, …]}`; None if it is not that.

    Beyond OpenAI's fields it reads what hosts add: `max_model_len` (vLLM), `context_length` and
    `architecture.input_modalities` (OpenRouter), `context_window` (Groq).
    """
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        return None
    if not all(isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"] for entry in entries):
        return None
    return [Model(entry["id"], _context_window(entry), _takes_images(entry)) for entry in entries]


def _context_window(entry: dict[str, Any]) -> int | None:
    """The first of the fields that holds a positive integer; True is an int too, but no length."""
    return next((entry[name] for name in _CONTEXT_FIELDS if type(entry.get(name)) is int and entry[name] > 0), None)


def _takes_images(entry: dict[str, Any]) -> bool:
    architecture = entry.get("architecture")
    modalities = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    return isinstance(modalities, list) and "image" in modalities


def catalog(models: Sequence[Model]) -> dict[str, Any]:
    """The catalogue as JSON data: `{"models": [{"slug": "…", …}, …]}`.

    Codex uses the first model when the user has named none.
    """
    return {"models": [_model_info(model, priority) for priority, model in enumerate(models)]}


def _model_info(model: Model, priority: int) -> dict[str, Any]:
    info: dict[str, Any] = {
        "slug": model.id,
        "display_name": model.id,
        "description": None,
        "visibility": "list",
        "supported_in_api": True,
        "priority": priority,
        "base_instructions": INSTRUCTIONS,
        "shell_type": "default",
        # The only type Codex knows: a custom tool. Without it, it offers none, and models edit files by shell commands.
        "apply_patch_tool_type": "freeform",
        # Without "image", Codex tells the model that it cannot see an image. Sent the image itself, a host that takes
        # none would refuse this request and every later one of the conversation.
        "input_modalities": ["text", "image"] if model.images else ["text"],
        # What the user can choose from. There is no default, so that the host's own holds until then.
        "supported_reasoning_levels": [
            {"effort": effort, "description": description} for effort, description in _REASONING_LEVELS.items()
        ],
        "supports_reasoning_summaries": True,  # older versions only
        "support_verbosity": False,
        "supports_parallel_tool_calls": True,  # older versions only
        "experimental_supported_tools": [],
        "truncation_policy": {"mode": "tokens", "limit": MAX_TOOL_OUTPUT},
    }
    if model.context_window is not None:
        info["context_window"] = model.context_window
        info["truncation_policy"]["limit"] = min(MAX_TOOL_OUTPUT, model.context_window // 4)
    return info
