"""The process that reads a PDF: its text, why there is none, and the bounds it puts on itself."""

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


def test_the_pages_stand_apart() -> None:
    assert pdf.text_of(pdf_of("One", "Two"), ENOUGH) == (pdf.READ, "One\n\nTwo")


def test_pages_without_text_leave_no_gap() -> None:
    assert pdf.text_of(pdf_of("One", "", "Two"), ENOUGH) == (pdf.READ, "One\n\nTwo")


def test_what_is_encrypted_without_a_password_is_read() -> None:
    """That is how a file is kept from being printed or changed: any reader opens it."""
    restricted = pdf_of("One", user_password="", owner_password="o", algorithm="AES-256")
    assert pdf.text_of(restricted, ENOUGH) == (pdf.READ, "One")


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_what_has_a_password_is_encrypted(algorithm: str) -> None:
    assert pdf.text_of(pdf_of("One", user_password="u", algorithm=algorithm), ENOUGH) == (pdf.ENCRYPTED, "")


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.7\n", b"%PDF-1.7\nnonsense\n%%EOF", pdf_of("One")[:300], pdf_of("One").replace(b"/", b"(")]
)
def test_what_is_no_whole_pdf_is_damaged(data: bytes) -> None:
    assert pdf.text_of(data, ENOUGH) == (pdf.DAMAGED, "")


def test_a_bomb_is_damaged() -> None:
    data = drawn(b" " * 80 * 1024 * 1024)
    assert len(data) < 100_000
    assert pdf.text_of(data, ENOUGH) == (pdf.DAMAGED, "")


def test_a_scan_has_no_text() -> None:
    assert pdf.text_of(pdf_of("", ""), ENOUGH) == (pdf.TEXTLESS, "")


def test_text_is_counted_over_all_pages() -> None:
    data = pdf_of("x" * 6, "y" * 4)
    assert pdf.text_of(data, 10) == (pdf.READ, "xxxxxx\n\nyyyy")
    assert pdf.text_of(data, 9) == (pdf.TOO_LONG, "")


def test_the_process_binds_itself_and_writes_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {}
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: bounds.update({kind: pair}))
    data = pdf_of("One")
    out = BytesIO()
    monkeypatch.setattr(pdf, "text_of", lambda data, longest: (pdf.READ, f"é\ud800{len(data)}, {longest}"))
    monkeypatch.setattr(sys, "argv", ["-c", "99", "7"])
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(data)))
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(out))
    assert pdf.main() == pdf.READ
    assert bounds[resource.RLIMIT_CPU] == (7, 7)
    assert bounds[resource.RLIMIT_AS] == (pdf.MEMORY + 8 * len(data),) * 2
    assert out.getvalue() == f"é?{len(data)}, 99".encode()


def run(data: bytes, seconds: float = 10) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(pdf.command(ENOUGH, seconds), input=data, capture_output=True, timeout=60, check=False)


def test_the_process_reads() -> None:
    done = run(pdf_of("One"))
    assert (done.returncode, done.stdout, done.stderr) == (pdf.READ, b"One", b"")


def test_the_process_ends_by_itself_when_nobody_ends_it() -> None:
    """A second of processor time, for what would take several."""
    slow = drawn(*[b"BT /F1 12 Tf " + b"(a) Tj 0 0 Td " * 200_000 + b"ET"] * 5)
    assert run(slow, seconds=0).returncode < 0


def test_the_process_finds_what_this_one_finds(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the package was not installed but is found by a path that somebody added."""
    package = os.path.join(tmp_path, "pypdf")
    os.mkdir(package)
    with open(os.path.join(package, "__init__.py"), "w") as source:
        source.write("raise SystemExit(42)")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(b"").returncode == 42
