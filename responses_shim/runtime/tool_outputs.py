"""Responses that wait for the outputs of their calls, which are posted to them (`POST /responses/{id}/tool_outputs`).

In OpenAI's API a call ends the response, and its output comes with the next request. A response that waits
(`tool_outputs: "wait"`) goes on instead: its stream pauses at the calls, and another round begins, with another chat
call, when all outputs have come. They may be posted in any process that has the same store:

    the run                                      whoever has an output
    items of the round → record
    the round has ended → messages               finds the call in the record, and no output of it
    reads messages, until each call              output → messages
      has its output                             reads them: was another one first? then the call was answered already
    outputs → record, next chat call

So the record has the items of the response in their order: input, output of the first round, outputs of its calls,
output of the second round. A client sees a call before its round has ended, and may be fast: what is posted for a call
that is not in the record yet waits for the end of the round.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import msgspec
from msgspec import Struct

from responses_shim.core.request.messages import Item
from responses_shim.core.request.stored_input import stored_input
from responses_shim.core.response.stream import RoundResult
from responses_shim.core.tools.kinds import KINDS
from responses_shim.core.wire.finish_reasons import end_of
from responses_shim.core.wire.responses import CallItem, Response
from responses_shim.core.wire.stored import waits_for_outputs
from responses_shim.core.wire.validation import quoted
from responses_shim.errors import InvalidRequest, ShimError
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.background import END_SECONDS, end_run, until_ended
from responses_shim.runtime.client_store import ClientStore
from responses_shim.runtime.history import Turn, no_response, response_ended
from responses_shim.runtime.ids import Ids
from responses_shim.stores.base import ENDED, RUNNING, Record, Store, StoredItem, StoreUnavailable

MAX_ROUNDS = 100
"""How many rounds a response has at most. The calls of the last one end it, as they do without waiting."""
READ_SECONDS = 15.0
"""How long one reading of the messages may wait for the next one."""
RETRY_SECONDS = 1.0
"""How long a run waits before it reads them again from a store that was not available."""

_encode = msgspec.json.encode


class _Message(Struct, omit_defaults=True):
    """A message to a response that waits.

    - `call`: the id of the item of the call whose output this is; empty if the message is that a round has ended
    - `sender`: random, different for each output that is posted
    - `item`: the output, as an input item without an id
    """

    call: str = ""
    sender: str = ""
    item: dict[str, Any] | None = None


class _Sender(Struct):
    """What has to be read of a message to know which calls have been answered, and by whom."""

    call: str = ""
    sender: str = ""


_read_message = msgspec.json.Decoder(_Message).decode
_read_sender = msgspec.json.Decoder(_Sender).decode

# The run -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def kept_while_running(turn: Turn, response: Response) -> AsyncIterator[None]:
    """Have a response in the store while the block makes it, so that outputs can be posted to it.

    If it has not ended when the block is left, it is ended then: as `failed` if the block has raised ShimError, else as
    `cancelled`, for its client has left. Raises StoreUnavailable if it cannot be stored.
    """
    record = await turn.add(response)
    store, owner, id = turn.store.store, record.owner, record.id
    lease = asyncio.create_task(until_ended(store, owner, id, secrets.token_hex(8)))
    failure: ShimError | None = None
    try:
        yield
    except ShimError as error:
        failure = error
        raise
    finally:
        lease.cancel()
        with anyio.move_on_after(END_SECONDS, shield=True), suppress(StoreUnavailable):
            await end_run(store, owner, id, "cancelled" if failure is None else "failed", failure)


class ToolRounds:
    """The rounds of one response that waits, whose record is in the store.

    - `next_chat`: makes the chat request of a round from the items of the rounds before it, outputs of calls included
    - `timeout`: for how many seconds the outputs of one round may be waited for
    """

    def __init__(
        self, turn: Turn, response_id: str, ids: Ids, next_chat: Callable[[list[Item]], Awaitable[Chat]], timeout: float
    ) -> None:
        self._turn = turn
        self._store = turn.store.store
        self._id = response_id
        self._ids = ids
        self._next_chat = next_chat
        self._timeout = timeout
        self._rounds = 0  # that have ended
        self._read = -1  # the number of the last message that has been read

    def next_round(self, result: RoundResult) -> Callable[[], Awaitable[Chat]] | None:
        """Another round if this one has ended well, with calls; what is returned waits for their outputs."""
        self._rounds += 1
        complete = result.finish_reason is not None and end_of(result.finish_reason) == "completed"
        if not (result.calls and complete) or self._rounds == MAX_ROUNDS:
            return None
        return partial(self._make_request, result)

    async def _make_request(self, result: RoundResult) -> Chat:
        turn = self._turn
        await turn.add_round(self._id, [StoredItem(item.id, _encode(item), output=True) for item in result.items])
        await self._store.post(turn.owner, self._id, _encode(_Message()))
        outputs = stored_input(await self._outputs(result.calls), self._ids.new)
        await turn.add_round(self._id, [StoredItem(id, _encode(item)) for id, item in outputs])
        return await self._next_chat(turn.rounds())

    async def _outputs(self, calls: Sequence[CallItem]) -> list[Item]:
        """The outputs of all these calls, in the order of the calls. Raises ShimError if one does not come in time."""
        outputs: dict[str, Item | None] = {call.id: None for call in calls}
        deadline = time.monotonic() + self._timeout
        while unanswered := [call.call_id for call in calls if outputs[call.id] is None]:
            left = deadline - time.monotonic()
            if left <= 0:
                ids = ", ".join(map(quoted, unanswered))
                message = f"Timed out waiting for tool outputs: none came for {ids}."
                raise ShimError(message, status=504, code="tool_timeout")
            for posted in await self._messages(min(left, READ_SECONDS)):
                if outputs.get(posted.call, posted) is None:  # not for another round, and the first one for its call
                    outputs[posted.call] = posted.item
        return [item for item in outputs.values() if item is not None]

    async def _messages(self, wait: float) -> list[_Message]:
        """The messages that have not been read yet; if there are none, wait so many seconds for one."""
        try:
            read = await self._store.read(self._turn.owner, self._id, "messages", after=self._read, wait=wait)
        except StoreUnavailable:
            await anyio.sleep(min(wait, RETRY_SECONDS))  # the tools may take longer than the outage
            return []
        if read is None or read.ended:
            raise response_ended(self._id)
        if read.entries:
            self._read = read.entries[-1][0]
        return [_read_message(data) for _, data in read.entries]


# Who has an output ---------------------------------------------------------------------------------------------------


async def find_waiting_call(store: ClientStore, id: str, call_id: str, seconds: float) -> tuple[Record, Item]:
    """The record of a response that waits, and the item of its call `call_id`, whose output is waited for.

    If the model is still writing, wait up to `seconds` for it to end its round. Raises InvalidRequest: with status 404
    if there is no such response or no such call; with status 400 if the call has its output, or the response does not
    wait. Raises StoreUnavailable.
    """
    deadline = time.monotonic() + seconds
    found = await store.get(id)
    while True:
        if found is None or found.record.kind != "response":
            raise no_response(id)
        owner = found.record.owner
        messages = await _all_messages(store.store, owner, id)
        # Only now: if the log says that the round has ended, its calls are in the record.
        found = await store.store.get(owner, id)
        if messages is None or found is None:
            raise no_response(id)
        record = found.record
        answered = {message.call for _, message in messages}
        calls, unanswered = _calls(found.items, answered)
        waits = record.status in RUNNING and waits_for_outputs(record.data)
        call = unanswered.get(call_id)
        if call is None and call_id in calls:
            raise _already_answered(call_id)
        if not waits:
            raise _no_call(call_id, id) if call is None and record.status in ENDED else _not_waiting()
        if call is not None:
            return record, call
        left = deadline - time.monotonic()
        if unanswered or left <= 0:
            raise _no_call(call_id, id)
        last = messages[-1][0] if messages else -1
        await store.store.read(owner, id, "messages", after=last, wait=min(left, READ_SECONDS))


async def post_output(store: Store, record: Record, call: Item, item: Item) -> None:
    """Give a response that waits the output of one of its calls. Raises InvalidRequest, StoreUnavailable.

    Of several that post an output of one call at once, one succeeds, and the others get the error that the call has
    been answered already.
    """
    own = _Message(call["id"], secrets.token_hex(8), item)
    if not await store.post(record.owner, record.id, _encode(own)):
        raise _not_waiting()
    messages = await _all_messages(store, record.owner, record.id)
    first = next((message for _, message in messages or () if message.call == own.call), own)
    if first.sender != own.sender:
        raise _already_answered(call["call_id"])


async def _all_messages(store: Store, owner: bytes, id: str) -> list[tuple[int, _Sender]] | None:
    """The number of each message to a response so far, and which call it is for. None if the response is gone."""
    messages: list[tuple[int, _Sender]] = []
    while True:
        last = messages[-1][0] if messages else -1
        read = await store.read(owner, id, "messages", after=last, wait=0)
        if read is None:
            return None
        if not read.entries:
            return messages
        messages += [(number, _read_sender(data)) for number, data in read.entries]


def _calls(items: Sequence[StoredItem], answered: Collection[str]) -> tuple[dict[str, Item], dict[str, Item]]:
    """The calls among the items of a response, by their call ids, and those of them that have no output.

    `answered` are the ids of the items of calls whose outputs are not among the items yet.
    """
    calls: dict[str, Item] = {}
    unanswered: dict[str, Item] = {}
    for stored in items:
        if not (stored.output or calls):
            continue  # the input of the request
        item: Item = msgspec.json.decode(stored.data)
        if not stored.output:
            unanswered.pop(item["call_id"], None)
        elif item["type"] in KINDS.by_call_type:
            calls[item["call_id"]] = item
            if item["id"] not in answered:
                unanswered[item["call_id"]] = item
    return calls, unanswered


def _already_answered(call_id: str) -> InvalidRequest:
    """The error for a second output of one call."""
    return InvalidRequest(
        f"tool_call_id {quoted(call_id)} already completed.", param="tool_call_id", code="tool_call_already_completed"
    )


def _no_call(call_id: str, id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Unknown tool_call_id {quoted(call_id)} for response {quoted(id)}.",
        status=404,
        param="tool_call_id",
        code="tool_call_not_found",
    )


def _not_waiting() -> InvalidRequest:
    return InvalidRequest(
        "No pending tool outputs expected for this response.", param="response_id", code="no_pending_tool_outputs"
    )
