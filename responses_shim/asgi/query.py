"""The query string of a route: its values, checked, or one 400 that names the wrong one."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.types import Scope

from responses_shim.core.wire.requests import Include
from responses_shim.core.wire.validation import convert, quoted
from responses_shim.errors import InvalidRequest

MAX_QUERY = 8_192
"""The longest query string that is read, in bytes."""
MAX_PAGE = 100
DEFAULT_PAGE = 20


class Query:
    """The values of one query string. Each method raises InvalidRequest that names a value that is wrong.

    Of a key that occurs several times the last value counts. Keys that no route knows are ignored.
    """

    def __init__(self, scope: Scope) -> None:
        query = scope.get("query_string", b"")
        if len(query) > MAX_QUERY:
            raise InvalidRequest(
                f"The query string is longer than {MAX_QUERY} bytes.", status=414, code="invalid_value"
            )
        self._values = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=None)

    def text(self, name: str) -> str | None:
        """A string; None if there is none, or an empty one."""
        values = self._values.get(name)
        return (values[-1] or None) if values else None

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """A decimal integer between two others."""
        text = self.text(name)
        if text is None:
            return default
        digits = text[1:] if text[0] in "+-" else text
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18 or not least <= int(text) <= most:
            raise self._wrong(name, f"an integer from {least} to {most}")
        return int(text)

    def flag(self, name: str) -> bool:
        """`true` or `false`; false if there is none."""
        text = self.text(name)
        if text in (None, "false", "False", "0"):
            return False
        if text in ("true", "True", "1"):
            return True
        raise self._wrong(name, "'true' or 'false'")

    def newest_first(self) -> bool:
        """`order`: `desc`, the default, or `asc`."""
        order = self.text("order")
        if order not in (None, "asc", "desc"):
            raise self._wrong("order", "'asc' or 'desc'")
        return order != "asc"

    def limit(self) -> int:
        """`limit`: how many items a page has at most."""
        return self.integer("limit", DEFAULT_PAGE, 1, MAX_PAGE)

    def after(self) -> str | None:
        """`after`: the id of the item before the page."""
        if self.text("after") is not None and self.text("before") is not None:
            raise InvalidRequest("'after' and 'before' are mutually exclusive.", param="before", code="invalid_value")
        if self.text("before") is not None:
            raise InvalidRequest("'before' is not supported; use 'after'.", param="before", code="unsupported_value")
        return self.text("after")

    def check_include(self) -> None:
        """`include`, or `include[]`: values that the API knows. What they ask for is in the items, if it was made."""
        for name in ("include", "include[]"):
            if values := self._values.get(name):
                convert([value for joined in values for value in joined.split(",")], list[Include], "include")

    def _wrong(self, name: str, expected: str) -> InvalidRequest:
        return InvalidRequest(
            f"Invalid '{name}': {quoted(self.text(name))}. Expected {expected}.", param=name, code="invalid_value"
        )
