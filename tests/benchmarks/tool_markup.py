"""What it costs to look for tool calls in text that has none, per delta; and whether long and odd texts cost more."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from responses_shim.core.response.filters import MARKUP_CHARACTERS
from responses_shim.core.response.tool_markup import Functions, ToolMarkupFilter, blocks_of
from responses_shim.core.response.tool_markup.reader import MarkupReader
from responses_shim.core.wire.chat import Choice, Chunk, Delta

from .dimension import Dimension, Work, compare
from .report import Row
from .sampling import Plan, Spread

Item = TypeVar("Item")

WORDS = (" fox", " jumps", " over", "the", "\n", " lazy", ", ", "dog", ".", " é")
FUNCTIONS = Functions({"f": {"type": "object", "properties": {"a": {"type": "string"}}}})
BLOCKS = blocks_of("hermes", required=False)
DELTAS = 20_000


def new_reader() -> MarkupReader:
    reader = MarkupReader(BLOCKS, FUNCTIONS)
    reader.feed("Hi")
    return reader


def new_filter() -> ToolMarkupFilter:
    made = ToolMarkupFilter(BLOCKS, FUNCTIONS)
    made.feed(Chunk(choices=[Choice(delta=Delta(content="Hi"))]))
    return made


async def measure(plan: Plan) -> AsyncIterator[Row]:
    count = max(100, round(DELTAS * plan.growth))
    words = [WORDS[index % len(WORDS)] for index in range(count)]
    chunks = [Chunk(choices=[Choice(delta=Delta(content=word))]) for word in words]
    yield row("the scan of the fast path", MARKUP_CHARACTERS.isdisjoint, words, plan, "≤ 0.1 µs")
    yield row("the reader", new_reader().feed, words, plan)
    yield row("the filter, without the fast path", new_filter().feed, chunks, plan)
    for dimension in DIMENSIONS:
        yield compare(dimension, max(1, round(dimension.size * plan.growth)), min(plan.pairs, 3))


def row(name: str, work: Callable[[Item], object], deltas: list[Item], plan: Plan, bar: str = "") -> Row:
    """The CPU time for each delta, without that of the loop."""
    spread = Spread.of([micros(work, deltas) - micros(_nothing, deltas) for _ in range(plan.pairs)])
    return Row(f"a delta without markup: {name}", spread, " µs", bar, f"{len(deltas):,} deltas")


def micros(work: Callable[[Item], object], deltas: list[Item]) -> float:
    before = time.process_time()
    for delta in deltas:
        work(delta)
    return (time.process_time() - before) / len(deltas) * 1e6


def _nothing(delta: object) -> None:
    pass


def reading(text: Callable[[int], str], size: int | None, n: int) -> Work:
    """The work of reading a text of length n in deltas of `size` characters, or in one."""
    answer = text(n)
    step = size or len(answer)
    deltas = [answer[start : start + step] for start in range(0, len(answer), step)]

    def read() -> None:
        reader = MarkupReader(BLOCKS, FUNCTIONS)
        for delta in deltas:
            reader.feed(delta)
        reader.close()

    return read


MARK = "]<]minimax[>["
TEXTS: dict[str, tuple[int, Callable[[int], str]]] = {
    "HTML and markdown": (2_000, lambda n: '<p class="a">x</p> [1] `c`\n' * n),
    "openers": (2_000, lambda n: "<tool_call>" * n),
    "calls that do not end": (2_000, lambda n: "<function=f><parameter=a>" * n),
    "objects that do not end": (1_000, lambda n: '<tool_call>{"name": "f", "x": "' * n),
    "calls": (500, lambda n: '<tool_call>{"name": "f", "arguments": {"a": "b"}}</tool_call>\n' * n),
    "arguments in JSON": (
        2_000,
        lambda n: '<tool_call>{"name": "f", "arguments": {"a": [' + '"x\n<b>", True, {}, ' * n + "1]}}</tool_call>",
    ),
    "a parameter": (
        2_000,
        lambda n: "<function=f><parameter=a>" + "if a < b: </b>\n" * n + "</parameter></function>",
    ),
    "a parameter that is held": (
        2_000,
        lambda n: "<function=f><parameter=a></parameter> x" + "if a < b: </b>\n" * n + "</parameter></function>",
    ),
    "closers that end nothing": (2_000, lambda n: "<function=f><parameter=a>" + "</parameter> x " * n),
    "white space behind a parameter": (20_000, lambda n: "<function=f><parameter=a>x</parameter>" + " " * n),
    "words behind a parameter": (5_000, lambda n: "<function=f><parameter=a>x</parameter>" + " word" * n),
    "elements": (
        2_000,
        lambda n: MARK.join(["", '<invoke name="f">', "<a>", *["<b>if a < b: </b>"] * n, "</a>", "</invoke>"]),
    ),
    "Python": (2_000, lambda n: "<|python_tag|>[f(a=[" + "'x)]', " * n + "1])]"),
}

DIMENSIONS = [
    Dimension(f"tool markup: {name}, {form}", size, partial(reading, text, step))
    for name, (size, text) in TEXTS.items()
    for form, step in (("in one delta", None), ("four characters a delta", 4))
]
