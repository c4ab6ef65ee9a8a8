"""Paired samples: on a shared machine only neighbours in time can be compared.

The contestants run in turns of a tenth of a second or so, and who goes first rotates. A sample is the sum
over the turns of one round, so whatever slows the machine down for a while slows all of them down alike.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

Sample = dict[str, float]
"""What each contestant cost in one round."""


@dataclass(frozen=True)
class Plan:
    """How much to measure. The defaults are the full run; `QUICK` only shows that everything works."""

    pairs: int = 9
    """Rounds; each gives one pair, and the median is over pairs."""
    slices: int = 6
    """Turns that each contestant gets within a round."""
    streams: int = 16
    """Streams at the same time, where the load is concurrent."""
    lengths: tuple[int, ...] = (1000, 50)
    """Tokens in an answer: where the stream is everything, and where the request counts as well."""
    tokens: int = 1000
    """About how many tokens each of those streams carries in one slice."""
    waves: int = 10
    """Answers per stream in one round of the first-event measurement."""
    requests: int = 100
    """Requests in one turn of the measurement in process."""
    held: int = 200
    """Streams held open at once in the memory measurement."""
    megabytes: tuple[float, ...] = (0.1, 0.5, 1.0, 2.0, 4.0)
    """Sizes of input to translate."""
    turns: int = 1_000
    """Turns of a chain of stored responses."""
    followers: int = 500
    """Followers of one run in the background."""
    run_tokens: int = 1_200
    """Tokens of that run."""
    runs: int = 3
    """How often it is measured."""
    attacks: int = 5
    """How often each hostile request is sent."""
    bodies: tuple[int, ...] = (1_000_000, 33_000_000)
    """Sizes of hostile bodies, in bytes: the last is nearly the largest that is taken."""
    open: int = 1_000
    """Streams that are open at once in `streams`."""
    open_seconds: float = 60
    """How long they are."""
    open_rounds: int = 3
    """How often that is done, with each server."""
    rate_seconds: float = 10
    """How long the requests of one turn of `rate` take."""
    growth: float = 5
    """How long the inputs of `linear` are, as a multiple of the size that each dimension names."""


QUICK = Plan(
    pairs=3,
    slices=2,
    waves=2,
    requests=20,
    held=40,
    megabytes=(0.1, 0.5),
    turns=200,
    followers=100,
    run_tokens=100,
    runs=1,
    attacks=1,
    bodies=(1_000_000,),
    open=100,
    open_seconds=5,
    open_rounds=1,
    rate_seconds=1,
    growth=1,
)


@dataclass(frozen=True)
class Spread:
    """Median and extremes over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


def percentile(values: list[float], share: float) -> float:
    """The value that `share` per cent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share / 100) - 1)]


async def in_turns(rounds: int, slices: int, contestants: Mapping[str, Callable[[], Awaitable[float]]]) -> list[Sample]:
    """Run every contestant `slices` times in each round; who goes first changes with every slice."""
    names = list(contestants)
    samples = []
    for _ in range(rounds):
        sample = dict.fromkeys(names, 0.0)
        for turn in range(slices):
            start = turn % len(names)
            for name in names[start:] + names[:start]:
                sample[name] += await contestants[name]()
        samples.append(sample)
    return samples


def ratio(samples: list[Sample], over: str, under: str) -> Spread:
    return Spread.of([sample[over] / sample[under] for sample in samples])


def difference(samples: list[Sample], of: str, less: str) -> Spread:
    return Spread.of([sample[of] - sample[less] for sample in samples])


def middle(samples: list[Sample], name: str) -> float:
    return statistics.median(sample[name] for sample in samples)
