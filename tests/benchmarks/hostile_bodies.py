"""Makes the bodies of hostile requests, of any size."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from responses_shim.asgi.body import allowed_nodes
from responses_shim.asgi.large_request import ITEM_SIZE, MAX_ITEMS

Body = Callable[[int], bytes]
"""From a number of bytes to a body of about as many."""

HERE = "@"
"""What a request has in the place of the part that grows."""
FILLING = "~"
"""What it has in the place of a text that fills it up to its size."""
MAX_NODES = 100_000
"""How many arrays, objects and keys any body may have by default."""


def request(**fields: Any) -> str:
    """A request as JSON."""
    return json.dumps({"model": "m", "stream": True, "input": "Hi", **fields})


def item(**fields: Any) -> str:
    """A request with an item behind its message."""
    return request(input=[{"role": "user", "content": "Hi"}, fields])


def parts(*parts: Any) -> str:
    """A request with a message of these parts."""
    return request(input=[{"role": "user", "content": parts}])


def many(text: str, unit: str, last: str = "", first: str = "") -> Body:
    """The request `text` with as many of `unit` as fit in the place of `"@"`, between `first` and `last`."""
    head, tail = text.split(f'"{HERE}"')

    def body(size: int) -> bytes:
        data = unit.encode()
        return (head + first).encode() + data * (size // len(data)) + (last + tail).encode()

    return body


def long(text: str, unit: str = "A", last: str = "", first: str = "") -> Body:
    """The same in a string."""
    return many(text, unit, f'{last}"', f'"{first}')


def numbered(text: str, unit: str) -> Body:
    """The same with units in which `%d` is a number, another one in each, separated by commas."""
    head, tail = text.split(f'"{HERE}"')

    def body(size: int) -> bytes:
        return (head + ",".join(unit % number for number in range(size // (len(unit) + 4))) + tail).encode()

    return body


def as_many_as_are_allowed(
    text: str, unit: str, nodes: int, most: Callable[[int], int] = lambda size: MAX_NODES
) -> Body:
    """The same with as many units as the limits allow, and text that fills the request up to its size.

    A unit has so many arrays, objects and keys; `most` is how many of it are allowed in a body of a number of bytes.
    """

    def body(size: int) -> bytes:
        count = min(
            (allowed_nodes(size, MAX_NODES) - 100) // nodes, most(size), size // (len(unit) + 4 * unit.count("%d"))
        )
        data = ",".join(unit.replace("%d", str(number)) for number in range(count))
        return text.replace(f'"{HERE}"', data).replace(FILLING, "A" * max(0, size - len(data) - len(text))).encode()

    return body


def most_items(size: int) -> int:
    """How many items a body of that many bytes may have behind its message."""
    return max(MAX_ITEMS, size // ITEM_SIZE) - 1


def allowed_late_calls(size: int) -> bytes:
    """Outputs before their calls, as many as are allowed."""
    pair = range(min(most_items(size) // 2, (allowed_nodes(size, MAX_NODES) - 100) // 9, size // 145))
    outputs = [{"type": "function_call_output", "call_id": f"c{n}", "output": ""} for n in pair]
    calls = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{"} for n in reversed(pair)]
    data = request(input=[{"role": "user", "content": FILLING}, *outputs, *calls])
    return data.replace(FILLING, "A" * max(0, size - len(data))).encode()


def small(text: str) -> Body:
    """A request that does not grow."""
    return lambda size: text.encode()


def late_calls(size: int) -> bytes:
    """Outputs of calls that come in the opposite order behind them."""
    pair = range(size // 110)
    outputs = [{"type": "function_call_output", "call_id": f"c{n}", "output": ""} for n in pair]
    calls = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{"} for n in reversed(pair)]
    return request(input=outputs + calls).encode()


def allowed_namespaces(size: int) -> bytes:
    """Tools of one namespace, and a `tool_choice` that allows that namespace again and again."""
    count = size // 80
    tools = [{"type": "function", "name": f"f{number}"} for number in range(count)]
    allowed = [{"type": "namespace", "name": "n"}] * count
    return request(
        tools=[{"type": "namespace", "name": "n", "tools": tools}],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": allowed},
    ).encode()
