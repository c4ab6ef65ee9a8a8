"""The child process that reads PDFs: the text, the exit statuses, and the limits that it sets itself."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from io import BytesIO, TextIOWrapper

import pytest

from responses_shim.runtime import pdf
from tests.runtime.pdfs import drawn, pdf_of

ENOUGH = 1000


def test_pages_are_separated_by_a_blank_line() -> None:
    assert pdf.extract_text(pdf_of("One", "Two"), ENOUGH) == (pdf.READ, "One\n\nTwo")


def test_pages_without_text_are_skipped() -> None:
    assert pdf.extract_text(pdf_of("One", "", "Two"), ENOUGH) == (pdf.READ, "One\n\nTwo")


def test_a_pdf_that_is_encrypted_with_an_empty_password_is_read() -> None:
    """Such files are only restricted (no printing, no changes): any reader opens them."""
    restricted = pdf_of("One", user_password="", owner_password="o", algorithm="AES-256")
    assert pdf.extract_text(restricted, ENOUGH) == (pdf.READ, "One")


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_a_pdf_with_a_password_is_encrypted(algorithm: str) -> None:
    assert pdf.extract_text(pdf_of("One", user_password="u", algorithm=algorithm), ENOUGH) == (pdf.ENCRYPTED, "")


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.7\n", b"%PDF-1.7\nnonsense\n%%EOF", pdf_of("One")[:300], pdf_of("One").replace(b"/", b"(")]
)
def test_anything_but_a_complete_pdf_is_damaged(data: bytes) -> None:
    assert pdf.extract_text(data, ENOUGH) == (pdf.DAMAGED, "")


def test_a_pdf_that_decompresses_to_too_much_is_damaged() -> None:
    data = drawn(b" " * 80 * 1024 * 1024)
    assert len(data) < 100_000
    assert pdf.extract_text(data, ENOUGH) == (pdf.DAMAGED, "")


def test_a_pdf_without_any_text_gives_no_text() -> None:
    assert pdf.extract_text(pdf_of("", ""), ENOUGH) == (pdf.NO_TEXT, "")


def test_the_limit_of_characters_is_for_all_pages_together() -> None:
    data = pdf_of("x" * 6, "y" * 4)
    assert pdf.extract_text(data, 10) == (pdf.READ, "xxxxxx\n\nyyyy")
    assert pdf.extract_text(data, 9) == (pdf.TOO_LONG, "")


def test_the_child_limits_its_time_and_memory_and_writes_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: limits.update({kind: pair}))
    data = pdf_of("One")
    out = BytesIO()
    monkeypatch.setattr(pdf, "extract_text", lambda data, limit: (pdf.READ, f"é\ud800{len(data)}, {limit}"))
    monkeypatch.setattr(sys, "argv", ["-c", "99", "7"])
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(data)))
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(out))
    assert pdf.main() == pdf.READ
    assert limits[resource.RLIMIT_CPU] == (7, 7)
    assert limits[resource.RLIMIT_AS] == (pdf.MAX_MEMORY + 8 * len(data),) * 2
    assert out.getvalue() == f"é?{len(data)}, 99".encode()


def run(data: bytes, seconds: float = 10) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(pdf.command(ENOUGH, seconds), input=data, capture_output=True, timeout=60, check=False)


def test_the_child_writes_the_text_to_standard_output() -> None:
    done = run(pdf_of("One"))
    assert (done.returncode, done.stdout, done.stderr) == (pdf.READ, b"One", b"")


def test_the_child_ends_by_itself_when_its_processor_time_is_used_up() -> None:
    """It has one second for a file that takes several."""
    slow = drawn(*[b"BT /F1 12 Tf " + b"(a) Tj 0 0 Td " * 200_000 + b"ET"] * 5)
    assert run(slow, seconds=0).returncode < 0


def test_the_child_imports_from_where_this_process_does(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from a directory that was only added to `sys.path`."""
    package = os.path.join(tmp_path, "pypdf")
    os.mkdir(package)
    with open(os.path.join(package, "__init__.py"), "w") as source:
        source.write("raise SystemExit(42)")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(b"").returncode == 42
