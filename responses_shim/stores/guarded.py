"""A store of somebody else's, any exception of which is an outage to us."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast

from responses_shim.stores.base import Store, StoreUnavailable

logger = logging.getLogger("responses_shim")


def guarded(store: Any, name: str) -> Store:
    """The store, whose methods raise StoreUnavailable where they raise anything that no contract in `Store` mentions.

    So a fault in it is a 503, or a response that says `store: false`, and never an exception in the host. What it has
    raised is logged, with `name`; of several that are alike and come one after the other only the first one.
    """
    return cast(Store, _Guarded(store, name))


class _Guarded:
    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name
        self._logged = ""

    def __getattr__(self, name: str) -> Any:
        """A method of the store, the optional ones included."""
        attribute = getattr(self._store, name)
        return self._guard(name, attribute) if callable(attribute) else attribute

    def _guard(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(method)
        async def call(*arguments: Any, **options: Any) -> Any:
            try:
                result = await method(*arguments, **options)
            except StoreUnavailable:
                raise
            except Exception as error:
                if name == "page" and isinstance(error, KeyError):  # there is no such item
                    raise
                self._log(name, error)
                raise StoreUnavailable from error
            self._logged = ""
            return result

        return call

    def _log(self, name: str, error: Exception) -> None:
        what = f"{name}: {type(error).__name__}"
        if what != self._logged:
            self._logged = what
            logger.error("%s of the store %s has failed", name, self._name, exc_info=error)
