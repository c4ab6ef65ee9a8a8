"""The package is typed (`py.typed`): a strict type check of its users' code says nothing."""

import subprocess
import sys
from pathlib import Path


def test_the_mount_passes_a_strict_type_check() -> None:
    mount = Path(__file__).with_name("mount.py")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(mount)]
    check = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert check.returncode == 0, check.stdout
