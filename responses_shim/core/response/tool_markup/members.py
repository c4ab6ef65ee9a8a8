"""The arguments of one call, given out member by member, where each is in markup of its own."""

from __future__ import annotations

from responses_shim.core.response.tool_markup.functions import Function
from responses_shim.core.response.tool_markup.source import Arguments, Call, Source
from responses_shim.core.response.tool_markup.values import to_json


class Members:
    """Gives out a call with its first argument, and writes the JSON object of its arguments as they become known.

    Of two arguments with one name the first counts: what was given out cannot be taken back.
    """

    def __init__(self, source: Source, function: Function, call_id: str | None) -> None:
        self.function = function
        self.names: set[str] = set()
        """The names of the arguments so far."""
        self._source = source
        self._call_id = call_id

    def add(self, name: str, value: str) -> None:
        """Give out an argument; `value` is JSON."""
        if name not in self.names:
            self._begin(name, value)
        self._source.forget()

    def begin_string(self, name: str) -> None:
        """Give out the beginning of an argument that is a string, whose text follows."""
        self._begin(name, '"')

    def add_text(self, text: str) -> None:
        """Give out more of the string that was begun."""
        if text:
            self._source.pieces.append(Arguments(to_json(text)[1:-1]))

    def end_string(self) -> None:
        """The string that was begun is complete."""
        self._source.pieces.append(Arguments('"'))
        self._source.forget()

    def close(self) -> None:
        """The call is complete."""
        if not self.names:
            self._source.pieces.append(Call(self.function.name, self._call_id))
        self._source.pieces.append(Arguments("}" if self.names else "{}"))
        self._source.forget()

    def end_open(self) -> None:
        """The answer goes on with something else, or ends: the call is complete, unless the answer was cut."""
        self._source.unclosed = self._source.cut
        if not self._source.cut:
            self.close()

    def break_off(self) -> bool:
        """The answer has ended within an argument: the call stays as it is, or is none if nothing was given out."""
        self._source.unclosed = True
        if self.names:
            self._source.position = len(self._source.text)
        return bool(self.names)

    def _begin(self, name: str, value: str) -> None:
        if not self.names:
            self._source.pieces.append(Call(self.function.name, self._call_id))
        self._source.pieces.append(Arguments(f"{', ' if self.names else '{'}{to_json(name)}: {value}"))
        self.names.add(name)
