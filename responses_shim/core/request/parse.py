"""A request body as a checked CreateRequest, or one 4xx that names the field."""

from __future__ import annotations

from typing import Any

from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.validation import convert, missing, unsupported

UNSUPPORTED = {
    "previous_response_id": "responses are not stored here; send the whole conversation in 'input'.",
    "conversation": "conversations are not stored here; send the whole conversation in 'input'.",
    "background": "there are no background responses here; leave it out or send false.",
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
    for name, instead in UNSUPPORTED.items():
        if getattr(request, name) not in (None, False, []):
            raise unsupported(name, f"'{name}': {instead}")
    cache = request.prompt_cache_options
    if request.generate is False or (cache is not None and cache.prewarm):
        name = "generate" if request.generate is False else "prompt_cache_options.prewarm"
        raise unsupported(name, f"'{name}': {WARM_UP}")
    return request
