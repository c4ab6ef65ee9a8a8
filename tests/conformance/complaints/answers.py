"""Frequent complaints about other servers of the Responses API, and what happens here instead.

They are about engines, gateways and proxies, and come from people whose agents broke on them. Each test has the number
of its complaint, of which there are twenty-five, and says in its docstring what it was about; those in
`test_less_frequent.py` have none. What would need stored state is not there yet; the tests check that such a request is
refused by name and never ignored.

This module has what several of the files share.
"""

from __future__ import annotations

from tests.conformance.asking import Json
from tests.scripted import DONE, Step, chunk, usage

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE: Json = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}


def calling(*deltas: list[Json], finish_reason: str = "tool_calls") -> list[Step]:
    """An answer of one chunk for each of these lists of `tool_calls`."""
    chunks = [chunk(tool_calls=calls) for calls in deltas]
    return [chunk("", role="assistant"), *chunks, chunk(finish_reason=finish_reason), chunk(usage=usage(20, 9)), DONE]
