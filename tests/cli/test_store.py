"""`responses-shim store`: what it prints of a store and deletes in it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import anyio
import pytest
from msgspec.structs import replace

from responses_shim.cli import main
from responses_shim.cli.store import seconds
from responses_shim.stores import opening
from responses_shim.stores.base import Record, StoredItem, StoreUnavailable, Summary
from responses_shim.stores.memory import DEFAULT_BOUNDS, MemoryStore
from tests.cli.canned import failure_of

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

ALICE, BOB = bytes.fromhex("aa" * 16), bytes.fromhex("ab" + "bb" * 15)
DAY = 86_400.0


class Kept(MemoryStore):
    """A store that outlives the command, with a clock that the test sets. It counts how often it was closed."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        super().__init__(replace(DEFAULT_BOUNDS, age=100 * DAY), lambda: self.time)
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


class WithFile(Kept):
    """One that can be vacuumed."""

    vacuumed = False

    async def vacuum(self) -> int:
        self.vacuumed = True
        return 4_096


class Away(Kept):
    """One that cannot be reached."""

    async def scan(self, owner: bytes | None = None, *, unused_for: float = 0, limit: int = 1_000) -> list[Summary]:
        raise StoreUnavailable


def use(store: Kept, monkeypatch: Patch) -> None:
    monkeypatch.setitem(opening._FACTORIES, "kept", lambda url, bounds: store)
    monkeypatch.setenv("RESPONSES_SHIM_STORE", "kept://here")


@pytest.fixture
def store(monkeypatch: Patch) -> Kept:
    """Two responses of Alice's, one of which continues the other, and three days later a conversation of Bob's."""
    store = Kept()

    async def fill() -> None:
        for id, parent in (("resp_1", None), ("resp_2", "resp_1")):
            record = Record(
                owner=ALICE,
                id=id,
                parent=parent,
                status="completed",
                created_at=1_799_999_000,
                data=b'{"id":"%s"}' % id.encode(),
            )
            asked = StoredItem(f"msg_{id}", b'{"type":"message","text":"Who?\\u009b"}')
            await store.add(record, [asked, StoredItem(f"fc_{id}", b'{"type":"function_call"}', output=True)])
        store.time += 3 * DAY
        await store.add(
            Record(owner=BOB, id="conv_1", kind="conversation", status="active", created_at=1_800_000_000, data=b"{}")
        )

    anyio.run(fill)
    use(store, monkeypatch)
    return store


def output(capsys: Capture, *words: str) -> list[str]:
    """The lines that the command prints."""
    assert main(["store", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def cells(lines: Sequence[str]) -> list[list[str]]:
    return [line.split() for line in lines]


def failure(capsys: Capture, *words: str) -> tuple[int, str]:
    """The exit code and the error message, which must be one line and the only output."""
    code, line, out = failure_of(capsys, "store", *words)
    assert out == ""
    return code, line


# What is there -------------------------------------------------------------------------------------------------------


def test_the_list_has_facts_and_no_content(capsys: Capture, store: Kept) -> None:
    lines = output(capsys, "list")
    assert cells(lines)[1] == [
        *("aaaaaaaaaaaa", "resp_1", "completed"),
        *("2027-01-15", "07:43:20Z", "2027-01-15", "08:00:00Z", "77"),
    ]
    assert [row[:3] for row in cells(lines)[1:]] == [
        ["aaaaaaaaaaaa", "resp_1", "completed"],
        ["aaaaaaaaaaaa", "resp_2", "completed"],
        ["abbbbbbbbbbb", "conv_1", "active"],
    ]
    assert "Who?" not in "\n".join(lines)
    assert store.closed == 1


def test_the_list_can_be_limited(capsys: Capture, store: Kept) -> None:
    assert len(output(capsys, "list", "--limit", "1")) == 2
    assert [row[1] for row in cells(output(capsys, "list", "--owner", "ABB"))[1:]] == ["conv_1"]
    assert [row[1] for row in cells(output(capsys, "list", "--unused-for", "2d"))[1:]] == ["resp_1", "resp_2"]


def test_one_record_is_shown_without_its_content(capsys: Capture, store: Kept) -> None:
    lines = output(capsys, "show", "resp_2")
    facts = dict(line.split("  ", 1) for line in lines)
    assert {name.strip(): value.strip() for name, value in facts.items()} == {
        "id": "resp_2",
        "kind": "response",
        "owner": "aaaaaaaaaaaa",
        "status": "completed",
        "continues": "resp_1",
        "created": "2027-01-15 07:43:20Z",
        "last used": "2027-01-15 08:00:00Z",
        "items": "2, 1 of them output",
        "bytes": "77",
    }
    assert "continues  nothing" in output(capsys, "show", "resp_1")


def test_the_content_is_shown_if_that_is_asked_for(capsys: Capture, store: Kept) -> None:
    text = "\n".join(output(capsys, "show", "resp_2", "--content"))
    assert '"id": "resp_2"' in text
    assert '"type": "function_call"' in text
    assert "Who?\N{REPLACEMENT CHARACTER}" in text, "a control character goes to the terminal"


def test_showing_a_record_does_not_use_it(capsys: Capture, store: Kept) -> None:
    output(capsys, "show", "resp_2", "--content")
    assert [row[1] for row in cells(output(capsys, "list"))[1:]] == ["resp_1", "resp_2", "conv_1"]


def test_the_count(capsys: Capture, store: Kept) -> None:
    counts = {line.split()[0]: int(line.split()[1]) for line in output(capsys, "count")}
    assert counts == {"records": 3, "responses": 2, "conversations": 1, "owners": 2, "bytes": 2 * 77 + 2, "evicted": 0}
    assert output(capsys, "count", "--owner", "ab")[0] == "records  1"


# What is deleted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("--unused-for", "2d"), ["conv_1"]),
        (("--unused-for", "4d"), ["resp_1", "resp_2", "conv_1"]),
        (("--owner", "aa"), ["conv_1"]),
        (("--owner", "ab", "--unused-for", "1h"), ["resp_1", "resp_2", "conv_1"]),
    ],
)
def test_records_are_purged_by_owner_and_by_age(
    capsys: Capture, store: Kept, words: Sequence[str], left: list[str]
) -> None:
    assert output(capsys, "purge", "--dry-run", *words) == [f"{3 - len(left)} records would be deleted"]
    assert len(output(capsys, "list")) == 4
    assert output(capsys, "purge", *words) == [f"{3 - len(left)} records deleted"]
    assert [row[1] for row in cells(output(capsys, "list"))[1:]] == left


