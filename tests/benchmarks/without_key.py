"""What the hostile requests cost the host's process if whoever sends them has no key.

The host has one, so the shim asks it before anything expensive. Each request goes to a server that has answered one
small request, as in `hostile`. That no file is read is counted in the server, where the reading of the files of a
request begins; that no URL is fetched, by a listening socket here, which the URL names.
"""

from __future__ import annotations

import base64
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from tests.runtime.pdfs import pdf_of

from . import servers
from .hostile import MEGABYTE, exchange, post
from .hostile_bodies import parts, request, small
from .hostile_host import KEY
from .hostile_shapes import SHAPES, Shape
from .report import Row
from .sampling import Plan, Spread
from .servers import Server

READ_FIRST = 60_000
"""A body that is read before the host is asked, in bytes: nearly the largest."""
PDF = base64.b64encode(pdf_of(*["All work and no play"] * 20)).decode()


async def measure(plan: Plan) -> AsyncIterator[Row]:
    with target() as at:
        for shape in [*SHAPES, *files(at.url)]:
            for size in plan.bodies[:1] if shape.fixed else [READ_FIRST, *plan.bodies]:
                yield row(shape, size, plan.attacks, at)


def files(url: str) -> list[Shape]:
    """Files whose reading is expensive, or at another server."""
    in_body = {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    return [
        Shape("a PDF", small(parts(in_body)), fixed=True),
        Shape("a file at a URL", small(parts({"type": "input_file", "file_url": url})), fixed=True),
    ]


class Target:
    """A server on this machine that nobody should connect to. It hangs up at once."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.txt"
        self.connections = 0
        """How many have connected."""
        self._listener = listener

    def serve(self) -> None:
        """Count connections until the socket is shut down."""
        with suppress(OSError):
            while True:
                self._listener.accept()[0].close()
                self.connections += 1


@contextmanager
def target() -> Iterator[Target]:
    """A target that is served in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = Target(listener)
        thread = Thread(target=serving.serve)
        thread.start()
        try:
            yield serving
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def row(shape: Shape, size: int, rounds: int, at: Target, authorization: str = "Bearer wrong") -> Row:
    """Send one shape so many times to one server."""
    data, unpacked = shape.packed(size)
    headers = {"x-calls": shape.calls, "authorization": authorization}
    if shape.coding:
        headers["content-encoding"] = ", ".join(shape.coding)
    seconds: list[float] = []
    peaks: list[float] = []
    answers: Counter[str] = Counter()
    connected_before = at.connections
    environment = {"RESPONSES_SHIM_HOST": shape.host, "RESPONSES_SHIM_FILE_URLS": "fetch-any"}
    with servers.guarded(**environment) as server:
        post(server, "/v1/responses", request().encode(), {"authorization": KEY})
        for _ in range(rounds):
            before, cpu = server.resident_kb(), server.cpu_seconds()
            server.forget_peak()
            answers[post(server, shape.path, data, headers)] += 1
            seconds.append(server.cpu_seconds() - cpu)
            peaks.append(max(0.0, server.peak_kb() - before))
        read, fetched = _counts(server)
    connected = at.connections - connected_before
    shown = f"{unpacked / MEGABYTE:.1f} MB" if unpacked > 100_000 else f"{unpacked / 1000:.1f} kB"
    return Row(
        f"{shape.name}, {shown}, without a key: CPU time",
        Spread.of([value * 1000 for value in seconds]),
        " ms",
        "",
        f"{', '.join(sorted(answers))}; {max(peaks) * 1024 / MEGABYTE:.1f} MB; files read: {read}, "
        f"URLs fetched: {fetched}, connections to them: {connected}",
    )


def _counts(server: Server) -> list[int]:
    """For how many requests files have been read, and how many URLs were fetched."""
    status, body = exchange(server, b"GET /files HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert status == 200
    counts: list[int] = json.loads(body)
    return counts
