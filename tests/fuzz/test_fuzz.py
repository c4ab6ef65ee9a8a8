"""The short run of each fuzzer, and the examples that have failed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from tests.fuzz import fuzzer as fuzzers
from tests.fuzz.__main__ import FUZZERS, main
from tests.fuzz.fuzzer import Failed, Fuzzer

KEPT = [
    pytest.param(fuzzer, example, id=f"{fuzzer.name}-{path.stem}")
    for fuzzer in FUZZERS.values()
    for path, example in fuzzer.kept()
]


@pytest.mark.parametrize(("fuzzer", "example"), KEPT)
def test_an_example_that_has_failed_once_passes(fuzzer: Fuzzer[Any], example: Any) -> None:
    fuzzer.try_one(example)


@pytest.mark.parametrize("name", FUZZERS)
def test_random_examples_pass(name: str) -> None:
    outcomes = FUZZERS[name].run(FUZZERS[name].short)
    assert len(outcomes) > 1, f"all of them end in the same way, so they test little: {outcomes}"


# The fuzzer itself ---------------------------------------------------------------------------------------------------


class Number(msgspec.Struct):
    value: int


async def below_five(number: Number) -> str:
    assert number.value < 5
    return "small"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where failures are kept meanwhile."""
    monkeypatch.setattr(fuzzers, "KEPT", tmp_path)
    return tmp_path


def test_the_smallest_example_that_fails_is_kept_and_found_again(directory: Path) -> None:
    fuzzer = Fuzzer("numbers", Number, st.builds(Number, st.integers(0, 1000)), below_five, 100)
    with pytest.raises(Failed) as failure:
        fuzzer.run(200, 1)
    assert list(fuzzer.kept()) == [(failure.value.path, Number(5))]
    assert failure.value.path.parent == directory / "numbers"


def test_the_command_says_how_it_went(directory: Path, monkeypatch: Any, capsys: Any) -> None:
    fuzzer = Fuzzer("numbers", Number, st.builds(Number, st.integers(0, 1000)), below_five, 100)
    monkeypatch.setitem(FUZZERS, "numbers", fuzzer)
    monkeypatch.setattr("sys.argv", ["tests.fuzz", "numbers", "--examples", "50", "--seed", "1"])
    assert main() == 1
    assert "numbers: fails with seed 1; the example is kept in" in capsys.readouterr().out
    assert main() == 1
    assert ".json fails" in capsys.readouterr().out
