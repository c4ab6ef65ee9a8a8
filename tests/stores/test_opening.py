"""From the URL of a store to the store: ours, somebody else's, and mistakes."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from responses_shim import ConfigurationError, ResponsesShim
from responses_shim.stores import opening
from responses_shim.stores.base import Bounds
from responses_shim.stores.memory import DEFAULT_BOUNDS, MemoryStore
from responses_shim.stores.opening import BoundsSettings, open_store
from tests.scripted import ScriptedHost
from tests.state import Client

opened: list[tuple[str, BoundsSettings]] = []


class OwnStore(MemoryStore):
    """A store of somebody else's."""


def factory(url: str, bounds: BoundsSettings) -> OwnStore:
    opened.append((url, bounds))
    return OwnStore()


@pytest.fixture
def own_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """`own://` is registered, as an installed package registers it."""

    def entry_points(*, group: str) -> list[EntryPoint]:
        assert group == "responses_shim.stores"
        return [EntryPoint("own", f"{__name__}:factory", group)]

    monkeypatch.setattr(opening, "entry_points", entry_points)
    opened.clear()


def test_the_memory_store_has_its_own_bounds_and_those_that_are_set() -> None:
    defaults = BoundsSettings()
    assert defaults.over(DEFAULT_BOUNDS) == DEFAULT_BOUNDS
    assert BoundsSettings(trees=5).over(Bounds(trees=1, size=2, age=3)) == Bounds(trees=5, size=2, age=3)
    assert BoundsSettings(size=5, age=0.5).over(Bounds(trees=1, size=2, age=3)) == Bounds(trees=1, size=5, age=0.5)
    assert isinstance(open_store("memory://", defaults), MemoryStore)


@pytest.mark.usefixtures("own_scheme")
def test_another_scheme_is_what_is_registered_for_it() -> None:
    open_store("own://host/path", BoundsSettings(trees=5))
    assert opened == [("own://host/path", BoundsSettings(trees=5))]


@pytest.mark.anyio
@pytest.mark.usefixtures("own_scheme")
async def test_the_shim_stores_where_its_settings_say() -> None:
    shim = ResponsesShim(ScriptedHost(), store="own://somewhere", store_trees=5, store_size=6_000_000, store_age=7)
    assert opened == [("own://somewhere", BoundsSettings(trees=5, size=6_000_000, age=7))]
    made = await Client(shim).create()
    assert await Client(shim).get(made["id"]) == made


@pytest.mark.usefixtures("own_scheme")
@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("other://host", "store: there is no store for other://; known are "),
        ("own", "store: it is no URL; known are "),
        ("redis:/:secret@host", "store: it is no URL; known are "),
        ("", "store: it is no URL; known are "),
    ],
)
def test_what_is_no_store_stops_the_start_with_one_line_that_shows_no_password(url: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ResponsesShim(ScriptedHost(), store=url)
    message = str(caught.value)
    assert message.startswith(line)
    assert message.endswith(" and off")
    assert "memory://" in message
    assert "secret" not in message
    assert "\n" not in message


def test_off_opens_nothing() -> None:
    options: dict[str, Any] = {"store": "off"}
    assert ResponsesShim(ScriptedHost(), **options)._state is None
