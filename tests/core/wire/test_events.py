"""The list of events and the table of their order: they agree with one another, and with the SDK's types."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from responses_shim.core.wire.events import (
    ALL,
    ALLOWED_AFTER,
    TERMINAL,
    Completed,
    Created,
    DeltaEvent,
    DeltaExtras,
    Error,
    Event,
    Failed,
    Incomplete,
    InProgress,
    OutputItemAdded,
    OutputItemDone,
    Ping,
    Queued,
)
from tests.shapes import EVENT_TYPES, EXTRA_KEYS


def kinds(base: type[Event] = Event) -> Iterator[type[Event]]:
    """The class of every event."""
    for kind in base.__subclasses__():
        if kind not in (DeltaExtras, DeltaEvent):
            yield kind
        yield from kinds(kind)


def wire_type(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)


def test_every_event_but_the_ping_is_in_the_sdk() -> None:
    assert {wire_type(kind) for kind in kinds()} - EVENT_TYPES.keys() == {"response.ping"}


def test_the_list_has_each_event_once() -> None:
    assert len(ALL) == len(set(ALL))
    assert set(ALL) == set(kinds())


def test_no_two_events_have_the_same_type() -> None:
    types = [wire_type(kind) for kind in kinds()]
    assert len(types) == len(set(types))


@pytest.mark.parametrize("kind", list(kinds()), ids=wire_type)
def test_an_event_has_the_fields_that_the_sdk_requires(kind: type[Event]) -> None:
    if kind is Ping:
        assert kind.__struct_fields__ == ("sequence_number",)
        return
    required = {name for name, field in EVENT_TYPES[wire_type(kind)].model_fields.items() if field.is_required()}
    assert {"type", *kind.__struct_fields__} >= required


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind is not Ping], ids=wire_type)
def test_an_event_has_no_field_that_the_sdk_lacks_except_known_ones(kind: type[Event]) -> None:
    shape = EVENT_TYPES[wire_type(kind)]
    unknown = {*kind.__struct_fields__} - shape.model_fields.keys() - EXTRA_KEYS.get(shape.__name__, set())
    assert unknown <= (set(DeltaExtras.__struct_fields__) if issubclass(kind, DeltaExtras) else set())


def test_the_table_has_every_event_of_an_item_and_no_other() -> None:
    of_the_response = {Created, Queued, InProgress, Ping, Error, Completed, Incomplete, Failed}
    assert set(ALLOWED_AFTER) == set(kinds()) - of_the_response
    assert set(TERMINAL) == {Completed, Incomplete, Failed}


def test_the_table_leads_from_added_to_done_through_every_event() -> None:
    def reachable(kind: type[Event]) -> set[type[Event]]:
        found = {kind}
        while not found >= (more := {after for before in found for after in ALLOWED_AFTER[before]}):
            found |= more
        return found

    assert reachable(OutputItemAdded) == set(ALLOWED_AFTER)
    assert all(OutputItemDone in reachable(kind) for kind in ALLOWED_AFTER)
    assert [kind for kind, after in ALLOWED_AFTER.items() if not after] == [OutputItemDone]


def test_after_a_delta_the_table_allows_only_more_of_the_same_text_or_its_end() -> None:
    """The text of a message may be followed by an annotation of it as well, and reasoning grows beside its summary."""
    beside = {
        "response.reasoning_text": {"response.reasoning_summary_text.delta"},
        "response.reasoning_summary_text": {"response.reasoning_text.delta", "response.reasoning_text.done"},
    }
    for kind, after in ALLOWED_AFTER.items():
        if wire_type(kind).endswith(".delta"):
            stem = wire_type(kind).removesuffix(".delta")
            others = {name for name in map(wire_type, after) if not name.startswith(stem)}
            assert others == beside.get(stem, set())
            assert {f"{stem}.delta", f"{stem}.done"} <= set(map(wire_type, after))
