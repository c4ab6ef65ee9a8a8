"""Run the operator's interceptors: their own code that reads, changes or refuses a request, and may read its response.

An error in an interceptor is for the operator, not for the client: it is logged under the interceptor's name, and the
client gets a 500 that says nothing about it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from responses_shim.core.wire.responses import Response
from responses_shim.errors import ConfigurationError, ShimError
from responses_shim.runtime.offload import offload_if_large
from responses_shim.views.request import RequestView
from responses_shim.views.response import ResponseView

logger = logging.getLogger("responses_shim")

Checked = TypeVar("Checked")


class Interceptor(Protocol):
    """An async callable that sees every valid request before it is translated, and may change or refuse it.

    It gets a view of the request and the client's headers: a read-only mapping, credentials included, names in lower
    case, values of the same name joined by `, `. It changes the view in place and returns None, or returns another
    view. To refuse the request it raises InvalidRequest, with the status, type and code that the client shall get;
    any other exception is a 500 for the client.

        async def only_small_models(request, headers):
            if request.model == "huge" and "x-team" not in headers:
                raise InvalidRequest("This model is for teams.", status=403, code="no_team")
            request.params["temperature"] = 0.0

    An interceptor may also have a method `async def finished(self, request: RequestView, response: ResponseView)`.
    It is called after the last byte has gone to the client, with the request as the last interceptor left it, also
    when the response failed, but not when the client left before the end. It can change nothing any more, and what
    it raises is logged.
    """

    async def __call__(self, view: RequestView, headers: Mapping[str, str], /) -> RequestView | None: ...


@runtime_checkable
class _Observer(Protocol):
    """An interceptor that reads responses too."""

    async def finished(self, request: RequestView, response: ResponseView, /) -> None: ...


def check_interceptors(interceptors: Sequence[Interceptor]) -> tuple[Interceptor, ...]:
    """The interceptors as a tuple. Raises ConfigurationError that names the first one that is not callable."""
    if not isinstance(interceptors, Sequence):
        raise ConfigurationError("interceptors: expected a list of async callables")
    for position, interceptor in enumerate(interceptors):
        if not callable(interceptor):
            raise ConfigurationError(f"interceptors[{position}]: expected an async callable")
    return tuple(interceptors)


async def intercept(
    interceptors: Sequence[Interceptor],
    body: dict[str, Any],
    headers: Iterable[tuple[bytes, bytes]],
    check: Callable[[dict[str, Any]], Checked],
    size: int,
) -> tuple[RequestView, Checked]:
    """Pass a request through the interceptors, in order. Returns the last view, and what `check` returned for it.

    `body` is the request as JSON data, `size` its length in bytes, `headers` are the client's. `check` takes a body
    and raises InvalidRequest if it is no valid request. It is called before the first interceptor and after each,
    so that the log can name the interceptor that made a request invalid.

    Raises ShimError: what `check` says about the client's own body, an interceptor's refusal, or a 500 where an
    interceptor failed.
    """
    view, checked = await offload_if_large(size, lambda: (RequestView.of(body), check(body)))
    header_values = _header_values(headers)
    for interceptor in interceptors:
        try:
            returned = await interceptor(view, header_values)
            view = view if returned is None else returned
            if not isinstance(view, RequestView):
                raise TypeError(f"it returned {type(view).__name__}, not a RequestView or None")
            body = await offload_if_large(size, partial(_encode, view))
        except ShimError:
            raise
        except Exception:
            logger.exception("the interceptor %s failed", _name(interceptor))
            raise _internal_error() from None
        try:
            checked = await offload_if_large(size, partial(check, body))
        except ShimError as error:
            # The field alone is logged: the message may quote the request.
            logger.error(
                "the interceptor %s made the request invalid: %s", _name(interceptor), error.param or error.code
            )
            raise _internal_error() from None
    return view, checked


async def notify_interceptors(interceptors: Sequence[Interceptor], request: RequestView, response: Response) -> None:
    """Call `finished` of the interceptors that have it, if the response has ended.

    What one of them raises is logged; the others are called all the same.
    """
    observers = [interceptor for interceptor in interceptors if isinstance(interceptor, _Observer)]
    if not observers or response.status in ("queued", "in_progress"):
        return
    view = ResponseView.of(msgspec.json.decode(msgspec.json.encode(response)))
    for observer in observers:
        try:
            await observer.finished(request, view)
        except Exception:
            logger.exception("the interceptor %s failed in finished() for response %s", _name(observer), response.id)


def _encode(view: RequestView) -> dict[str, Any]:
    """The request as JSON data that shares nothing with the view, which an interceptor may have kept.

    Raises whatever msgspec raises for data that JSON cannot hold.
    """
    body: dict[str, Any] = msgspec.to_builtins(view.encode())
    msgspec.json.encode(body)  # raises for half a surrogate pair, which to_builtins lets through
    return body


def _header_values(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return MappingProxyType({name: ", ".join(several) for name, several in values.items()})


def _name(interceptor: object) -> str:
    named = interceptor if hasattr(interceptor, "__qualname__") else type(interceptor)
    return f"{named.__module__}.{named.__qualname__}"


def _internal_error() -> ShimError:
    return ShimError("An interceptor of this server failed.")
