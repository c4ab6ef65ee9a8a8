"""Checks of what a server keeps: responses, chains, conversations, runs in the background.

What they store they delete again (`Subject.clean_up`).
"""

from __future__ import annotations

import time

import anyio

from responses_shim.cli.doctor.checks import Check
from responses_shim.cli.doctor.connection import Answer
from responses_shim.cli.doctor.findings import Finding, broken, missing, ok, untested
from responses_shim.cli.doctor.lookup import Json, at, object_at, objects_at, text_at
from responses_shim.cli.doctor.questions import COUNT, HELLO, LONG
from responses_shim.cli.doctor.subject import Subject, id_of
from responses_shim.cli.doctor.turns import Turn, described

ABSENT = (404, 405, 501)
"""The answers of a server that has no such route."""
READS = 16
"""How often a stored response is read, each time on a new connection, to reach each of several workers."""
ENDED = ("completed", "incomplete", "failed", "cancelled")


async def _stored(subject: Subject) -> tuple[Turn, str]:
    """The turn of a response that is stored, and its id; an empty id if it was not made."""
    turn = await subject.response(store=True)
    return turn, id_of(turn.answer.json) if turn.succeeded else ""


def _not_stored(turn: Turn) -> Finding:
    if turn.succeeded:
        return untested("The response has no id by which it could be asked for.")
    return missing(f"A request with store: true fails: the answer {turn.problem}.", "store")


async def _get(subject: Subject) -> Finding:
    turn, id = await _stored(subject)
    if not id:
        return _not_stored(turn)
    if at(turn.answer.json, "store") is False:
        return missing("A response with store: true says store: false.", "store")
    again = await subject.connection.ask("GET", f"/responses/{id}")
    if again.status in ABSENT:
        return missing(f"A stored response cannot be read: status {again.status}.", "store")
    if again.status != 200:
        return broken(f"A stored response cannot be read: {described(again)}", "store")
    for name in ("id", "status", "output"):
        if at(again.json, name) != at(turn.answer.json, name):
            return broken(f"A stored response has another {name} than it had when it was made.", "api")
    return ok("A stored response is as it was.")


async def _workers(subject: Subject) -> Finding:
    """What one worker process has stored, the others have too."""
    turn, id = await _stored(subject)
    if not id:
        return _not_stored(turn)
    found = [(await subject.connection.ask("GET", f"/responses/{id}")).status for _ in range(READS)]
    if set(found) <= {*ABSENT}:
        return untested("Stored responses cannot be read at all.")
    if lost := sum(status == 404 for status in found):
        return broken(f"Of {READS} requests for one stored response {lost} do not find it.", "workers")
    return ok(f"Found {found.count(200)} times of {READS}, on a new connection each time.")


async def _input_items(subject: Subject) -> Finding:
    turn, id = await _stored(subject)
    if not id:
        return _not_stored(turn)
    page = await subject.connection.ask("GET", f"/responses/{id}/input_items")
    if page.status in ABSENT:
        return missing(f"The input of a response cannot be read: status {page.status}.")
    items = objects_at(page.json, "data")
    if (
        page.status != 200
        or text_at(page.json, "object") != "list"
        or HELLO not in page.body.decode("utf-8", "replace")
    ):
        return broken("The input items are not those of the request.", "api")
    return ok(f"{len(items)} listed.")


async def _previous(subject: Subject) -> Finding:
    """A request that names the response before gets it into its prompt: it is longer than without."""
    turn, id = await _stored(subject)
    if not id:
        return _not_stored(turn)
    chained = await subject.response(stream=True, input="And now in French.", previous_response_id=id)
    alone = await subject.response(stream=True, input="And now in French.")
    if not chained.succeeded:
        return missing(f"A request with previous_response_id fails: the answer {chained.problem}.", "store")
    if chained.prompt_tokens is None or alone.prompt_tokens is None:
        return ok("Accepted; whether the model sees what came before cannot be known without a usage.")
    if chained.prompt_tokens <= alone.prompt_tokens:
        return broken("previous_response_id is ignored in silence: the prompt is no longer with it.", "store")
    return ok(f"What came before is in the prompt ({chained.prompt_tokens - alone.prompt_tokens} tokens).")


async def _previous_unknown(subject: Subject) -> Finding:
    turn = await subject.response(previous_response_id="resp_00000000000000000000000000000000")
    if turn.answer.status in (400, 404):
        return ok(f"An unknown one is refused with status {turn.answer.status}.")
    if turn.answer.status == 200:
        return broken("An unknown previous_response_id is ignored in silence.", "store")
    return untested(f"An unknown one has another answer: it {turn.problem}.")


async def _conversation(subject: Subject) -> Finding:
    made = await subject.connection.ask("POST", "/conversations", {"items": [{"role": "user", "content": "I am Ann."}]})
    id = id_of(made.json)
    if made.status in ABSENT:
        return missing(f"There is no Conversations API: status {made.status}.")
    if made.status != 200 or not id:
        return missing(f"No conversation can be made: {described(made)}", "store")
    subject.remember(made.json)
    turn = await subject.response(input="Say hello.", conversation=id, store=None)
    if not turn.succeeded:
        return broken(f"A request with conversation fails: the answer {turn.problem}.", "store")
    subject.remember(turn.answer.json)
    page = await subject.connection.ask("GET", f"/conversations/{id}/items?order=asc")
    roles = [text_at(item, "role") for item in objects_at(page.json, "data") if item.get("type") == "message"]
    if roles[:2] != ["user", "user"] or len(objects_at(page.json, "data")) < 3:
        return broken(f"After a turn the conversation has {len(roles)} messages, not those of the turn too.", "api")
    return ok("A turn is added to its conversation.")


