"""A request as the shim prepares it for a host, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.request.parse import parse_request
from responses_shim.core.request.prepare import PreparedRequest, prepare
from tests.core.driver import Json

CREATED_AT = 1_700_000_000


def body(**fields: Any) -> Json:
    """The smallest request, and these fields."""
    return {"model": "m", "input": "Hi", **fields}


def prepared(
    *, history: Sequence[Json] = (), options: TranslationOptions = DEFAULT_OPTIONS, **fields: Any
) -> PreparedRequest:
    """The smallest request, and these fields, parsed and prepared."""
    return prepare_body(body(**fields), history=history, options=options)


def prepare_body(
    body: Any, *, history: Sequence[Json] = (), options: TranslationOptions = DEFAULT_OPTIONS
) -> PreparedRequest:
    """Whatever a client has sent, parsed and prepared."""
    return prepare(parse_request(body), history=history, options=options, response_id="resp_1", created_at=CREATED_AT)
