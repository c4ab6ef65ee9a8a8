"""What the API's own tools put out, as the text that the model reads."""

from __future__ import annotations

from typing import Any

from responses_shim.core.invalid import bad_value, missing, string, wrong_type

Item = dict[str, Any]


def result_text(item: Item, path: str) -> str:
    """The output of a local shell, a shell or apply_patch. InvalidRequest names the field that is wrong."""
    return _RESULTS[item["type"]](item, path)


def _local_shell(item: Item, path: str) -> str:
    return string(item, "output", path)


def _shell(item: Item, path: str) -> str:
    """Each command's output and, where it says something, how it ended."""
    output = item.get("output")
    if output is None:
        raise missing(f"{path}.output")
    if isinstance(output, str):
        return output
    if not isinstance(output, list):
        raise wrong_type(f"{path}.output", "an array")
    return "\n\n".join(_ran(entry, f"{path}.output[{place}]") for place, entry in enumerate(output))


def _ran(entry: Any, path: str) -> str:
    if not isinstance(entry, dict):
        raise wrong_type(path, "an object")
    printed = [string(entry, name, path).rstrip("\n") for name in ("stdout", "stderr") if entry.get(name)]
    outcome = entry.get("outcome")
    if not isinstance(outcome, dict):
        raise missing(f"{path}.outcome") if outcome is None else wrong_type(f"{path}.outcome", "an object")
    return "\n".join([*printed, _ended(outcome, f"{path}.outcome")])


def _ended(outcome: dict[str, Any], path: str) -> str:
    kind = outcome.get("type")
    if kind == "timeout":
        return "[timed out]"
    if kind != "exit":
        raise bad_value(f"{path}.type", kind, ["exit", "timeout"])
    code = outcome.get("exit_code")
    if not isinstance(code, int):
        raise missing(f"{path}.exit_code") if code is None else wrong_type(f"{path}.exit_code", "an integer")
    return f"[exit code {code}]"


def _apply_patch(item: Item, path: str) -> str:
    """`completed` or `failed`, and why."""
    status = item.get("status")
    if status not in ("completed", "failed"):
        raise bad_value(f"{path}.status", status, ["completed", "failed"])
    output = item.get("output")
    return f"{status}: {string(item, 'output', path)}" if output else status


_RESULTS = {
    "local_shell_call_output": _local_shell,
    "shell_call_output": _shell,
    "apply_patch_call_output": _apply_patch,
}
