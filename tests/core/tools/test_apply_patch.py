"""The tool apply_patch: declared, called, replayed, answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.core.driver import Json
from tests.core.tools.declared import (
    APPLY_PATCH,
    call_item,
    output,
    past_arguments,
    refused_call,
    refused_output,
)


@pytest.mark.parametrize(
    ("arguments", "operation"),
    [
        (
            '{"type": "update_file", "path": "a", "diff": "@@\\n-x\\n+y"}',
            {"type": "update_file", "path": "a", "diff": "@@\n-x\n+y"},
        ),
        ('{"type": "create_file", "path": "a", "diff": "+x"}', {"type": "create_file", "path": "a", "diff": "+x"}),
        ('{"type": "delete_file", "path": "a", "diff": "?"}', {"type": "delete_file", "path": "a"}),
        ('{"type": "delete_file", "path": "a"}', {"type": "delete_file", "path": "a"}),
        (
            '{"operation": {"type": "create_file", "path": "a", "diff": "+x"}}',
            {"type": "create_file", "path": "a", "diff": "+x"},
        ),
        (
            '{"type": "update_file", "path": "a", "diff": "-x\n+y"}',
            {"type": "update_file", "path": "a", "diff": "-x\n+y"},
        ),
        ('{"path": "a", "diff": "+x"}', {"type": "update_file", "path": "a", "diff": "+x"}),
        ('{"type": "odd", "path": 7, "diff": null}', {"type": "update_file", "path": "", "diff": ""}),
        ("*** Begin Patch", {"type": "update_file", "path": "", "diff": ""}),
    ],
)
def test_the_operation_is_read_from_the_arguments_however_a_model_writes_them(arguments: str, operation: Json) -> None:
    assert call_item(APPLY_PATCH, arguments)["operation"] == operation


@pytest.mark.parametrize(
    "operation",
    [{"type": "update_file", "path": "a", "diff": "-x"}, {"type": "delete_file", "path": "a"}],
)
def test_a_past_operation_is_shown_as_the_arguments_that_it_was_read_from(operation: Json) -> None:
    assert json.loads(past_arguments("apply_patch_call", operation=operation)) == operation


def test_a_past_call_without_an_operation_is_refused() -> None:
    assert refused_call("apply_patch_call", operation=[]) == ("operation", "invalid_type")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"status": "completed"}, "completed"),
        ({"status": "completed", "output": None}, "completed"),
        ({"status": "completed", "output": ""}, "completed"),
        ({"status": "failed", "output": "No such file."}, "failed: No such file."),
    ],
)
def test_an_output_says_whether_the_patch_was_applied_and_why_not(fields: Json, text: str) -> None:
    assert output("apply_patch_call_output", **fields) == text


@pytest.mark.parametrize("status", [None, "in_progress", []])
def test_an_output_that_does_not_say_whether_it_was_applied_is_refused(status: Any) -> None:
    assert refused_output("apply_patch_call_output", status=status) == ("status", "invalid_value")


def test_an_output_whose_explanation_is_no_text_is_refused() -> None:
    assert refused_output("apply_patch_call_output", status="failed", output=7) == ("output", "invalid_type")
