"""The tools of these tests, and `read`, which reads an answer that comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from responses_shim.core.response.tool_markup import Form, Functions, blocks_of
from responses_shim.core.response.tool_markup.reader import MarkupReader
from responses_shim.core.response.tool_markup.source import Call, Text

Json = dict[str, Any]


def object_schema(**properties: Json) -> Json:
    return {"type": "object", "properties": properties}


SCHEMAS: dict[str, Json] = {
    "get_weather": object_schema(
        city={"type": "string"},
        days={"type": "integer"},
        detailed={"type": "boolean"},
        options={"type": "object"},
        note={"anyOf": [{"type": "string"}, {"type": "null"}]},
    ),
    "write_file": object_schema(path={"type": "string"}, content={"type": "string"}, mode={"type": "integer"}),
    "get_time": object_schema(),
    "search_everything": object_schema(query={"type": "string"}, tags={"type": "array"}),
}


class Read(NamedTuple):
    """What was read: the text, the calls with the JSON text of their arguments, and whether one was not closed."""

    text: str
    calls: list[tuple[str, str]]
    unclosed: bool = False


def read(
    pieces: Sequence[str],
    *,
    form: Form = "hermes",
    required: bool = False,
    cut: bool = False,
    schemas: dict[str, Json] = SCHEMAS,
) -> Read:
    """Read an answer that comes in these pieces."""
    reader = MarkupReader(blocks_of(form, required=required), Functions(schemas))
    found = [piece for text in pieces for piece in reader.feed(text)] + reader.close(cut=cut)
    text, calls = "", []
    for piece in found:
        if isinstance(piece, Text):
            assert piece.start >= len(text)
            text += piece.text
        elif isinstance(piece, Call):
            calls.append((piece.name, ""))
        else:
            name, arguments = calls.pop()
            calls.append((name, arguments + piece.json))
    return Read(text, calls, reader.unclosed)
