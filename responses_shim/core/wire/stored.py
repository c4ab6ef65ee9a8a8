"""A response as it is stored: its JSON without the output, whose items are stored one by one, and both together again.

What comes back is byte for byte what the client got at the end of the response.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from responses_shim.core.wire.kept_json import encode_kept
from responses_shim.core.wire.responses import Response, ResponseError

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def without_output(response: Response) -> bytes:
    """The JSON of a response with an empty output."""
    return encode_kept(replace(response, output=[]))


def output_of(response: Response) -> list[tuple[str, bytes]]:
    """The id and the JSON of each item of the output."""
    return [(item.id, encode_kept(item)) for item in response.output]


def with_output(data: bytes, output: Sequence[bytes], status: str) -> Raw:
    """The JSON of a response, from that without its output and that of the items, with the status that it has now."""
    fields = _decode_fields(data)
    fields["status"] = Raw(_encode(status))
    fields["output"] = Raw(b"[" + b",".join(output) + b"]")
    return Raw(_encode(fields))


def ended(data: bytes, status: str, error: ResponseError | None = None) -> bytes:
    """The JSON of a response without its output, ended with another status from outside of its run."""
    fields = _decode_fields(data)
    fields["status"] = Raw(_encode(status))
    fields["error"] = Raw(_encode(error))
    return encode_kept(fields)


def waits_for_outputs(data: bytes) -> bool:
    """Whether a response waits for the outputs of its calls, as long as it has not ended."""
    return "tool_outputs" in _decode_fields(data)


def conversation_of(data: bytes) -> str | None:
    """The id of the conversation that a response was made in."""
    conversation = _decode_fields(data).get("conversation")
    found = msgspec.json.decode(conversation, type=dict[str, str] | None) if conversation is not None else None
    return found["id"] if found is not None else None


def runs_in_background(data: bytes) -> bool:
    """Whether a response was asked for in the background."""
    return bytes(_decode_fields(data)["background"]) == b"true"
