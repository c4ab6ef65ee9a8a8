"""`python -m tests.fuzz [FUZZER ...] [--examples N] [--seed N]`: fuzz for as long as you like."""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
import traceback
import warnings
from collections import Counter
from typing import Any

from .fuzzer import Failed, Fuzzer
from .hosts import HOSTS
from .interruptions import INTERRUPTIONS
from .requests import REQUESTS
from .routes import ROUTES

FUZZERS: dict[str, Fuzzer[Any]] = {fuzzer.name: fuzzer for fuzzer in (REQUESTS, ROUTES, HOSTS, INTERRUPTIONS)}

PART = 5_000
"""How many examples are tried with one seed."""


def replay(fuzzer: Fuzzer[Any]) -> bool:
    """Try the kept examples of a fuzzer. Returns whether all of them pass, and prints those that do not."""
    passed = True
    for path, example in fuzzer.kept():
        try:
            fuzzer.try_one(example)
        except Exception:
            traceback.print_exc()
            print(f"{fuzzer.name}: {path} fails")
            passed = False
    return passed


def fuzz(fuzzer: Fuzzer[Any], count: int, number: int) -> bool:
    """Try random examples, and print how they ended. Returns whether all of them pass.

    They are tried in parts, each with the next seed: Hypothesis remembers the examples of one, and slows down.
    """
    started = time.monotonic()
    outcomes: Counter[str] = Counter()
    for first in range(0, count, PART):
        part_seed = number + first // PART
        try:
            outcomes += fuzzer.run(min(PART, count - first), part_seed)
        except Failed as failure:
            traceback.print_exception(failure.__cause__)
            print(f"{fuzzer.name}: fails with seed {part_seed}; {failure}")
            return False
        seconds = time.monotonic() - started
        print(f"{fuzzer.name}: {outcomes.total()} examples of seed {number} passed in {seconds:.0f} s", flush=True)
    for outcome, times in outcomes.most_common():
        print(f"{times:9} {outcome}")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the middleware.")
    parser.add_argument("fuzzers", nargs="*", metavar="FUZZER", help=f"any of {', '.join(FUZZERS)}; by default all")
    parser.add_argument("--examples", type=int, default=10_000, metavar="N", help="how many each of them tries")
    parser.add_argument("--seed", type=int, metavar="N", help="try the same examples as the run that printed it")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.fuzzers if name not in FUZZERS]:
        parser.error(f"no such fuzzer: {', '.join(unknown)} (there are {', '.join(FUZZERS)})")
    number = arguments.seed if arguments.seed is not None else random.randrange(2**32)
    chosen = [FUZZERS[name] for name in arguments.fuzzers or FUZZERS]
    # There are no cycles of references to collect, and much to look for them in.
    gc.freeze()
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, *thresholds[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logging.disable()  # what the shim logs of thousands of failures
        try:
            passed = [replay(fuzzer) and fuzz(fuzzer, arguments.examples, number) for fuzzer in chosen]
        finally:
            logging.disable(logging.NOTSET)
            gc.set_threshold(*thresholds)
            gc.unfreeze()
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
