"""The ids of one response and of its items. They cannot be guessed, and sort in the order in which they were given."""

from __future__ import annotations

import secrets
from itertools import count


class Ids:
    """Ids in OpenAI's form: a prefix (`resp`, `msg`, `fc`, …), an underscore and 32 hexadecimal digits.

    Those of the items of a response end in a number, because some clients sort items by id (Haystack).
    """

    def __init__(self) -> None:
        random = secrets.token_hex(28)  # one call to the system a response, not one an item
        self.response = f"resp_{random[:32]}"
        """The id of the response."""
        self._random = random[32:]
        self._number = count(1).__next__

    def new(self, prefix: str) -> str:
        """An id for an item, or for a call whose host gave none. There are 4,294,967,295 of them."""
        return f"{prefix}_{self._random}{self._number():08x}"
