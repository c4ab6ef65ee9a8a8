"""What every kind of tool has: a declaration, past calls, and a call while it grows."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from responses_shim.core.items.base import ItemBuilder, Number
from responses_shim.core.wire.events import (
    Event,
)
from responses_shim.core.wire.lenient_json import writable_json
from responses_shim.core.wire.responses import (
    ItemStatus,
)
from responses_shim.core.wire.validation import check_depth, missing, too_deep, wrong_type

# How what was meant as JSON begins, and a shell command hardly ever: a shell has a blank behind its brackets.
_LOOKS_LIKE_JSON = re.compile(r"\s*(?:\{(?:\S|\s*[\"}])|\[+(?:[^\s\[]|\s*\n))")


class CallBuilder(ItemBuilder):
    """One call. `call_id` is the host's, or was made for it; `arguments` takes what the host sends of its JSON.

    `prefix` is that of the item's id.
    """

    prefix = "fc"
    unwraps = False
    """The text is taken out of a JSON string: only pieces without an escape or a quote are pieces of the text."""

    def __init__(self, id: str, index: int, number: Number, call_id: str) -> None:
        super().__init__(id, index, number)
        self.call_id = call_id

    @abstractmethod
    def arguments(self, delta: str, events: list[Event]) -> None: ...


class NamedCallBuilder(CallBuilder):
    """A call of a tool that the client has named, perhaps in a namespace."""

    def __init__(
        self, id: str, index: int, number: Number, call_id: str, name: str, namespace: str | UnsetType = UNSET
    ) -> None:
        super().__init__(id, index, number, call_id)
        self._name = name
        self._namespace = namespace


class ReadCallBuilder(CallBuilder):
    """A call whose item is read from the whole of its JSON; of a call that was cut there is nothing to read."""

    def __init__(self, id: str, index: int, number: Number, call_id: str) -> None:
        super().__init__(id, index, number, call_id)
        self._read: dict[str, Any] = {}

    def arguments(self, delta: str, events: list[Event]) -> None:
        self.pieces.append(delta)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        read = read_arguments("".join(self.pieces))
        if isinstance(read, dict):
            self._read = read
        elif isinstance(read, (str, list)) and status == "completed":
            self._read = self.bare(read)

    def bare(self, said: str | list[Any]) -> dict[str, Any]:
        """What text or a list says that stands there without the object around it."""
        return {}


def read_arguments(raw: str) -> Any:
    """What stands there, read as models write it: with raw line ends in strings, or no JSON at all; None if nothing."""
    try:
        read = json.loads(raw, strict=False)
        if isinstance(read, str) and read.lstrip().startswith("{"):
            return read_arguments(read)  # written as JSON twice, as some chat templates do to the calls that they show
        return None if too_deep(read) else writable_json(read)
    except (ValueError, RecursionError):
        return None if _LOOKS_LIKE_JSON.match(raw) or not raw.strip() else raw


def strings(value: Any) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def object_or_empty(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


Item = dict[str, Any]

Function = dict[str, Any]


class Form(ABC):
    """One form of tool. `kind` is the tool's `type`, `call` that of its calls; `output` makes a call of it."""

    kind: ClassVar[str]
    call: ClassVar[str]
    output: ClassVar[type[CallBuilder]]

    @abstractmethod
    def arguments(self, item: Item, path: str) -> str:
        """The JSON that the function was called with, from the item of the call."""
        ...


class OwnForm(Form):
    """A tool that the API itself defines: the client gives its type and nothing else."""

    function: ClassVar[Function]

    def offer(self) -> Function:
        return self.function | {"strict": True}


def flat(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool, or the choice of one, in this API's form: out of habit clients nest it under its type, as chat does."""
    kind = tool.get("type")
    inner = tool.get(kind) if kind in ("function", "custom", "allowed_tools") else None
    return {**inner, "type": kind} if isinstance(inner, dict) else tool


def object_field(item: Item, key: str, path: str) -> dict[str, Any]:
    value = item.get(key)
    if value is None:
        raise missing(f"{path}.{key}")
    if not isinstance(value, dict):
        raise wrong_type(f"{path}.{key}", "an object")
    check_depth(value, f"{path}.{key}")
    return value


def without_nulls(fields: dict[str, Any]) -> str:
    """The fields that say something; `{}` and null are what a model leaves out."""
    return spaced_json({name: value for name, value in fields.items() if value not in (None, {})})


def spaced_json(value: Any) -> str:
    """As Python writes JSON, and so chat templates, and so the models that were shown it: with a space behind each
    colon and comma. Where a template shows past calls as they stand, they are then what the model wrote and the host
    has cached.
    """
    return json.dumps(value, ensure_ascii=False)
