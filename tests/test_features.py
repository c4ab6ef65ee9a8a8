"""The tables of what each server can do are made of the record, and the record is what the marked tests say.

Whether these tests pass is seen where the servers are: CI runs them and compares (`.ci/run`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from integrations import features
from integrations.features import FEATURES, HOSTS, RECORD, TABLES, Finding, Notes, cell, marked, read, write

ROOT = Path(__file__).parents[1]


def run_pytest(folder: Path, record: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in this repository, or in a folder with made-up tests, with the option that writes a record."""
    plugin = [] if folder == ROOT else ["-p", "integrations.conftest"]
    option = ["--features-file", str(record)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *option, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_record_is_what_the_marked_tests_say(tmp_path: Path) -> None:
    """A new mark has to be seen: `pytest -m live integrations/HOST --features-file integrations/features.json`.

    Lines of tests that are no longer there are to be taken out by hand.
    """
    run = run_pytest(ROOT, tmp_path / "marked.json", "--collect-only", "integrations")
    assert run.returncode == 0, run.stdout
    marked, recorded = read(tmp_path / "marked.json"), read(RECORD)
    assert (sorted(marked - recorded), sorted(recorded - marked)) == ([], [])


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_made_of_the_record(name: str) -> None:
    """To renew them: `python -m integrations.features`"""
    document, table = TABLES[name]
    found = marked(name).search(document.read_text(encoding="utf-8"))
    assert found is not None
    assert found[1].strip() == "\n".join(table(read(RECORD))).strip()


@pytest.mark.parametrize("host", features.hosts_in(read(RECORD)))
def test_the_document_of_a_server_is_complete(host: str) -> None:
    """It says how to install, mount, call and test it, what is amiss, and of which version that holds."""
    text = (ROOT / "integrations" / host / "README.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^## (.*)$", text, re.M))
    assert headings >= {"Install", "Mount it", "Call it", "Known gaps", "Test it"}
    for shown in ("curl", "Codex", "openai" if host != "generic" else "SDK", HOSTS[host].version):
        assert shown in text


# How a record is written ---------------------------------------------------------------------------------------------

TESTS = """
import pytest

@pytest.mark.feature("text", "usage")
@pytest.mark.parametrize("number", [1, 2])
def test_both(number): ...

@pytest.mark.feature("images", no="it is blind")
def test_blind(): ...

@pytest.mark.feature("state", note="with a store")
@pytest.mark.parametrize("number", [1, 2])
def test_half(number):
    assert number == 1

@pytest.mark.feature("background")
def test_skipped():
    pytest.skip("not here")

@pytest.mark.feature("Codex", host="generic")
def test_elsewhere(): ...
"""
SEEN = {
    Finding("vllm", "text", "vllm/test_it.py::test_both"),
    Finding("vllm", "usage", "vllm/test_it.py::test_both"),
    Finding("vllm", "images", "vllm/test_it.py::test_blind", "no: it is blind"),
    Finding("generic", "Codex", "vllm/test_it.py::test_elsewhere"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with tests of its own, which take the option from here."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = feature\n")
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "test_it.py").write_text(TESTS)
    return tmp_path


@pytest.mark.parametrize("words", [[], ["-n", "2"]], ids=["one process", "two workers"])
def test_what_passes_with_all_parameters_has_been_seen(folder: Path, words: list[str]) -> None:
    run = run_pytest(folder, folder / "seen.json", *words)
    assert "1 failed, 5 passed, 1 skipped" in run.stdout, run.stdout + run.stderr
    assert read(folder / "seen.json") == SEEN


def test_several_runs_add_up_and_a_failure_takes_out(folder: Path) -> None:
    test = "vllm/test_it.py"
    skipped = Finding("vllm", "background", f"{test}::test_skipped")
    failing = Finding("vllm", "state", f"{test}::test_half", "yes: with a store")
    other = Finding("mlx_vlm", "text", "mlx_vlm/test_it.py::test_text")
    write(folder / "seen.json", [skipped, failing, other])
    run_pytest(folder, folder / "seen.json")
    assert read(folder / "seen.json") == SEEN | {skipped, other}


def test_to_collect_writes_what_would_be_seen(folder: Path) -> None:
    run_pytest(folder, folder / "seen.json", "--collect-only", "-k", "half or blind")
    assert {found.feature for found in read(folder / "seen.json")} == {"state", "images"}


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ('"telepathy"', "knows no 'telepathy'"),
        ('"text", host="mars"', "knows no 'mars'"),
        ('"text", note="a", no="b"', "cannot be both"),
        ('"text", why="a"', "unexpected keyword argument"),
    ],
)
def test_a_mark_that_no_table_has_ends_the_run(folder: Path, mark: str, complaint: str) -> None:
    (folder / "vllm" / "test_it.py").write_text(f"import pytest\n\n@pytest.mark.feature({mark})\ndef test_it(): ...\n")
    run = run_pytest(folder, folder / "seen.json")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert complaint in run.stderr


# How tables are made of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "shown", "texts"),
    [
        ([], "", []),
        (["yes"], "✓", []),
        (["yes", "yes: with a flag"], "✓ [1]", ["with a flag"]),
        (["yes: b", "yes: a"], "✓ [1] [2]", ["a", "b"]),
        (["no: it is blind", "no: it is blind"], "– [1]", ["it is blind"]),
    ],
)
def test_cells(verdicts: list[str], shown: str, texts: list[str]) -> None:
    notes = Notes()
    assert (cell(verdicts, notes), notes.texts) == (shown, texts)


def test_tests_that_contradict_each_other_make_no_table() -> None:
    with pytest.raises(ValueError, match="contradict"):
        cell(["yes", "no: it is blind"], Notes())


def test_equal_notes_have_one_number() -> None:
    test = "integrations/x/test_live.py::test_it"
    seen = {Finding(host, "text", test, "yes: with a flag") for host in ("vllm", "mlx_vlm")}
    lines = list(features.feature_table({*seen, Finding("vllm", "images", test, "no: it is blind")}))
    assert lines[0] == f"| | {HOSTS['vllm'].name} | {HOSTS['mlx_vlm'].name} |"
    assert lines[2] == f"| {FEATURES['text']} | ✓ [1] | ✓ [1] |"
    assert lines[-2:] == ["1. with a flag", "2. it is blind"]


def test_a_claim_that_was_not_seen_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = read(RECORD)
    write(tmp_path / "seen.json", recorded)
    assert features.main(["--check", str(tmp_path / "seen.json")]) == 0
    missing = min(recorded)
    write(tmp_path / "seen.json", recorded - {missing})
    assert features.main(["--check", str(tmp_path / "seen.json")]) == 1
    assert missing.test in capsys.readouterr().err
