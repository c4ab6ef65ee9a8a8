"""A command that cannot go on, told in one line."""

from __future__ import annotations

from collections.abc import Sequence


class CommandFailed(Exception):
    """The message is one line that says what to do; `details` are lines to show below it: the end of a log.

    `exit_code` is 2 where the command line or the installation is at fault, 1 where something failed later.
    """

    def __init__(self, message: str, *, details: Sequence[str] = (), exit_code: int = 1) -> None:
        super().__init__(message)
        self.details = tuple(details)
        self.exit_code = exit_code
