"""A chat host that puts a client into the situations in which clients of the Responses API go wrong.

Each situation has a name: a silence in `silences()`, two calls at once in `parallel_calls()`, an answer that breaks in
`broken_answers()`. `SituationHost` takes the name from the model of the request, so that one server serves a client
that is asked in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from integrations.codex.codex_cli import Wire
from responses_shim import ResponsesShim
from tests.scripted import ScriptedHost, Step, Wait, call, call_answer, chunk, frame, text_answer

Call: TypeAlias = tuple[str, str, str]
"""Id, name and arguments."""

PARIS: Call = ("call_paris", "get_weather", '{"city": "Paris"}')
ROME: Call = ("call_rome", "get_time", '{"city": "Rome"}')
SUNNY = text_answer("It is", " sunny.")

ERROR_MESSAGE = "the engine has lost its GPU"
ERROR_FRAME = frame({"error": {"message": ERROR_MESSAGE, "type": "server_error", "code": 500}})
STOPPED_MESSAGE = "ended its stream"
"""What the shim says of a host whose stream just stops."""

ROLE = chunk("", role="assistant")
FINISHED_CALLS: list[Step] = call_answer()


def halves(index: int, function: Call) -> tuple[bytes, bytes]:
    """A call in two chunks: the first begins it and has half of its arguments, the second has the rest."""
    id, name, arguments = function
    middle = len(arguments) // 2
    first = chunk(tool_calls=[call(index, id, name, arguments[:middle])])
    return first, chunk(tool_calls=[call(index, arguments=arguments[middle:])])


def silences(function: Call, enough_pings: anyio.Event) -> dict[str, list[Step]]:
    """Answers of a host that falls silent until there have been enough pings."""
    first_half, second_half = halves(0, function)
    wait = Wait(enough_pings)
    return {
        "silent-at-first": [wait, *SUNNY],
        "silent-within-text": [ROLE, chunk("It is"), wait, *text_answer(" sunny.")],
        "silent-within-a-call": [ROLE, first_half, wait, second_half, *FINISHED_CALLS],
    }


def parallel_calls(one: Call, other: Call) -> dict[str, list[Step]]:
    """Answers that call two functions at once: one call after the other, or their pieces interleaved."""
    (one_begins, one_ends), (other_begins, other_ends) = halves(0, one), halves(1, other)
    return {
        "two-calls": call_answer(one, other),
        "two-calls-interleaved": [ROLE, one_begins, other_begins, one_ends, other_ends, *FINISHED_CALLS],
    }


def broken_answers(function: Call) -> dict[str, list[Step]]:
    """Answers that break: an error frame in the middle, or the stream just stops.

    Behind a call is the worst place: the arguments are complete, and only the finish is missing.
    """
    first_half, second_half = halves(0, function)
    beginnings: dict[str, list[Step]] = {
        "within-text": [ROLE, chunk("It is")],
        "within-a-call": [ROLE, first_half],
        "behind-a-call": [ROLE, first_half, second_half],
    }
    stops = {f"stops-{place}": steps for place, steps in beginnings.items()}
    return stops | {f"error-{place}": [*steps, ERROR_FRAME] for place, steps in beginnings.items()}


SILENCES = list(silences(PARIS, anyio.Event()))
PARALLEL_CALLS = list(parallel_calls(PARIS, ROME))
BROKEN_ANSWERS = list(broken_answers(PARIS))


class Pings:
    """Counts the pings of one stream and sets `enough` when there have been as many as wanted."""

    def __init__(self, kind: Literal["in_progress", "event"] = "in_progress", wanted: int = 3) -> None:
        self.enough = anyio.Event()
        self.event = {"in_progress": b"event: response.in_progress\n", "event": b"event: response.ping\n"}[kind]
        # The first `response.in_progress` is the beginning of the stream, not a ping.
        self.missing = wanted + (kind == "in_progress")

    def watch(self, body: bytes) -> None:
        """Look at a piece of the stream that has been sent to the client."""
        self.missing -= body.count(self.event)
        if self.missing <= 0:
            self.enough.set()


def watched(app: ASGIApp, watch: Callable[[bytes], None]) -> ASGIApp:
    """The app, whose bodies `watch` gets once they have been sent."""

    async def watched_app(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_watched(message: Message) -> None:
            await send(message)
            watch(message.get("body", b""))

        await app(scope, receive, send_watched)

    return watched_app


def offered(chat: dict[str, Any], function: Call) -> Call:
    """The call by the name under which the function was offered: some clients put a prefix before it."""
    id, name, arguments = function
    names = [tool["function"]["name"] for tool in chat.get("tools", ())]
    return id, next((offer for offer in names if offer.endswith(name)), name), arguments


class SituationHost:
    """The shim on a host that plays the situation which the request's model names; requests come one after another.

    A client that runs the functions and sends their outputs gets a text for them.
    """

    def __init__(self) -> None:
        self.host = ScriptedHost(self.answer)
        self.wire = Wire(ResponsesShim(self.host, ping_interval=0.05, commit_after=0))
        self.pings = Pings()

    def answer(self, chat: dict[str, Any]) -> list[Step]:
        """What the host sends for one chat request."""
        if any(message["role"] == "tool" for message in chat["messages"]):
            return SUNNY
        paris, rome = offered(chat, PARIS), offered(chat, ROME)
        answers = silences(paris, self.pings.enough) | parallel_calls(paris, rome) | broken_answers(paris)
        return answers[chat["model"]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.pings = Pings()
        await watched(self.wire, self.pings.watch)(scope, receive, send)
