"""The behaviour of a store, as tests that every store passes: ours, and yours if you write one.

    import pytest
    from responses_shim.stores.suite import StoreSuite

    @pytest.mark.anyio
    class TestMyStore(StoreSuite):
        async def open(self, bounds, now):
            return MyStore(…)

`open` returns a new store over the data that the test has so far: what one keeps, the next one that is opened finds,
unless the class says `shared = False`. `now` gives the time in seconds; a test moves it. A store that rests on
something that may fail has `outage` too. Needs pytest, with anyio's plugin.

Ten of the tests bear the name of the rule that they hold, each of which has been broken by some store of responses:

1. `test_the_owner_is_part_of_the_key`
2. `test_a_turn_stores_only_what_it_added`
3. `test_history_is_never_shortened_in_silence`
4. `test_the_terminal_write_is_one_compare_and_set`
5. `test_liveness_lives_apart_from_the_record`
6. `test_only_who_has_watched_a_whole_lease_time_pass_may_call_a_run_dead`
7. `test_a_position_in_a_log_is_the_writers_number`
8. `test_an_id_can_be_chained_after_success_and_before_the_terminal_event`
9. `test_records_are_bound_to_owner_model_and_format_version`
10. `test_an_outage_is_no_miss`
"""

from __future__ import annotations

from responses_shim.stores.suite.items import ItemTests
from responses_shim.stores.suite.records import RecordTests
from responses_shim.stores.suite.runs import RunTests

__all__ = ["StoreSuite"]


class StoreSuite(RecordTests, RunTests, ItemTests):
    """All tests. A subclass has `open`."""
