"""Checks of what a server does with two requests at a time, and with a client that leaves.

They ask the Responses API, or chat where that is all there is, for a long answer, and for a short one beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio

from responses_shim.cli.doctor.checks import Check
from responses_shim.cli.doctor.connection import BUSY, Answer, Exchange
from responses_shim.cli.doctor.findings import Finding, broken, missing, ok, untested
from responses_shim.cli.doctor.questions import COUNT, HELLO, LONG, SHORT, user
from responses_shim.cli.doctor.subject import Subject
from responses_shim.cli.doctor.turns import Turn, read_chat, read_response

BEGUN = 6
"""After how many events a long answer counts as begun: the first are there before the model has written anything."""
MIN_SECONDS = 1.0
"""How long a long answer must take, if it is to be seen whether the server goes on with it."""


@dataclass(frozen=True)
class _Requests:
    """How a long and a short answer are asked for: in the one API or the other."""

    path: str
    long: Any
    short: Any

    def read(self, answer: Answer) -> Turn:
        """The turn in an answer of this API."""
        return read_response(answer) if self.path == "/responses" else read_chat(answer)


async def _requests(subject: Subject, limit: int) -> _Requests:
    if await subject.serves_responses():
        long = subject.response_body(input=COUNT, limit=limit, stream=True)
        return _Requests("/responses", long, subject.response_body(input=HELLO, limit=SHORT))
    long = subject.chat_body(messages=user(COUNT), limit=limit, stream=True)
    return _Requests("/chat/completions", long, subject.chat_body(limit=SHORT))


def _events(body: bytearray) -> int:
    return body.count(b"\ndata:") + body.startswith(b"data:")


async def _begin(exchange: Exchange) -> bool:
    """Wait until a long answer has begun. Returns whether it has, and goes on."""
    begun = await exchange.until(lambda body: _events(body) >= BEGUN)
    return begun and not exchange.ended


def _why_short(requests: _Requests, exchange: Exchange) -> str:
    """Why a long answer has not begun or has ended already."""
    return requests.read(exchange.answer).problem or "ended too early"


async def _second(subject: Subject) -> Finding:
    requests = await _requests(subject, LONG // 4)
    async with subject.connection.open("POST", requests.path, requests.long) as first:
        if not await _begin(first):
            return untested(f"There is no long answer to ask for another beside: it {_why_short(requests, first)}.")
        async with anyio.create_task_group() as group:
            group.start_soon(first.finish)
            short = await subject.connection.ask("POST", requests.path, requests.short, patient=False)
            ended_before = first.ended
    long, second = requests.read(first.answer), requests.read(short)
    if long.answer.late:
        return untested(f"The long answer {long.problem}.", "slow")
    if not long.succeeded or not long.finish or long.finish == "failed":
        reason = long.problem or "had no proper end"
        return broken(f"A second request cuts a stream that is running: the answer {reason}.", "cut")
    if short.status in BUSY or (not second.succeeded and short.status == 200):
        return missing(f"A second request is refused while the first is answered: it {second.problem}.", "busy")
    if not second.succeeded:
        return broken(f"A second request fails beside another: the answer {second.problem}.", "busy")
    if ended_before:
        return ok(f"A second request waits until the first is answered ({short.seconds:.1f} s).")
    return ok(f"A second request is answered beside the first, in {short.seconds:.1f} s.")


async def _disconnect(subject: Subject) -> Finding:
    """A short request is answered at once, when the client of a long answer has left.

    A server that answers several requests together answers the short one at once in any case; that it goes on for
    nobody cannot be seen then.
    """
    requests = await _requests(subject, LONG)
    baseline = requests.read(await subject.connection.ask("POST", requests.path, requests.short))
    if not baseline.succeeded:
        return untested(f"A short request is not answered: it {baseline.problem}.")
    expected = LONG * await _seconds_per_event(subject, requests)
    async with subject.connection.open("POST", requests.path, requests.long) as first:
        if not await _begin(first):
            return untested(f"There is no long answer to leave: it {_why_short(requests, first)}.")
    patience = max(subject.connection.limits.patience, 3 * baseline.answer.seconds)
    short = await subject.connection.ask("POST", requests.path, requests.short, limit=patience, patient=False)
    waited = short.seconds - baseline.answer.seconds
    if not short.status or short.problem:
        return broken(
            f"After a client has left a stream, a short request was not answered within {patience:.0f} s.", "disconnect"
        )
    if short.status in BUSY:
        return broken(f"After a client has left a stream, the server is still busy: {short.status}.", "disconnect")
    if expected < MIN_SECONDS:
        return untested(f"Answers come too fast to tell: a long one is there in some {expected:.1f} s.")
    if waited > 0.5 * expected:
        return broken(
            f"After a client has left a stream, a short request waited {waited:.1f} s, as if it went on.", "disconnect"
        )
    return ok(f"After a client has left a stream, a short request is answered in {short.seconds:.1f} s.")


async def _seconds_per_event(subject: Subject, requests: _Requests) -> float:
    """How long an event of a long answer takes, by a shorter one of the same kind."""
    if requests.path == "/responses":
        sample = (await subject.response(stream=True, input=COUNT)).answer
    else:
        sample = (await subject.streamed_chat(messages=user(COUNT))).answer
    return (sample.reads[-1] - sample.reads[0]) / len(sample.frames) if sample.reads and sample.frames else 0.0


CHECKS = (
    Check("load.second", "a second request leaves a running stream alone", _second),
    Check("load.disconnect", "the server stops when a client leaves", _disconnect),
)
