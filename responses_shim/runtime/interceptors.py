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

Translated = TypeVar("Translated")


class Interceptor(Protocol):
    """An async callable that sees every request before it is translated, and may change or refuse it.

    The request is one of a client whom the host lets in, and its fields are valid; what is wrong with an item or a tool
    shows when the request is translated, after the last interceptor.

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
    translate: Callable[[dict[str, Any]], Translated],
    size: int,
) -> tuple[RequestView, Translated]:
    """Pass a request through the interceptors, in order, and translate what they leave of it.

    `body` is the request as JSON data, `size` its length in bytes, `headers` are the client's. `translate` takes a body
    and raises ShimError for one that is invalid. It is called once, with the last body; only if that fails, or an
    interceptor does, is it called with others, to find out whose fault it is.

    Returns the last view, and what `translate` has returned. Raises ShimError: what is wrong with the client's own
    body, an interceptor's refusal, or a 500 where an interceptor failed or made the request invalid.
    """
    view = await offload_if_large(size, partial(RequestView.of, body))
    header_values = _header_values(headers)
    left: list[tuple[Interceptor, bytes]] = []  # the request as JSON, as each interceptor has left it
    for interceptor in interceptors:
        try:
            returned = await interceptor(view, header_values)
            view = view if returned is None else returned
            if not isinstance(view, RequestView):
                raise TypeError(f"it returned {type(view).__name__}, not a RequestView or None")
            left.append((interceptor, await offload_if_large(size, partial(_encode, view))))
        except ShimError:
            raise
        except Exception as error:
            await offload_if_large(size, partial(translate, body))  # raises if the client's body was invalid
            logger.error("the interceptor %s failed", _name(interceptor), exc_info=error)
            raise _internal_error() from None
    _, last = left[-1]
    try:
        return view, await offload_if_large(size, lambda: translate(msgspec.json.decode(last)))
    except ShimError:
        await offload_if_large(size, partial(translate, body))
    await offload_if_large(size, partial(_log_first_invalid, left, translate))
    raise _internal_error()


def _log_first_invalid(left: list[tuple[Interceptor, bytes]], translate: Callable[[dict[str, Any]], object]) -> None:
    """Log which interceptor has made a request invalid that was valid before."""
    for interceptor, json in left:
        try:
            translate(msgspec.json.decode(json))
        except ShimError as error:
            # The field alone is logged: the message may quote the request.
            logger.error(
                "the interceptor %s made the request invalid: %s", _name(interceptor), error.param or error.code
            )
            return


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


def _encode(view: RequestView) -> bytes:
    """The request as JSON, which shares nothing with the view: an interceptor may have kept that, and change it later.

    Raises whatever msgspec raises for data that JSON cannot hold.
    """
    return msgspec.json.encode(view.encode())


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
