"""What a model is asked, and what it is given: the same in chat and in the Responses API."""

from __future__ import annotations

import base64
import struct
import zlib

from responses_shim.cli.doctor.lookup import Json, decode

SHORT, ANSWER, CALLS, LONG = 16, 96, 384, 1024
"""Token limits: of an answer that is to be short, of one to look at, of calls, of one that takes a while."""

HELLO = "Say hello in one sentence."
COUNT = "Count from 1 to 1000, one number in each line, without any other words."
WEATHER_QUESTION = "What is the weather in Paris? Call get_weather."
CITIES_QUESTION = "What is the weather in Paris and in Rome? Call get_weather twice, once for each city, both at once."
CITY_QUESTION = "Name a large city and how many people live there."
THOUGHT = "The user wants the weather. The secret word of this thought is pineapple, and its number is 8128."

_CITY: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": _CITY,
}
TIME: Json = {"type": "function", "name": "get_time", "description": "The time in a city.", "parameters": _CITY}
"""Two function tools, in the form of the Responses API."""

CITY_SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


def chat_tool(tool: Json) -> Json:
    """A function tool of the Responses API in the form of chat."""
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def user(text: str) -> list[Json]:
    """The messages of a chat with one question."""
    return [{"role": "user", "content": text}]


def follows_schema(text: str) -> bool:
    """Whether a text is JSON in the form of `CITY_SCHEMA`."""
    value = decode(text)
    return (
        isinstance(value, dict)
        and value.keys() == {"city", "people"}
        and isinstance(value["city"], str)
        and isinstance(value["people"], int)
    )


def image(size: int) -> str:
    """A red square of so many pixels a side, a PNG file as a data URL."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\x00" + b"\xff\x00\x00" * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"