def test_a_store_with_many_records_is_purged_batch_by_batch(capsys: Capture, store: Kept, monkeypatch: Patch) -> None:
    monkeypatch.setattr("responses_shim.cli.store.BATCH", 1)
    assert output(capsys, "purge", "--owner", "aa") == ["2 records deleted"]


def test_nothing_is_purged_unless_it_is_said_what(capsys: Capture, store: Kept) -> None:
    assert failure(capsys, "purge") == (2, "say what to delete: --owner, --unused-for or both")
    assert len(output(capsys, "list")) == 4


def test_a_file_is_vacuumed(capsys: Capture, monkeypatch: Patch) -> None:
    store = WithFile()
    use(store, monkeypatch)
    assert output(capsys, "vacuum") == ["4096 bytes given back"]
    assert store.vacuumed
    assert store.closed == 1


# What is wrong -------------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_an_error(capsys: Capture, store: Kept) -> None:
    assert failure(capsys, "show", "resp_3") == (1, "there is no record 'resp_3'")
    assert failure(capsys, "show", "conv_1", "--owner", "aa") == (1, "there is no record 'conv_1'")
    assert failure(capsys, "list", "--owner", "c") == (1, "no owners have an id that begins with 'c'")
    assert failure(capsys, "list", "--owner", "a") == (1, "2 owners have an id that begins with 'a'")
    assert failure(capsys, "list", "--owner", "") == (1, "no owners have an id that begins with ''")
    assert failure(capsys, "vacuum") == (1, "this store is no file: what it frees is given back without this command")


def test_a_record_of_several_owners_needs_the_owner(capsys: Capture, store: Kept) -> None:
    record = Record(owner=BOB, id="resp_1", status="completed", created_at=1, data=b"{}")
    anyio.run(store.add, record)
    assert failure(capsys, "show", "resp_1") == (1, "2 owners have a record 'resp_1': choose one with --owner")
    assert "owner      abbbbbbbbbbb" in output(capsys, "show", "resp_1", "--owner", "ab")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("memory://", "RESPONSES_SHIM_STORE is memory://, which is in the server's own process: no other one can look"),
        ("off", "RESPONSES_SHIM_STORE is off: nothing is kept"),
        ("paper://here", "store: "),
    ],
)
def test_a_store_that_no_other_process_can_open_is_refused(
    capsys: Capture, monkeypatch: Patch, url: str, line: str
) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_STORE", url)
    code, message = failure(capsys, "list")
    assert code == 2
    assert message.startswith(line)


def test_the_default_store_is_refused(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.delenv("RESPONSES_SHIM_STORE", raising=False)
    assert failure(capsys, "list")[0] == 2


def test_a_store_that_is_away_is_one_line(capsys: Capture, monkeypatch: Patch) -> None:
    store = Away()
    use(store, monkeypatch)
    assert failure(capsys, "list") == (1, "The store of responses is not available.")
    assert store.closed == 1


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("0", 0)]
)
def test_a_time_is_a_number_with_a_unit(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "d", "-1", "1.5h", "1w", "1 d", "९", "1" * 10])
def test_what_is_no_time_is_an_error(text: str, capsys: Capture) -> None:
    with pytest.raises((ValueError, argparse.ArgumentTypeError)):
        seconds(text)
    with pytest.raises(SystemExit) as caught:
        main(["store", "list", f"--unused-for={text}"])
    assert caught.value.code == 2
    assert "--unused-for" in capsys.readouterr().err
