"""llm-comply, an independent compliance suite, run against the shim over a scripted host."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from responses_shim import ResponsesShim
from tests.scripted import ScriptedHost, call_then_text
from tests.serving import serving

LLM_COMPLY = Path(sysconfig.get_path("scripts")) / "llm-comply"

MUST_PASS = {
    "basic-response",
    "system-prompt",
    "multi-turn",
    "tool-calling",
    "streaming-response",
    "streaming-usage",
    "image-input",
    "assistant-phase",
    "response-output-phase-schema",
    "compact-response",
    "compact-missing-model",
    "error-handling",
}
"""Tests of text, streaming, errors, usage and function tools. Those of compaction accept the 404 of a server without
it."""
SKIPPED = {"reasoning-summary"}
"""The suite runs this test only for models with one of OpenAI's names."""


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    with serving(ResponsesShim(ScriptedHost(call_then_text))) as url:
        command = [str(LLM_COMPLY), "-u", f"{url}/v1", "-k", "key", "-m", "scripted", "--timeout", "20", "--json"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout.startswith("{"), run.stdout + run.stderr
    return {result["id"]: result for result in json.loads(run.stdout)["results"]}


def test_every_test_of_the_suite_is_accounted_for(results: dict[str, dict[str, Any]]) -> None:
    assert results.keys() == MUST_PASS | SKIPPED


@pytest.mark.parametrize("test", sorted(MUST_PASS))
def test_a_test_of_the_suite_passes(results: dict[str, dict[str, Any]], test: str) -> None:
    result = results[test]
    assert result["status"] == "passed", result
    assert not result.get("errors"), result
