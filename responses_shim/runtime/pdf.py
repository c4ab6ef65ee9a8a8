"""The text of a PDF, taken out by a process of its own; this module is what that process runs.

Parsing is pure Python, so in a thread it would take the host's event loop its turns for seconds, and a thread
cannot be killed when a hostile file keeps it busy for ever. A child can, and its memory can be limited. It is a
plain child and not one of anyio's worker processes: those run the host's main script once more.
Imports the standard library only, so that the child starts fast.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from io import BytesIO

READ, ENCRYPTED, DAMAGED, TEXTLESS, TOO_LONG = 0, 10, 11, 12, 13
"""What the child ends with: its exit status."""

MEMORY = 1024**3
"""Bytes a child may take besides the file."""

_PROGRAM = """
import sys
sys.path[:] = sys.argv[3:]
from responses_shim.runtime import pdf
sys.exit(pdf.main())
"""


def command(longest: int, seconds: float) -> list[str]:
    """The child: a PDF on stdin, its text in UTF-8 on stdout. It imports from where this process imports."""
    return [sys.executable, "-c", _PROGRAM, str(longest), str(int(seconds) + 1), *sys.path]


def main() -> int:
    longest, seconds = map(int, sys.argv[1:3])
    data = sys.stdin.buffer.read()
    _confine(MEMORY + 8 * len(data), seconds)
    status, text = text_of(data, longest)
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))  # a bad font makes half surrogates
    return status


def _confine(memory: int, seconds: int) -> None:
    """Bounds that hold although the parent is gone. Not every system has them."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def text_of(data: bytes, longest: int) -> tuple[int, str]:
    """READ and the text of all pages, a blank line between two; or why there is none."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    pages: list[str] = []
    length = 0
    try:
        for page in PdfReader(BytesIO(data)).pages:
            if text := page.extract_text().replace("\0", "").strip():
                pages.append(text)
                length += len(text)
            if length > longest:
                return TOO_LONG, ""
    except (DependencyError, FileNotDecryptedError):
        return ENCRYPTED, ""
    except Exception:  # a damaged file makes pypdf raise whatever a wrong assumption raises, MemoryError included
        return DAMAGED, ""
    return (READ, "\n\n".join(pages)) if pages else (TEXTLESS, "")
