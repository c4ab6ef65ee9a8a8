"""The exception for a command that cannot go on for a known reason."""

from __future__ import annotations

from collections.abc import Sequence


class CommandFailed(Exception):
    """A command cannot go on. The message is one line that says why and, where possible, what to do.

    - `details`: lines to print below it, such as the end of a log
    - `exit_code`: 2 if the command line or the installation is at fault, 1 if something failed later
    """

    def __init__(self, message: str, *, details: Sequence[str] = (), exit_code: int = 1) -> None:
        super().__init__(message)
        self.details = tuple(details)
        self.exit_code = exit_code
