"""What requests that are meant to hurt do to the host's process: how long its loop is held, how much memory it takes.

Each request goes to a fresh server, a process of its own, after one small request and one of an agent's, of 200 kB: so
what the first large request of a process takes once, for threads and modules, is not counted. The loop has a heartbeat
(see `hostile_host`), and the kernel knows the process's peak of resident memory.

The figure of a request is the shortest of its longest holds, of those that it had each time it was sent: whatever else
runs on the machine only makes them longer, and what the request itself does to the loop, it does each time.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

from . import servers
from .hostile_bodies import request
from .hostile_shapes import HONEST, SHAPES, Shape
from .report import Row
from .sampling import Plan, Spread
from .servers import Server

MEGABYTE = 1_000_000
ORDINARY = 200_000
"""The size of the conversation that comes before a hostile request, in bytes. From 100 kB on, threads do the work."""
SMALL = 1_100_000
"""Up to which size of a body, in bytes, the lower of the two bars holds."""


async def measure(plan: Plan) -> AsyncIterator[Row]:
    for shape in SHAPES:
        for size in plan.bodies[:1] if shape.fixed else plan.bodies:
            yield row(shape, size, plan.attacks)


def row(shape: Shape, size: int, rounds: int) -> Row:
    """Send one shape so many times, each to a server of its own."""
    data, unpacked = shape.packed(size)
    outcomes = [_attack(shape, data) for _ in range(rounds)]
    blocks, seconds, peaks, answers = zip(*outcomes, strict=True)
    answer = ", ".join(sorted(Counter(answers)))
    peak = max(peaks) * 1024
    shown = f"{unpacked / MEGABYTE:.1f} MB" if unpacked > 100_000 else f"{unpacked / 1000:.1f} kB"
    ratio = f" ({peak / unpacked:.1f} × the body)" if unpacked > MEGABYTE / 2 else ""
    return Row(
        f"{shape.name}, {shown}: longest hold of the loop",
        Spread(min(blocks), min(blocks), max(blocks)),
        " ms",
        "≤ 20 ms" if unpacked <= SMALL else "≤ 100 ms",
        f"{answer}; {max(seconds):.2f} s; {peak / MEGABYTE:.0f} MB{ratio}",
    )


def _attack(shape: Shape, data: bytes) -> tuple[float, float, float, str]:
    """How long the loop was held (ms), how long the answer took (s), the memory it took (KB), and what it was."""
    with servers.hostile(RESPONSES_SHIM_HOST=shape.host, RESPONSES_SHIM_AUTH_PROBE="off") as server:
        for ordinary in (request().encode(), HONEST[0].body(ORDINARY)):
            assert post(server, "/v1/responses", ordinary, {}) == "200 completed"
        _longest_hold(server)  # begins to count
        before = server.resident_kb()
        server.forget_peak()
        headers = {"content-encoding": ", ".join(shape.coding)} if shape.coding else {}
        start = time.perf_counter()
        answer = post(server, shape.path, data, headers | {"x-calls": shape.calls})
        seconds = time.perf_counter() - start
        return _longest_hold(server), seconds, max(0.0, server.peak_kb() - before), answer


def _longest_hold(server: Server) -> float:
    status, body = exchange(server, b"GET /heartbeat HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert status == 200
    return float(body)


def post(server: Server, path: str, body: bytes, headers: dict[str, str]) -> str:
    """The answer's status, with the code of an error or the end of a stream."""
    fields = {"host": "localhost", "content-type": "application/json", "connection": "close"} | headers
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode()
    status, answer = exchange(server, head + body)
    if status == 200:
        ends = ("completed", "incomplete", "failed")
        return f"200 {next((end for end in ends if f'event: response.{end}'.encode() in answer), 'without an end')}"
    error = json.loads(answer)["error"] if answer[:1] == b"{" else {"code": "no error of ours"}
    return f"{status} {error['code']}"


def exchange(server: Server, data: bytes) -> tuple[int, bytes]:
    """Send a request, and return the status and the body of its answer; 0 if there is none."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        with suppress(ConnectionError):  # a body that is refused need not be read to its end
            connection.sendall(data)
        answer = bytearray()
        with suppress(ConnectionError):
            while received := connection.recv(1 << 20):
                answer += received
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head else 0, body
