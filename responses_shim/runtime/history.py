"""What a request continues, and how its response is kept.

A request may name the response that it continues (`previous_response_id`), or a conversation; their items come before
its input. Its input may refer to items by their ids (`item_reference`). When its response ends, it is kept with the
items that the turn has added, before the client sees the end: so whoever has seen it can continue it at once.

Which requests need a store, and which go on without one:

- What continues something, or says `store: true`, fails with 503 before the engine is called if the store is not
  available, and ends as failed if its response cannot be kept.
- Any other request goes on without it, and its response says `store: false`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec

from responses_shim.core.request.messages import Item
from responses_shim.core.request.stored_input import stored_input
from responses_shim.core.wire.kept_json import encode_kept
from responses_shim.core.wire.large_json import encode_large
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.responses import Response
from responses_shim.core.wire.stored import conversation_of, output_of, without_output
from responses_shim.core.wire.validation import missing, quoted, wrong_type
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.client_store import ClientStore
from responses_shim.runtime.conversation_lease import ConversationLease
from responses_shim.runtime.ids import Ids
from responses_shim.runtime.item_references import dereferenced, is_reference
from responses_shim.stores.base import RUNNING, ConversationTurn, History, Record, StoredItem, StoreUnavailable

logger = logging.getLogger(__name__)

SAVE_SECONDS = 2.0
"""How long a response may take to be kept, before its end is sent without that."""

_CONTINUABLE = ("completed", "incomplete")


@dataclass
class Turn:
    """One turn: what it continues, and what is kept of it.

    - `before`: the items before its input
    - `keeps`: whether its response is to be kept
    - `needed`: whether the response fails if it cannot be kept
    - `ids`: those of the response and of its items. By its id the response holds the lease of its conversation
    - `lease`: its hold on the conversation, until it is released

    Its response is kept when it ends, by `save`; or before that, by `add`, if others have to find it while it is made.
    Then `save` changes what is there, and so may `add_round` before.
    """

    store: ClientStore
    keeps: bool
    needed: bool
    parent: Record | None = None
    conversation: Record | None = None
    before: list[StoredItem] = field(default_factory=list)
    ids: Ids = field(default_factory=Ids)
    lease: ConversationLease | None = None
    _input: list[StoredItem] = field(default_factory=list, init=False)
    _rounds: list[StoredItem] = field(default_factory=list, init=False)  # behind the input, of rounds that have ended
    _added: bool = field(default=False, init=False)  # before its end, as one that runs in the background is
    _save_begun: bool = field(default=False, init=False)

    @property
    def size(self) -> int:
        """How many bytes of JSON there are before the input."""
        return sum(len(item.data) for item in self.before)

    @property
    def rounds_size(self) -> int:
        """How many bytes of JSON `add_round` has added behind the input."""
        return sum(len(item.data) for item in self._rounds)

    def history(self) -> list[Item]:
        """The items before the input, decoded."""
        return [msgspec.json.decode(item.data) for item in self.before]

    def begin(self, response: Response, request: CreateRequest, ids: Ids) -> None:
        """Write into the response object what it continues, and that it is kept, and give the input items their ids.

        They get them before the output does: the ids of a turn ascend. If an interceptor has set `store` to false, the
        response is not kept after all. The input and what comes before it, which may be of megabytes, are left only to
        a response whose next round is translated from them again.
        """
        taken = {item.id for item in self.before} if self.conversation is not None else ()
        items: str | Iterable[Item] = request.input
        if request.tool_outputs != "wait":
            self.before, request.input = [], ""
            items = _emptying(items) if isinstance(items, list) else items
        self.keeps = self.keeps and request.store is not False
        if self.keeps:
            sent = stored_input(items, ids.new, taken)
            self._input = [StoredItem(id, encode_kept(item, encode_large)) for id, item in sent]
        response.store = self.keeps
        if self.parent is not None:
            response.previous_response_id = self.parent.id
        if self.conversation is not None:
            response.conversation = {"id": self.conversation.id}

    async def release(self) -> None:
        """Give up the conversation, if the turn has taken one and still has it."""
        if self.lease is not None:
            await self.lease.release()
            self.lease = None

    async def save(self, response: Response) -> None:
        """Keep the response and the items of the turn. Raises StoreUnavailable if that is needed and fails.

        It can be called again after it was cancelled.
        """
        if not self.keeps:
            return
        try:
            with anyio.move_on_after(SAVE_SECONDS, shield=True) as scope:
                await self._save(response)
            if scope.cancelled_caught:
                raise StoreUnavailable("The response could not be stored in time.")
        except StoreUnavailable as error:
            response.store = False
            if self.needed and response.status in _CONTINUABLE:
                raise
            self.store.unstored.add()
            logger.info("%s is not stored: %s", response.id, error.message)
        except Exception as error:  # of somebody else's store
            response.store = False
            self.store.unstored.add()
            logger.exception("%s is not stored", response.id)
            if self.needed and response.status in _CONTINUABLE:
                raise StoreUnavailable from error

    async def _save(self, response: Response) -> None:
        items = self.unsaved_output(response)
        again, self._save_begun = self._save_begun, True  # given up by the task that waited: who knows how far it came
        if not self._added:
            if again:
                await self.store.store.delete(self.owner, response.id)
            await self.add(response, items)
        elif not await self._end(response, items) and not (again and await self._has_ended(response)):
            raise StoreUnavailable("The response was ended or deleted while it was being made.")
        try:
            await self.add_to_conversation(response)
        except StoreUnavailable:
            await self.store.store.delete(self.owner, response.id)  # the client is not told that it is kept
            raise

    @property
    def owner(self) -> bytes:
        """Whom the response belongs to: the owner of what it continues, who may be so by an older key."""
        continued = self.parent or self.conversation
        return continued.owner if continued is not None else self.store.owner

    async def add(self, response: Response, output: Sequence[StoredItem] = ()) -> Record:
        """Keep a new response, with the input items and then these. Raises StoreUnavailable."""
        record = Record(
            owner=self.owner,
            id=response.id,
            parent=self.parent.id if self.parent is not None else None,
            status=response.status,
            created_at=response.created_at,
            data=without_output(response),
        )
        if not await self.store.store.add(record, [*self._input, *output]):
            raise StoreUnavailable("The response could not be stored: it is too large, or what it continues is gone.")
        self._added = self._added or not self._save_begun
        return record

    async def _end(self, response: Response, items: Sequence[StoredItem]) -> bool:
        """End a response that was added before its end. False if somebody else has ended or deleted it."""
        return await self.store.store.change(
            self.owner,
            response.id,
            among=RUNNING,
            status=response.status,
            data=without_output(response),
            items=items,
        )

    async def _has_ended(self, response: Response) -> bool:
        """Whether a response is in the store as it ended."""
        found = await self.store.store.get(self.owner, response.id)
        return found is not None and found.record.status == response.status

    async def add_round(self, id: str, items: Sequence[StoredItem]) -> None:
        """Keep more items of a response that has been added: those of a round, or the outputs of its calls.

        Raises InvalidRequest if the response has been ended or deleted by somebody else, StoreUnavailable.
        """
        if not await self.store.store.change(self.owner, id, among=RUNNING, items=items):
            raise response_ended(id)
        self._rounds += items

    def rounds(self) -> list[Item]:
        """The items behind the input that `add_round` has kept, decoded."""
        return [msgspec.json.decode(item.data) for item in self._rounds]

    def unsaved_output(self, response: Response) -> list[StoredItem]:
        """The items of the output that `add_round` has not kept."""
        return output_items(response)[sum(item.output for item in self._rounds) :]

    async def add_to_conversation(self, response: Response) -> None:
        """Add the items of the turn to its conversation, if it is to be, and give that up: the client sees the end now.

        Raises StoreUnavailable.
        """
        turn = self.conversation_turn(response)
        try:
            if turn is not None and turn.items:
                known = await self.store.store.append_items(self.owner, turn.id, turn.items, turn.key)
                if known or known is None:
                    raise StoreUnavailable("The conversation was changed or deleted while the response was being made.")
        finally:
            await self.release()

    def conversation_turn(self, response: Response) -> ConversationTurn | None:
        """What the end of the response does to its conversation, if it was made in one."""
        if self.conversation is None or not self.keeps:
            return None
        if response.status not in _CONTINUABLE:
            return ConversationTurn(self.conversation.id, response.id)
        items = [*self._input, *self._rounds, *self.unsaved_output(response)]
        return ConversationTurn(self.conversation.id, response.id, items, key=response.id)


def _emptying(items: list[Item]) -> Iterator[Item]:
    """Each item, which is then no longer in the list."""
    items.reverse()
    while items:
        yield items.pop()


def output_items(response: Response) -> list[StoredItem]:
    """The output of a response as it is stored."""
    return [StoredItem(id, data, output=True) for id, data in output_of(response)]


async def open_turn(store: ClientStore, request: CreateRequest) -> Turn:
    """Find what a request continues, and put the items in the place of references to them.

    `request.input` is replaced where it has references. A conversation is taken until the turn is released, so that no
    other turn can be made in it.

    Raises InvalidRequest that names `previous_response_id`, `conversation` or the reference, with status 409 if the
    conversation is taken; StoreUnavailable if the request needs the store and it is not available.
    """
    needed = bool(request.store or request.background or request.tool_outputs == "wait")
    turn = Turn(store, keeps=request.store is not False, needed=needed)
    conversation, previous = _conversation_id(request), request.previous_response_id
    if isinstance(request.input, list):
        request.input = await dereferenced(store, request.input)
    del request  # it may be of megabytes, and is not needed while the store is asked
    if conversation is not None:
        turn.needed = True
        await _open_in_conversation(turn, conversation)
    elif previous is not None:
        turn.needed = True
        found = _continuable(await store.history(previous), previous)
        turn.parent, turn.before = found.record, found.items
    elif needed:
        await store.get("")  # nothing has that id: it shows whether the store can be reached
    return turn


async def _open_in_conversation(turn: Turn, id: str) -> None:
    """Take the conversation of a turn, if it is to be added to, and find its items.

    Raises InvalidRequest with status 409 at once if another turn has it.
    """
    turn.conversation = await conversation_record(turn.store, id, "conversation")
    if turn.keeps:
        lease = ConversationLease(turn.store.store, turn.conversation, turn.ids.response)
        await lease.take()
        turn.lease = lease
    try:
        # Only now: until it was taken, another turn may have added to it.
        turn.before = _as_conversation(await turn.store.history(id), id, "conversation").items
    except BaseException:
        await turn.release()
        raise


def _continuable(found: History | None, id: str) -> History:
    """A response that can be continued. Raises InvalidRequest if it cannot."""
    if found is None or found.record.kind != "response":
        raise _no_previous(id)
    if found.record.status in RUNNING:
        raise InvalidRequest(
            f"The response {quoted(id)} has not ended yet.",
            status=409,
            param="previous_response_id",
            code="response_in_progress",
        )
    if found.record.status not in _CONTINUABLE:
        raise _no_previous(id)
    if conversation := conversation_of(found.record.data):
        raise InvalidRequest(
            f"The response {quoted(id)} is part of a conversation: continue it with 'conversation': "
            f"{quoted(conversation)}.",
            param="previous_response_id",
            code="invalid_value",
        )
    return found


def no_response(id: str) -> InvalidRequest:
    """The error for a response that the client does not have."""
    return InvalidRequest(
        f"No response found with id {quoted(id)}.", status=404, param="response_id", code="response_not_found"
    )


def response_ended(id: str) -> InvalidRequest:
    """The error of a run whose response has been ended or deleted by somebody else."""
    return InvalidRequest(f"The response {quoted(id)} has been ended or deleted.", status=409, code="response_ended")


def _no_previous(id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Previous response with id {quoted(id)} not found.",
        status=404,
        param="previous_response_id",
        code="previous_response_not_found",
    )


def _conversation_id(request: CreateRequest) -> str | None:
    """The id of the conversation that a request names. Raises InvalidRequest if it names none in the right form."""
    conversation: Any = request.conversation
    if conversation is None:
        return None
    if request.previous_response_id is not None:
        raise InvalidRequest(
            "'previous_response_id' and 'conversation' are mutually exclusive: a request continues one of them.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
        if conversation is None:
            raise missing("conversation.id")
        if not isinstance(conversation, str):
            raise wrong_type("conversation.id", "a string")
    if not conversation.startswith("conv_"):
        raise InvalidRequest(
            f"Invalid 'conversation': {quoted(conversation)}. Expected an ID that begins with 'conv_'.",
            param="conversation",
            code="invalid_value",
        )
    return str(conversation)


async def conversation_record(store: ClientStore, id: str, param: str) -> Record:
    """A conversation of the client's. Raises InvalidRequest with status 404 if there is none."""
    return _as_conversation(await store.get(id, items=False), id, param).record


def _as_conversation(found: History | None, id: str, param: str) -> History:
    """A conversation that was found. Raises InvalidRequest with status 404 if there is none, or if it is none."""
    if found is None or found.record.kind != "conversation":
        raise InvalidRequest(
            f"Conversation with id {quoted(id)} not found.", status=404, param=param, code="conversation_not_found"
        )
    return found


def uses_store(request: CreateRequest) -> bool:
    """Whether a request reads from the store before it is translated."""
    if request.previous_response_id is not None or request.conversation is not None:
        return True
    if request.background or request.tool_outputs == "wait":
        return True
    return isinstance(request.input, list) and any(map(is_reference, request.input))
