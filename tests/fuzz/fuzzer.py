"""What every fuzzer is: examples, and a check that each of them must pass. Runs them, and keeps those that fail."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio
import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.caller import tasks_left

Example = TypeVar("Example", bound=msgspec.Struct)

KEPT = Path(__file__).parent / "kept"
"""A directory for each fuzzer, with a JSON file for each example that has failed once. Every run tries them first."""


class Failed(Exception):
    """An example has failed, and is kept in the file `path`. The cause is the failure."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the example is kept in {path}")
        self.path = path


@dataclass(frozen=True)
class Fuzzer(Generic[Example]):
    """Random examples of one kind, and what must hold for each.

    - `type`: the type of an example, which can be written as JSON
    - `check`: raises if the promise does not hold for an example; returns in a few words what has become of it, by
      which a run is summed up
    - `short`: how many examples the ordinary tests try, in a few seconds
    """

    name: str
    type: type[Example]
    examples: st.SearchStrategy[Example]
    check: Callable[[Example], Awaitable[str]]
    short: int

    def try_one(self, example: Example) -> str:
        """Check one example in an event loop of its own, in which nothing may be left or fail unseen."""
        return anyio.run(self._supervise, example)

    async def _supervise(self, example: Example) -> str:
        unseen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        outcome = await self.check(example)
        left = await tasks_left()
        assert left == [], f"tasks are left: {left}"
        assert unseen == [], f"an exception that nobody has seen: {unseen}"
        return outcome

    def kept(self) -> Iterator[tuple[Path, Example]]:
        """The examples that have failed once, with their files."""
        for path in sorted((KEPT / self.name).glob("*.json")):
            yield path, msgspec.json.decode(path.read_bytes(), type=self.type)

    def keep(self, example: Example) -> Path:
        """Write an example to a file, from which each run will try it first."""
        data = msgspec.json.format(msgspec.json.encode(example), indent=1) + b"\n"
        path = KEPT / self.name / f"{hashlib.sha256(data).hexdigest()[:12]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def run(self, count: int, number: int | None = None) -> Counter[str]:
        """Try so many random examples, those of the seed `number` if there is one. Returns how many ended how.

        Raises Failed for an example that fails, the smallest that was found.
        """
        outcomes: Counter[str] = Counter()
        failed: list[Example] = []

        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(self.examples)
        def test(example: Example) -> None:
            try:
                outcomes[self.try_one(example)] += 1
            except BaseException:
                failed.append(example)  # the last one is the smallest: Hypothesis ends with it
                raise

        try:
            (test if number is None else seed(number)(test))()
        except BaseException as error:
            if not failed or isinstance(error, KeyboardInterrupt):
                raise
            raise Failed(self.keep(failed[-1])) from error
        return outcomes
