"""What is large is written in parts: other tasks run in between, and a caller that is cancelled loses nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import anyio
import anyio.lowlevel
import pytest

from responses_shim.core.response.encoder import Frame, Framing
from responses_shim.core.wire.responses import Response
from responses_shim.runtime.interfaces import RawHeaders
from responses_shim.runtime.writer import LARGE, Writer

pytestmark = pytest.mark.anyio

BIG = b"x" * LARGE
RESPONSE = Response(id="resp_1", created_at=0, model="m")


class Parts:
    """A sink that notes what it is given in one go."""

    framing: Framing | None = None

    def __init__(self) -> None:
        self.written: list[str | list[bytes]] = []

    async def begin(self, headers: RawHeaders) -> None:
        self.written.append("begin")

    def write(self, frame: Frame) -> Awaitable[None]:
        return self.write_all([frame])

    def write_all(self, frames: Sequence[Frame]) -> Awaitable[None]:
        return self._note([data for _, data in frames])

    async def _note(self, data: list[bytes]) -> None:
        self.written.append(data)

    async def finish(self, frames: Sequence[Frame], response: Response) -> None:
        self.written.append([data for _, data in frames])
        self.written.append("end")


def numbered(*data: bytes) -> list[Frame]:
    return list(enumerate(data))


async def test_small_frames_are_written_together() -> None:
    sink = Parts()
    writer = Writer(sink, lambda: None)
    writer.queue(numbered(b"a", b"b", b"c"), RESPONSE)
    assert not writer.is_full
    await writer.write()
    assert sink.written == ["begin", [b"a", b"b", b"c"], "end"]


async def test_large_frames_are_written_one_by_one_and_the_small_ones_beside_them_together() -> None:
    sink = Parts()
    writer = Writer(sink, lambda: None)
    writer.queue(numbered(b"a", b"b", BIG, b"c", BIG, BIG, b"d"), RESPONSE)
    assert writer.is_full
    await writer.write()
    assert sink.written == ["begin", [b"a", b"b"], [BIG], [b"c"], [BIG], [BIG], [b"d"], "end"]
    assert not writer.is_full


@pytest.mark.parametrize("begun", [False, True])
async def test_other_tasks_run_between_the_parts(begun: bool) -> None:
    sink = Parts()
    writer = Writer(sink, lambda: None)
    if begun:
        await writer.keep_alive()
        sink.written.clear()
    writer.queue(numbered(BIG, BIG, BIG))

    async def other() -> None:
        for _ in range(2):
            sink.written.append("other")
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        tasks.start_soon(writer.write)
    assert [entry for entry in sink.written if entry != "begin"] == ["other", [BIG], "other", [BIG], [BIG]]


@pytest.mark.parametrize("last", [None, RESPONSE])
async def test_a_caller_that_is_cancelled_between_two_parts_leaves_the_rest_to_the_next(last: Response | None) -> None:
    class CancelledAfterFirst(Parts):
        async def _note(self, data: list[bytes]) -> None:
            await super()._note(data)
            scope.cancel()

    sink = CancelledAfterFirst()
    writer = Writer(sink, lambda: None)
    writer.queue(numbered(BIG, BIG, b"a"), last)
    with anyio.CancelScope() as scope:
        await writer.write()
    assert sink.written == ["begin", [BIG]]
    assert writer.pending
    await writer.write()
    assert sink.written == ["begin", [BIG], [BIG], [b"a"], *(["end"] if last else [])]
