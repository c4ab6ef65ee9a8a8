"""A request body as a checked CreateRequest, or one 4xx that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from responses_shim.core.wire.requests import CreateRequest, JsonSchemaFormat
from responses_shim.core.wire.validation import check_depth, convert, missing, unsupported
from responses_shim.errors import InvalidRequest

STATE = {
    "background": "responses are not stored here, so none can run in the background; leave it out or send false.",
    "previous_response_id": "responses are not stored here; send the whole conversation in 'input'.",
    "conversation": "conversations are not stored here; send the whole conversation in 'input'.",
    "tool_outputs": "responses are not stored here, so none can wait; send the outputs in the next request's 'input'.",
}
"""Request fields that a server without a store cannot honour, and what to do instead."""

UNSUPPORTED = {
    "prompt": "there are no stored prompts here; send 'instructions' and 'input'.",
    "context_management": "there is no server-side compaction here; leave it out.",
    "moderation": "there is no moderation here; leave it out.",
}
"""Request fields that this server cannot honour, and what to do instead.

They are refused, because ignoring them would change the answer.
"""

WARM_UP = "a request cannot fill the prompt cache without an answer here; leave it out."
"""Why a request that only fills the prompt cache is refused: it would be answered, and paid for."""


def parse_request(body: Any) -> CreateRequest:
    """A request body (JSON data) as a checked request. Raises InvalidRequest that names the first field that is wrong.

    Input items and tools are checked later, when they are translated (`prepare`).
    """
    request: CreateRequest = convert(body, CreateRequest)
    if not request.model:
        raise missing("model")
    _refuse(request, UNSUPPORTED)
    for name, wanted in (("background", request.background), ("tool_outputs", request.tool_outputs == "wait")):
        if wanted and request.store is False:
            raise InvalidRequest(f"'{name}' can only be used when 'store' is true.", param=name, code="invalid_value")
    cache = request.prompt_cache_options
    if request.generate is False or (cache is not None and cache.prewarm):
        name = "generate" if request.generate is False else "prompt_cache_options.prewarm"
        raise unsupported(name, f"'{name}': {WARM_UP}")
    if request.text is not None and isinstance(request.text.format, JsonSchemaFormat):
        check_depth(request.text.format.schema, "text.format.schema")
    return request


def refuse_state(request: CreateRequest) -> None:
    """Raise InvalidRequest if a request needs a store: there is none."""
    _refuse(request, STATE)


def _refuse(request: CreateRequest, fields: Mapping[str, str]) -> None:
    for name, instead in fields.items():
        if getattr(request, name) not in (None, False, [], "end"):  # "end" of `tool_outputs`: nothing is asked for
            raise unsupported(name, f"'{name}': {instead}")