# In the background -------------------------------------------------------------------------------------------------


async def _start(subject: Subject, body: Json) -> tuple[Answer, str]:
    """Start a response in the background. Returns the answer and the id, empty if it was not started."""
    started = await subject.connection.ask("POST", "/responses", body)
    subject.remember(started.json)
    return started, id_of(started.json) if started.status == 200 else ""


async def _background(subject: Subject) -> Finding:
    started, id = await _start(subject, subject.response_body(background=True, store=True))
    if not id:
        return missing(f"It cannot be started: {described(started)}", "background")
    status = await _until_ended(subject, id)
    if status not in ENDED:
        return broken(f"It has not ended in time: it is {status}.", "background")
    if status == "failed":
        return broken("It ends as failed.", "background")
    return ok(f"It ends as {status}.")


async def _replay(subject: Subject) -> Finding:
    """The events of a response in the background can be read again, all of them and those behind a number."""
    started = await subject.connection.ask(
        "POST", "/responses", subject.response_body(background=True, store=True, stream=True)
    )
    response = at(started.events, 0, "response")
    id = id_of(response)
    subject.remember(response)
    if started.status != 200 or not id:
        return untested(f"It cannot be started: {described(started)}")
    replay = await subject.connection.ask("GET", f"/responses/{id}?stream=true")
    if replay.status != 200 or not replay.is_stream:
        return missing(f"Its events cannot be read again: {described(replay)}")
    if _plain(replay.events) != _plain(started.events):
        return broken("The events are others when they are asked for again.", "api")
    cursor = len(replay.events) // 2
    rest = await subject.connection.ask("GET", f"/responses/{id}?stream=true&starting_after={cursor}")
    behind = [event for event in replay.events if _number(event) > cursor]
    if _plain(rest.events) != _plain(behind):
        return broken("Events that are asked for from a number on are not the rest of the same events.", "api")
    return ok(f"Its {len(replay.events)} events can be read again, also from a number on.")


def _plain(events: list[Json]) -> list[Json]:
    """The events without the random text that hides how long their deltas are: it may be another each time."""
    return [{name: value for name, value in event.items() if name != "obfuscation"} for event in events]


def _number(event: Json) -> int:
    number = at(event, "sequence_number")
    return number if isinstance(number, int) else -1


async def _until_ended(subject: Subject, id: str) -> str:
    """The status of a response in the background, once it has ended or its time is over."""
    deadline = time.monotonic() + subject.connection.limits.answer
    while True:
        answer = await subject.connection.ask("GET", f"/responses/{id}")
        status = text_at(answer.json, "status")
        if status in ENDED or time.monotonic() > deadline or answer.status != 200:
            return status or f"unreadable ({described(answer)})"
        await anyio.sleep(subject.connection.limits.pause)


async def _cancel(subject: Subject) -> Finding:
    started, id = await _start(subject, subject.response_body(input=COUNT, limit=LONG, background=True, store=True))
    if not id:
        return untested(f"It cannot be started: {described(started)}")
    cancelled = await subject.connection.ask("POST", f"/responses/{id}/cancel")
    if cancelled.status in ABSENT:
        return missing(f"It cannot be cancelled: status {cancelled.status}.")
    status = await _until_ended(subject, id)
    if cancelled.status != 200 or status not in ENDED:
        return broken(f"It cannot be cancelled: status {cancelled.status}, and then it is {status}.", "api")
    return ok("It is cancelled.") if status == "cancelled" else untested(f"It had ended before: {status}.")


async def _delete(subject: Subject) -> Finding:
    turn = await subject.response(store=True, input=f"{HELLO} ")  # not the one that other checks look at
    id = id_of(turn.answer.json)
    if not (turn.succeeded and id):
        return _not_stored(turn)
    deleted = await subject.connection.ask("DELETE", f"/responses/{id}")
    if deleted.status in ABSENT:
        return missing(f"A response cannot be deleted: status {deleted.status}.")
    if deleted.status != 200 or not object_at(deleted.json).get("deleted"):
        return broken(f"A response cannot be deleted: {described(deleted)}", "api")
    subject.created.remove(id)
    after = await subject.connection.ask("GET", f"/responses/{id}")
    if after.status != 404:
        return broken(f"After it was deleted a response can still be read: status {after.status}.", "api")
    return ok("What is deleted is gone.")


CHECKS = (
    Check("state.get", "a stored response can be read", _get, "responses"),
    Check("state.workers", "all workers know what is stored", _workers, "responses"),
    Check("state.input_items", "the input of a response can be read", _input_items, "responses"),
    Check("state.previous", "previous_response_id continues a response", _previous, "responses"),
    Check("state.previous_unknown", "an unknown previous_response_id is refused", _previous_unknown, "responses"),
    Check("state.conversation", "conversations keep turns", _conversation, "responses"),
    Check("state.background", "a response runs in the background", _background, "responses"),
    Check("state.replay", "the events of a response in the background can be read again", _replay, "responses"),
    Check("state.cancel", "a response in the background can be cancelled", _cancel, "responses"),
    Check("state.delete", "a response can be deleted", _delete, "responses"),
)
