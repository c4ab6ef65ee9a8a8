"""From the URL of a store to the store: ours by their schemes, others by their entry points.

    memory://                    in this process
    sqlite:////var/lib/shim.db   one file, for several processes of one machine
    redis://host:6379/0          for several machines; rediss:// with TLS
    anything else                what a package registers for it in the entry point group `responses_shim.stores`

A registered factory is called with the URL and the bounds that the operator has set, `None` where that is none, and
returns a store. It should pass `responses_shim.stores.suite`. Whatever else than StoreUnavailable its methods raise is
taken for that (`guarded.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import asdict, replace

from responses_shim.errors import ConfigurationError
from responses_shim.stores.base import Bounds, Store
from responses_shim.stores.guarded import guarded
from responses_shim.stores.memory import DEFAULT_BOUNDS, MemoryStore

GROUP = "responses_shim.stores"


class BoundsSettings(Struct, frozen=True, kw_only=True):
    """The bounds that the operator has set; None: the store's own default."""

    trees: int | None = None
    size: int | None = None
    age: float | None = None

    def over(self, defaults: Bounds) -> Bounds:
        """The defaults of a store with what is set here in their place."""
        return replace(defaults, **{name: value for name, value in asdict(self).items() if value is not None})


Factory = Callable[[str, BoundsSettings], Store]


def open_store(url: str, bounds: BoundsSettings) -> Store:
    """The store at a URL.

    Raises ConfigurationError if its scheme is unknown, what it needs is not installed, or its package fails.
    """
    scheme, separator, _ = url.partition("://")
    factory = _FACTORIES.get(scheme)
    if factory is not None:
        return factory(url, bounds)
    found = [entry_point for entry_point in entry_points(group=GROUP) if entry_point.name == scheme]
    if not separator or not found:
        # What is no URL is not repeated: it may hold a password.
        what = f"there is no store for {scheme}://" if separator else "it is no URL"
        known = ", ".join(f"{name}://" for name in _FACTORIES)
        raise ConfigurationError(f"store: {what}; known are {known} and off")
    try:
        store = found[0].load()(url, bounds)
    except ConfigurationError:
        raise
    except Exception as error:  # whose message may repeat the URL
        raise ConfigurationError(
            f"store: {found[0].value}, which is registered for {scheme}://, has raised {type(error).__name__}"
        ) from error
    return guarded(store, f"{scheme}://")


def _memory(url: str, bounds: BoundsSettings) -> Store:
    return MemoryStore(bounds.over(DEFAULT_BOUNDS))


def _sqlite(url: str, bounds: BoundsSettings) -> Store:
    from responses_shim.stores.sqlite import DEFAULT_BOUNDS as DEFAULTS
    from responses_shim.stores.sqlite import SQLiteStore

    path = unquote(url.removeprefix("sqlite://"))
    # As in SQLAlchemy's URLs: three slashes and a relative path, four and an absolute one.
    if not path.startswith("/") or path == "/":
        raise ConfigurationError("store: expected sqlite:///relative/path or sqlite:////absolute/path")
    return SQLiteStore(path[1:], bounds.over(DEFAULTS))


def _redis(url: str, bounds: BoundsSettings) -> Store:
    from responses_shim.stores.redis import DEFAULT_BOUNDS as DEFAULTS
    from responses_shim.stores.redis import RedisStore

    return RedisStore(url, bounds.over(DEFAULTS))


_FACTORIES: dict[str, Factory] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "redis": _redis,
    "rediss": _redis,
}
