"""The package is typed (`py.typed`): code that uses it passes a strict type check."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("program", ["mount.py", "intercept.py"])
def test_a_users_code_passes_a_strict_type_check(program: str) -> None:
    path = Path(__file__).with_name(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(path)]
    check = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert check.returncode == 0, check.stdout
