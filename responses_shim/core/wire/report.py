"""What became of a request's fields: the value of the `Responses-Shim-Report` header.

Only what differs from plain pass-through is told. The header is a structured field dictionary (RFC 9651) of inner
lists of strings, each string the path of a request field as in error messages:

    mapped=("max_output_tokens"), dropped=("tools[2]" "truncation"), defaulted=("store")

- mapped: honoured by the host under another name or in another form
- dropped: accepted, but without effect on this host
- defaulted: replaced by the default
"""

from __future__ import annotations

from urllib.parse import quote

MAX_BYTES = 2048

_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\%')


class Report:
    """Collects paths in the order they are met. A path is told once: the last word on it counts.

    `tools` are the paths of the chat request's tools, in their order: a host's profile tells of a tool by it.
    """

    def __init__(self) -> None:
        self.tools: list[str] = []
        self._told: dict[str, str] = {}

    def mapped(self, path: str) -> None:
        self._tell("mapped", path)

    def dropped(self, path: str) -> None:
        self._tell("dropped", path)

    def defaulted(self, path: str) -> None:
        self._tell("defaulted", path)

    def _tell(self, what: str, path: str) -> None:
        if self._told.get(path) != what:
            self._told.pop(path, None)
            self._told[path] = what

    def header(self) -> str:
        """The header's value: visible ASCII and spaces, at most `MAX_BYTES`; `truncated=?1` when not all fit."""
        lists: dict[str, list[str]] = {}
        for path, what in self._told.items():
            lists.setdefault(what, []).append(path)
        members = []
        room = MAX_BYTES - len(", truncated=?1")
        for what, paths in lists.items():
            told = []
            room -= len(what) + len("=(), ")
            for path in paths:
                entry = f'"{quote(path, safe=_VISIBLE)}"'
                room -= len(entry) + 1
                if room < 0:
                    break
                told.append(entry)
            if told:
                members.append(f"{what}=({' '.join(told)})")
            if room < 0:
                members.append("truncated=?1")
                break
        return ", ".join(members)
