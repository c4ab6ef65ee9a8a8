"""What the API's own tools put out, as the text that the model reads."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.tools.kinds import result_text
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.oracle import check_error


def refusal(item: Json) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        result_text(item, "input[1]")
    check_error(caught.value.body())
    return caught.value


def shell(*output: Any) -> Json:
    return {"type": "shell_call_output", "call_id": "a", "output": list(output)}


def ran(stdout: Any = "", stderr: Any = "", **outcome: Any) -> Json:
    return {"stdout": stdout, "stderr": stderr, "outcome": outcome or {"type": "exit", "exit_code": 0}}


def patch(**fields: Any) -> Json:
    return {"type": "apply_patch_call_output", "call_id": "a", **fields}


def test_a_local_shells_output_is_its_text() -> None:
    assert result_text({"type": "local_shell_call_output", "output": "a\n"}, "input[1]") == "a\n"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (shell(), ""),
        (shell(ran()), "[exit code 0]"),
        (shell(ran("a\nb\n")), "a\nb\n[exit code 0]"),
        (shell(ran("a", "warning\n", type="exit", exit_code=2)), "a\nwarning\n[exit code 2]"),
        (shell(ran("a", None, type="timeout")), "a\n[timed out]"),
        (shell(ran("a"), ran(None, "b", type="exit", exit_code=-9)), "a\n[exit code 0]\n\nb\n[exit code -9]"),
        ({**shell(), "output": "told in words"}, "told in words"),
    ],
)
def test_a_shell_tells_of_each_command_what_it_printed_and_how_it_ended(item: Json, text: str) -> None:
    assert result_text(item, "input[1]") == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"status": "completed"}, "completed"),
        ({"status": "completed", "output": None}, "completed"),
        ({"status": "completed", "output": ""}, "completed"),
        ({"status": "failed", "output": "No such file."}, "failed: No such file."),
    ],
)
def test_a_patch_tells_whether_it_was_applied_and_why_not(fields: Json, text: str) -> None:
    assert result_text(patch(**fields), "input[1]") == text


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({"type": "local_shell_call_output"}, "output", "missing_required_parameter"),
        ({"type": "local_shell_call_output", "output": ["a"]}, "output", "invalid_type"),
        ({"type": "shell_call_output"}, "output", "missing_required_parameter"),
        ({"type": "shell_call_output", "output": {}}, "output", "invalid_type"),
        (shell(ran(), "a"), "output[1]", "invalid_type"),
        (shell(ran(7)), "output[0].stdout", "invalid_type"),
        (shell(ran("a", ["b"])), "output[0].stderr", "invalid_type"),
        (shell({"stdout": "a"}), "output[0].outcome", "missing_required_parameter"),
        (shell({"stdout": "a", "outcome": "exit"}), "output[0].outcome", "invalid_type"),
        (shell(ran(type="killed")), "output[0].outcome.type", "invalid_value"),
        (shell(ran(type=[])), "output[0].outcome.type", "invalid_value"),
        (shell(ran(exit_code=1)), "output[0].outcome.type", "invalid_value"),
        (shell(ran(type="exit")), "output[0].outcome.exit_code", "missing_required_parameter"),
        (shell(ran(type="exit", exit_code="0")), "output[0].outcome.exit_code", "invalid_type"),
        (patch(), "status", "invalid_value"),
        (patch(status="in_progress"), "status", "invalid_value"),
        (patch(status=[]), "status", "invalid_value"),
        (patch(status="failed", output=7), "output", "invalid_type"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(item: Json, param: str, code: str) -> None:
    error = refusal(item)
    assert (error.param, error.code) == (f"input[1].{param}", code)
