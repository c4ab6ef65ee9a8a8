"""The operator's own code between a request and its chat call: it reads, changes or refuses, and reads the answer.

What goes wrong in it is the operator's to know, not the client's: it is logged under the interceptor's name, and the
client gets an error without insides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from responses_shim.core.wire.responses import Response
from responses_shim.errors import ConfigurationError, ShimError, UpstreamError
from responses_shim.runtime.offload import offload_if_large
from responses_shim.views.request import RequestView
from responses_shim.views.response import ResponseView

logger = logging.getLogger("responses_shim")

Checked = TypeVar("Checked")


class Interceptor(Protocol):
    """An async callable, called with each request that is valid, before it becomes a chat call.

    It may change the view in place and return None, or return another one. To refuse the request, it raises
    InvalidRequest, with the status, type and code that the client is to get; any other exception is a 500.
    `headers` are the client's, credentials included: names in lower case, several of one name joined by `, `.

    An interceptor that also has `async def finished(request: RequestView, response: ResponseView)` gets the request
    as the last interceptor left it, and its response, after the client has got its end. Nobody waits for that, and
    nothing can be changed. It is called for failed responses too, and not if the client left before the end.
    """

    async def __call__(self, view: RequestView, headers: Mapping[str, str], /) -> RequestView | None: ...


@runtime_checkable
class _Reader(Protocol):
    async def finished(self, request: RequestView, response: ResponseView, /) -> None: ...


def usable(interceptors: Sequence[Interceptor]) -> tuple[Interceptor, ...]:
    """The interceptors, if they can be called; ConfigurationError names the first that cannot."""
    if not isinstance(interceptors, Sequence):
        raise ConfigurationError("interceptors: expected a list of async callables")
    for place, interceptor in enumerate(interceptors):
        if not callable(interceptor):
            raise ConfigurationError(f"interceptors[{place}]: expected an async callable")
    return tuple(interceptors)


async def intercept(
    interceptors: Sequence[Interceptor],
    body: dict[str, Any],
    headers: Iterable[tuple[bytes, bytes]],
    check: Callable[[dict[str, Any]], Checked],
    size: int,
) -> tuple[RequestView, Checked]:
    """Show the request, of so many bytes, to each interceptor in turn. The last view, and what `check` makes of it.

    `check` refuses a body with InvalidRequest. Each interceptor's result has to pass it, so that the one to blame is
    known. Raises ShimError: an interceptor's own refusal, or a 500.
    """
    view, checked = await offload_if_large(size, lambda: (RequestView.of(body), check(body)))
    seen = _readable(headers)
    for interceptor in interceptors:
        try:
            given = await interceptor(view, seen)
            view = view if given is None else given
            if not isinstance(view, RequestView):
                raise TypeError(f"it returned {type(view).__name__}, not a RequestView or None")
            body = await offload_if_large(size, partial(_json_of, view))
        except ShimError:
            raise
        except Exception:
            logger.exception("the interceptor %s failed", _name(interceptor))
            raise _failed() from None
        try:
            checked = await offload_if_large(size, partial(check, body))
        except ShimError as error:  # its message may quote the request
            what = error.param or error.code
            logger.error("the interceptor %s made a request that is not valid: %s", _name(interceptor), what)
            raise _failed() from None
    return view, checked


async def tell(interceptors: Sequence[Interceptor], request: RequestView, response: Response) -> None:
    """Give the response to the interceptors that want it, if it came to its end."""
    readers = [interceptor for interceptor in interceptors if isinstance(interceptor, _Reader)]
    if not readers or response.status in ("queued", "in_progress"):
        return
    view = ResponseView.of(msgspec.to_builtins(response))
    for reader in readers:
        try:
            await reader.finished(request, view)
        except Exception:
            logger.exception("the interceptor %s failed to read response %s", _name(reader), response.id)


def _json_of(view: RequestView) -> dict[str, Any]:
    """The request as JSON data, out of the reach of who keeps the view. Raises what that is not."""
    body: dict[str, Any] = msgspec.to_builtins(view.encode())
    msgspec.json.encode(body)  # half a surrogate pair, which nobody could be told
    return body


def _readable(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return MappingProxyType({name: ", ".join(several) for name, several in values.items()})


def _name(interceptor: object) -> str:
    named = interceptor if hasattr(interceptor, "__qualname__") else type(interceptor)
    return f"{named.__module__}.{named.__qualname__}"


def _failed() -> ShimError:
    return UpstreamError("An interceptor of this server failed.", status=500)
