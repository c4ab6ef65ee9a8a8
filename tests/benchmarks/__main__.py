"""`python -m tests.benchmarks [ROW ...] [--quick] [--pairs N] [--streams N]`: measure, and print Markdown."""

from __future__ import annotations

import argparse
import dataclasses

import uvloop

from . import (
    first_event,
    followers,
    hostile,
    linear,
    memory,
    options,
    proxy,
    rate,
    report,
    request,
    store,
    streams,
    tokens,
    tool_markup,
    translation,
    vllm,
    without_key,
)
from .sampling import QUICK, Plan

ROWS = {
    "tokens": tokens.measure,
    "options": options.measure,
    "first_event": first_event.measure,
    "request": request.measure,
    "translation": translation.measure,
    "tool_markup": tool_markup.measure,
    "linear": linear.measure,
    "memory": memory.measure,
    "store": store.measure,
    "proxy": proxy.measure,
    "followers": followers.measure,
    "rate": rate.measure,
    "streams": streams.measure,
    "hostile": hostile.measure,
    "without_key": without_key.measure,
    "vllm": vllm.measure,
}
NOT_BY_DEFAULT = {"followers", "proxy", "rate", "streams", "hostile", "without_key", "vllm"}


async def run(names: list[str], plan: Plan) -> None:
    """Print the table row by row, as they are measured."""
    print(report.machine(), report.heading(), sep="\n\n", flush=True)
    for name in names:
        async for row in ROWS[name](plan):
            print(report.line(row.cells()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="What the shim costs.")
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="ROW",
        help=f"any of {', '.join(ROWS)}; by default all but {', '.join(NOT_BY_DEFAULT)}",
    )
    parser.add_argument("--quick", action="store_true", help="a short run that only shows that it works")
    parser.add_argument("--pairs", type=int, help="rounds to take the median over")
    parser.add_argument("--streams", type=int, help="streams at the same time")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"no such row: {', '.join(unknown)} (there are {', '.join(ROWS)})")
    plan = QUICK if arguments.quick else Plan()
    chosen = {name: getattr(arguments, name) for name in ("pairs", "streams") if getattr(arguments, name)}
    uvloop.run(
        run(
            arguments.rows or [name for name in ROWS if name not in NOT_BY_DEFAULT], dataclasses.replace(plan, **chosen)
        )
    )


if __name__ == "__main__":
    main()
