"""The behaviour of a store, as tests that every store passes: ours, and yours if you write one.

    import pytest
    from responses_shim.stores.suite import StoreSuite

    @pytest.mark.anyio
    class TestMyStore(StoreSuite):
        async def open(self, bounds, now):
            return MyStore(…)

`open` returns a new store over the data that the test has so far: what one keeps, the next one that is opened finds,
unless the class says `shared = False`. `now` gives the time in seconds; a test moves it. Needs pytest, with anyio's
plugin.
"""

from __future__ import annotations

from responses_shim.stores.suite.items import ItemTests
from responses_shim.stores.suite.records import RecordTests
from responses_shim.stores.suite.runs import RunTests

__all__ = ["StoreSuite"]


class StoreSuite(RecordTests, RunTests, ItemTests):
    """All tests. A subclass has `open`."""
