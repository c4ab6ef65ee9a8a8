"""`responses-shim store`: what is kept in the store that the settings name, for the operator to see and to delete.

It opens the store itself (`RESPONSES_SHIM_STORE`), beside the servers that use it. What it prints are facts about the
records; their content only if that is asked for (`show --content`). An owner is shown by the first digits of its id,
which is made from credentials and says nothing of them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from datetime import datetime, timezone

import anyio
import msgspec

from responses_shim.cli.failure import CommandFailed
from responses_shim.cli.transcript import printable
from responses_shim.errors import ConfigurationError
from responses_shim.settings import Settings
from responses_shim.stores.base import Store, StoreUnavailable, Summary
from responses_shim.stores.opening import BoundsSettings, open_store

OWNER_DIGITS = 12
"""How many hexadecimal digits of an owner's id are shown."""
EVERY = 1_000_000_000
"""A limit that no store reaches."""
BATCH = 1_000
"""How many records are deleted before the store is asked for more."""

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's own commands and their options to its parser."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="list the records, those that were unused for the longest time first")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="how many at most (default: %(default)s)")
    show = commands.add_parser("show", help="show what is known of one response or conversation")
    show.add_argument("id", help="its id: resp_… or conv_…")
    show.add_argument("--content", action="store_true", help="show its content too: what was asked and answered")
    count = commands.add_parser(
        "count", help="count the records, their owners, their bytes, and the trees evicted for want of room"
    )
    purge = commands.add_parser("purge", help="delete the records of an owner, or those that were not used for a time")
    purge.add_argument("--dry-run", action="store_true", help="only count what would be deleted")
    commands.add_parser(
        "vacuum", help="give space in a file that is not used back to the file system, while servers go on using it"
    )

    for command in (listing, show, count, purge):
        command.add_argument("--owner", metavar="DIGITS", help="only the owner whose id begins so, as list shows it")
    for command in (listing, count, purge):
        command.add_argument(
            "--unused-for",
            type=seconds,
            default=0.0,
            metavar="TIME",
            help="only what has not been used for so long, such as 90s, 15m, 12h or 30d",
        )


