"""Extract the text of a PDF. This module runs in a child process; `command` is how to start it.

Parsing is pure Python. In a thread it would slow down the host's event loop for seconds, and a thread that a hostile
file keeps busy cannot be stopped. A child process can be killed, and its memory can be limited. It is not one of
anyio's worker processes, because those run the host's main script again.

Only the standard library is imported at the top, so that the child starts fast.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from io import BytesIO

READ, ENCRYPTED, DAMAGED, NO_TEXT, TOO_LONG = 0, 10, 11, 12, 13
"""The exit statuses of the child."""

MAX_MEMORY = 1024**3
"""How many bytes of memory the child may use, besides eight times the size of the file."""

_PROGRAM = """
import sys
sys.path[:] = sys.argv[3:]
from responses_shim.runtime import pdf
sys.exit(pdf.main())
"""


def command(max_characters: int, seconds: float) -> list[str]:
    """The command of a child that reads a PDF from standard input and writes its text to standard output, in UTF-8.

    Its exit status is READ, or says why there is no text. It ends by itself after `seconds` of processor time, and
    imports modules from where this process does.
    """
    return [sys.executable, "-c", _PROGRAM, str(max_characters), str(int(seconds) + 1), *sys.path]


def main() -> int:
    """What the child does, with the arguments that `command` gives it. Returns its exit status."""
    max_characters, seconds = map(int, sys.argv[1:3])
    data = sys.stdin.buffer.read()
    _limit_resources(MAX_MEMORY + 8 * len(data), seconds)
    status, text = extract_text(data, max_characters)
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))  # a bad font may give half a surrogate pair
    return status


def _limit_resources(memory: int, seconds: int) -> None:
    """Limits that also hold when the parent process is gone. Some systems have none."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def extract_text(data: bytes, max_characters: int) -> tuple[int, str]:
    """READ and the text of all pages, with a blank line between two; or another exit status and an empty text."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    pages: list[str] = []
    length = 0
    try:
        for page in PdfReader(BytesIO(data)).pages:
            if text := page.extract_text().replace("\0", "").strip():
                pages.append(text)
                length += len(text)
            if length > max_characters:
                return TOO_LONG, ""
    except (DependencyError, FileNotDecryptedError):
        return ENCRYPTED, ""
    except Exception:  # on a damaged file pypdf raises anything, from KeyError to MemoryError
        return DAMAGED, ""
    return (READ, "\n\n".join(pages)) if pages else (NO_TEXT, "")
