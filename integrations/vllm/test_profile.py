"""What the profile says of vLLM is what vLLM says of itself: the fields that it reads, the parsers that it has.

It asks the very version that is installed where VLLM_ENVIRONMENT says, so a new one shows here what has changed.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from integrations.running import detected_host
from integrations.vllm.server import ROOT
from responses_shim.hosts import vllm
from tests.hosts.test_vllm import READ

pytestmark = pytest.mark.live

SECONDS = 120.0


def in_vllm(installed: Path, program: str) -> Any:
    """What a Python program prints as JSON, run where vLLM is installed."""
    variables = {**os.environ, "VLLM_TARGET_DEVICE": "cpu", "VLLM_LOGGING_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}
    command = [str(installed / "bin" / "python"), "-c", program]
    run = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_its_app_is_recognised(installed: Path) -> None:
    assert detected_host(installed / "bin" / "python", "vllm") == "vllm"


def test_the_fields_are_those_of_its_chat_request(installed: Path) -> None:
    program = """
import json
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
print(json.dumps(sorted(ChatCompletionRequest.model_fields)))
"""
    assert set(in_vllm(installed, program)) == READ


def test_the_parsers_that_compose_calls_and_a_format_are_those_with_a_structural_tag(installed: Path) -> None:
    program = """
import json
import vllm.tool_parsers as parsers
from vllm.tool_parsers import ToolParserManager
names = []
for name in parsers._TOOL_PARSERS_TO_REGISTER:
    try:
        if ToolParserManager.get_tool_parser(name).structural_tag_model is not None:
            names.append(name)
    except ImportError:
        pass
print(json.dumps(sorted(names)))
"""
    assert in_vllm(installed, program) == sorted(vllm._COMPOSING_PARSERS)