def seconds(text: str) -> float:
    """A duration in seconds: `90`, `90s`, `15m`, `12h`, `30d`. Raises ValueError, of which argparse makes an error."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text, re.ASCII)
    if match is None:
        raise ValueError(text)
    return float(int(match[1]) * _UNITS[match[2]])


def run(options: argparse.Namespace) -> None:
    """Run one of the commands.

    Raises ConfigurationError if the settings name no store that another process can open, CommandFailed if there is no
    such record or owner, or if the store is not available.
    """
    settings = Settings.load()
    url = settings.store.get_secret_value()
    scheme = url.partition("://")[0]
    if scheme == "off":
        raise ConfigurationError("RESPONSES_SHIM_STORE is off: nothing is kept")
    if scheme == "memory":
        raise ConfigurationError(
            "RESPONSES_SHIM_STORE is memory://, which is in the server's own process: no other one can look into it"
        )
    bounds = BoundsSettings(trees=settings.store_trees, size=settings.store_size, age=settings.store_age)
    try:
        anyio.run(_run, options, url, bounds)
    except StoreUnavailable as error:
        raise CommandFailed(error.message) from error


async def _run(options: argparse.Namespace, url: str, bounds: BoundsSettings) -> None:
    store = open_store(url, bounds)
    try:
        if options.action == "vacuum":
            await _vacuum(store)
            return
        owner = await _owner(store, options.owner)
        if options.action == "list":
            _print_list(await store.scan(owner, unused_for=options.unused_for, limit=options.limit))
        elif options.action == "show":
            await _show(store, owner, options.id, content=options.content)
        elif options.action == "count":
            _print_count(await store.scan(owner, unused_for=options.unused_for, limit=EVERY))
            await _print_evicted(store)
        else:
            await _purge(store, owner, options.unused_for, dry_run=options.dry_run)
    finally:
        await store.close()


async def _owner(store: Store, digits: str | None) -> bytes | None:
    """The id of the owner that begins with these digits; None if none are given. Raises CommandFailed."""
    if digits is None:
        return None
    owners = {summary.owner for summary in await store.scan(limit=EVERY)}
    found = [owner for owner in owners if digits and owner.hex().startswith(digits.lower())]
    if len(found) != 1:
        raise CommandFailed(f"{len(found) or 'no'} owners have an id that begins with {digits!r}")
    return found[0]


# The commands ----------------------------------------------------------------------------------------------------


def _print_list(summaries: Sequence[Summary]) -> None:
    rows = [("owner", "id", "status", "created", "last used", "bytes")]
    rows += [
        (
            _shown(summary.owner),
            summary.id,
            summary.status,
            _time(summary.created_at),
            _time(summary.used_at),
            str(summary.size),
        )
        for summary in summaries
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


async def _show(store: Store, owner: bytes | None, id: str, *, content: bool) -> None:
    found = [summary for summary in await store.scan(owner, limit=EVERY) if summary.id == id]
    if len(found) > 1:
        raise CommandFailed(f"{len(found)} owners have a record {id!r}: choose one with --owner")
    history = await store.get(found[0].owner, id) if found else None
    if history is None:
        raise CommandFailed(f"there is no record {id!r}")
    summary, record, items = found[0], history.record, history.items
    outputs = sum(item.output for item in items)
    facts = {
        "id": summary.id,
        "kind": summary.kind,
        "owner": _shown(summary.owner),
        "status": summary.status,
        "continues": record.parent or "nothing",
        "created": _time(summary.created_at),
        "last used": _time(summary.used_at),
        "items": f"{len(items)}, {outputs} of them output",
        "bytes": str(summary.size),
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.ljust(width)}  {value}")
    if content:
        for data in (record.data, *(item.data for item in items)):
            print(printable(json.dumps(msgspec.json.decode(data), ensure_ascii=False, indent=2)))


def _print_count(summaries: Sequence[Summary]) -> None:
    owners = {summary.owner for summary in summaries}
    print(f"records  {len(summaries)}")
    for kind in ("response", "conversation"):
        print(f"  {kind}s  {sum(summary.kind == kind for summary in summaries)}")
    print(f"owners  {len(owners)}")
    print(f"bytes  {sum(summary.size for summary in summaries)}")


async def _print_evicted(store: Store) -> None:
    """How many trees of all owners the bounds have cost, if the store counts them."""
    evicted = getattr(store, "evicted", None)
    if evicted is not None:
        print(f"evicted  {await evicted()}")


async def _purge(store: Store, owner: bytes | None, unused_for: float, *, dry_run: bool) -> None:
    """Delete records. One that something else continues is hidden, until that is deleted too."""
    if owner is None and not unused_for:
        raise CommandFailed("say what to delete: --owner, --unused-for or both", exit_code=2)
    if dry_run:
        print(f"{len(await store.scan(owner, unused_for=unused_for, limit=EVERY))} records would be deleted")
        return
    deleted, found = 0, 1
    while found:  # until nothing is left, or only what cannot be deleted
        batch = await store.scan(owner, unused_for=unused_for, limit=BATCH)
        found = sum([await store.delete(summary.owner, summary.id) for summary in batch])
        deleted += found
    print(f"{deleted} records deleted")


async def _vacuum(store: Store) -> None:
    vacuum = getattr(store, "vacuum", None)
    if vacuum is None:
        raise CommandFailed("this store is no file: what it frees is given back without this command")
    print(f"{await vacuum()} bytes given back")


def _shown(owner: bytes) -> str:
    return owner.hex()[:OWNER_DIGITS]


def _time(timestamp: float) -> str:
    """Unix seconds as a date and a time."""
    return datetime.fromtimestamp(timestamp, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
