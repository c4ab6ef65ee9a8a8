"""What became of a request's fields: the value of the `Responses-Shim-Report` header.

Only fields that were not simply passed on to the host are in it. The header is a structured field dictionary
(RFC 9651) of inner lists of strings; each string is the path of a request field, as in error messages:

    mapped=("max_output_tokens"), dropped=("tools[2]" "truncation"), defaulted=("store")

- mapped: passed to the host under another name or in another form
- dropped: accepted, but without effect on this host
- defaulted: replaced by the default

and three that say how the format of an answer beside tools was seen to:

- composed: the host enforces it on the answer, and lets the model call tools
- described: it was described to the model in words
- repaired: the answer was not in the format all the same, and was made so

and a number, `retries=2`: how many times the host was asked again before it answered.
"""

from __future__ import annotations

import re
from urllib.parse import quote

MAX_BYTES = 2048
"""The longest header value, in bytes."""
MAX_PATHS = 1000
"""How many paths are kept: far more than the header has room for."""

_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\%')
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.\[\]]*")  # paths that contain no key chosen by the client need no escaping


class Report:
    """Collects what became of each field. Of a field that is reported several times, the last report counts.

    `tools` are the paths of the chat request's tools, in their order: with these a host's profile reports a tool.
    `media` is how many images, videos and sounds have been found so far.
    """

    def __init__(self) -> None:
        self.tools: list[str] = []
        self.media = 0
        self._outcomes: dict[str, str] = {}
        self._retries = 0

    def mapped(self, path: str) -> None:
        """The field at `path` goes to the host under another name or in another form."""
        self._record("mapped", path)

    def is_mapped(self, path: str) -> bool:
        """Whether that is the outcome of the field at `path`."""
        return self._outcomes.get(path) == "mapped"

    def dropped(self, path: str) -> None:
        """The field at `path` has no effect on this host."""
        self._record("dropped", path)

    def defaulted(self, path: str) -> None:
        """The field at `path` is replaced by its default."""
        self._record("defaulted", path)

    def composed(self, path: str) -> None:
        """The format at `path` is enforced by the host, which lets the model call tools all the same."""
        self._record("composed", path)

    def described(self, path: str) -> None:
        """The format at `path` is described to the model in words."""
        self._record("described", path)

    def repaired(self, path: str) -> None:
        """The answer was not in the format at `path`, and was made so."""
        self._record("repaired", path)

    def retried(self) -> None:
        """The host was asked once more, having refused the request."""
        self._retries += 1

    def include(self, other: Report) -> None:
        """What another report says of fields goes into this one too."""
        for path, outcome in other._outcomes.items():
            self._record(outcome, path)

    def _record(self, outcome: str, path: str) -> None:
        path = path[: MAX_BYTES + 1]  # a longer one does not fit either, and may have keys of megabytes
        if self._outcomes.get(path) != outcome:
            known = self._outcomes.pop(path, None)  # so that it goes to the end
            if known is not None or len(self._outcomes) < MAX_PATHS:
                self._outcomes[path] = outcome

    def header(self) -> str:
        """The header's value: visible ASCII and spaces, at most `MAX_BYTES`; `truncated=?1` when not all fit."""
        paths_by_outcome: dict[str, list[str]] = {}
        for path, outcome in self._outcomes.items():
            paths_by_outcome.setdefault(outcome, []).append(path)
        last = [f"retries={self._retries}"] if self._retries else []
        members = []
        bytes_left = MAX_BYTES - len(", truncated=?1") - sum(len(member) + len(", ") for member in last)
        for outcome, paths in paths_by_outcome.items():
            strings = []
            bytes_left -= len(outcome) + len("=(), ")
            for path in paths:
                string = f'"{path if _PLAIN_PATH.fullmatch(path) else quote(path, safe=_VISIBLE)}"'
                bytes_left -= len(string) + 1
                if bytes_left < 0:
                    break
                strings.append(string)
            if strings:
                members.append(f"{outcome}=({' '.join(strings)})")
            if bytes_left < 0:
                last.append("truncated=?1")
                break
        return ", ".join([*members, *last])
