"""A random sequence of calls, to compare what two stores answer."""

from __future__ import annotations

import random
from typing import Any

from responses_shim.stores.base import ENDED, RUNNING, ConversationTurn, Store
from responses_shim.stores.suite.base import A, B, Clock, items, record


class Steps:
    """A random sequence of calls, the same for every store."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._made = 0

    def next(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """A method's name and its arguments, of ids that mostly exist and items that are sometimes known."""
        pick = self._random.choice
        owner, id = pick([A, B]), f"r{self._random.randint(0, self._made)}"
        some = items(*self._random.sample("abcdefgh", pick([0, 1, 2])), output=pick([True, False]), size=pick([0, 99]))
        statuses = ["completed", "in_progress", "failed"]
        name = pick(["add", "add", "change", "delete", "append", "remove", "lease", "post", "look", "find", "page"])
        match name:
            case "add":
                self._made += 1
                parent = pick([None, id, id])
                return name, (record(f"r{self._made}", parent, owner=owner, status=pick(statuses)), some), {}
            case "change":
                events = [(self._random.randint(0, 99), b"event")] if pick([True, False]) else []
                status = pick([None, *statuses])
                among = RUNNING if status in RUNNING else pick([RUNNING, ENDED | RUNNING])
                new = {"status": status, "data": pick([None, b"[1]"]), "items": some, "events": events}
                turn = ConversationTurn(f"r{self._random.randint(0, self._made)}", pick("hi"), some, pick("kl"))
                return name, (owner, id), {"among": among, **new, "turn": pick([None, turn])}
            case "append":
                return "append_items", (owner, id, some, pick("kl")), {}
            case "delete":
                return name, (owner, id), {}
            case "remove":
                return "delete", (owner, id, pick("abcdefgh")), {}
            case "lease":
                return name, (owner, id, pick("hi"), pick([0, 30])), {}
            case "post":
                return name, (owner, id, b"message"), {}
            case "find":
                return "find_items", (owner, list("abcdefgh"), pick([None, id])), {}
            case "page":
                asked = {"limit": pick([1, 5]), "newest_first": pick([True, False]), "after": None}
                return name, (owner, id), {"outputs": pick([True, False]), **asked}
        read = pick(["get", "history", "expired", "events", "messages"])
        if read in ("events", "messages"):
            return "read", (owner, id, read), {"after": pick([-1, 0, 50]), "wait": 0}
        return read, () if read == "expired" else (owner, id), {}


async def compare(one: Store, other: Store, clock: Clock, seed: int) -> None:
    """Put the same questions to two stores, which must answer alike."""
    steps = Steps(seed)
    for _ in range(400):
        clock.time += 1
        name, arguments, options = steps.next()
        expected, found = [await getattr(store, name)(*arguments, **options) for store in (one, other)]
        if name == "expired":
            expected, found = sorted(expected), sorted(found)
        assert found == expected, (name, arguments, options)
