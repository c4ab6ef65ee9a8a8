"""What a store is: where responses, conversations and the logs of background runs are kept between requests.

**Records.** A response or a conversation is a record. It has a parent, the response that it continues, and one ordered
list of items, each of which is input or output. A turn keeps what it has added and nothing else; the history of a
response is what its ancestors have added, from the first one on:

    resp_1            input "Hi"             output "Hello!"
      └─ resp_2       input "Who are you?"   output "Nobody."        history: Hi, Hello!, Who are you?, Nobody.
           └─ resp_3  input "And now?"       output …
      └─ resp_4       input "Where are you?" …                       a fork: it does not see resp_2

**Trees.** All responses that descend from one root are a tree. Age and eviction work on trees as a whole, by when they
were last used; adding to a tree and reading a history in it are uses. So an ancestor is there as long as a descendant
is, and a history is never shortened in silence. A conversation is a tree of its own.

**Owners.** Each method that is about a record takes its owner, and the owner is part of the key: another owner's record
is not found, just like one that never was. An owner is an opaque id of bytes.

**Runs.** A response that runs in the background has a log of its events, which any number of readers follow from any
process, and a log of messages to it, which anybody may leave there: that it is cancelled, what a tool has put out. The
process that runs it renews a lease. When that has expired, the response is ended by whoever notices it first.

**Deleting** a record hides it: nobody can read or continue it. Its items stay as long as a descendant needs them.

**Optional**, for the operator's commands: `async def evicted(self) -> int`, how many trees have been evicted for want
of room (`responses-shim store count`); and of a store in a file `async def vacuum(self) -> int`, which gives unused
space back to the file system while others go on using it, and returns how many bytes (`responses-shim store vacuum`).

**Outages.** A method that cannot do its work raises `StoreUnavailable`. It never answers as if the record were missing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, Protocol

from msgspec import Raw, Struct

from responses_shim.errors import ShimError

Kind = Literal["response", "conversation"]

RUNNING = frozenset({"queued", "in_progress"})
"""The statuses of a response that has not ended."""

ENDED = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""The statuses of a response that has ended. None of them changes any more."""

LOG_SIZE = 8 * 1024 * 1024
"""How many bytes of a run's events are kept; of a longer log the first events are dropped."""
LOG_AGE = 600.0
"""For how many seconds after its end the log of a run is kept."""
READ_ENTRIES = 200
"""How many entries of a log one call of `read` returns at most."""
READ_SIZE = 32 * 1024
"""After how many bytes a call of `read` returns no more entries: the one that reaches them is the last."""
END_OF_LOG = 2**53
"""A number behind every entry: with it `read` returns none, and says where the log ends."""


class StoreUnavailable(ShimError):
    """The store cannot be reached, is full, or is damaged. The status is 503: what is kept there is not lost."""

    status = 503

    def __init__(self, message: str = "The store of responses is not available.") -> None:
        super().__init__(message, code="store_unavailable", headers=[("retry-after", "1")])


class StoredItem(Struct, frozen=True, gc=False):
    """An item of a record: its id, its JSON as the API shows it, and whether the model or the client made it."""

    id: str
    data: bytes
    output: bool = False

    @property
    def raw(self) -> Raw:
        """The JSON, to be put into other JSON as it is."""
        return Raw(self.data)


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """A response or a conversation.

    - `parent`: the id of the response that this one continues; it has the same owner
    - `status`: that of a response; `active` for a conversation
    - `created_at`: Unix seconds
    - `data`: the object's JSON as the API shows it, but a response without its output, which is in its items
    """

    owner: bytes
    id: str
    kind: Kind = "response"
    parent: str | None = None
    status: str
    created_at: int
    data: bytes


class ConversationTurn(Struct, frozen=True):
    """What the end of a response does to the conversation that it was made in, which has the same owner.

    - `id`: the conversation's
    - `holder`: whose lease of the conversation is given up
    - `items`, `key`: what is appended to it, as by `append_items`; nothing if there are no items
    """

    id: str
    holder: str
    items: Sequence[StoredItem] = ()
    key: str = ""


class History(Struct, frozen=True):
    """A record, and the items from the first ancestor's to its own, or those of its own, or none of them."""

    record: Record
    items: list[StoredItem]


class Page(Struct, frozen=True):
    """Some items of a record in the order that was asked for, and whether there are more behind them."""

    items: list[StoredItem]
    has_more: bool


class Entries(Struct, frozen=True):
    """Some entries of a log, pairs of number and bytes.

    - `ended`: the response has ended, so that none will be added; there may be more behind these ones
    - `first`: the number of the first entry that is kept; that of the next one if none is
    - `last`: the highest number that has ever been in the log; -1 if it is new
    """

    entries: list[tuple[int, bytes]]
    ended: bool
    first: int
    last: int


class Summary(Struct, frozen=True, kw_only=True):
    """What is kept of a record, for an operator's list: no content. `used_at`, of its tree, is in Unix seconds."""

    owner: bytes
    id: str
    kind: Kind
    status: str
    created_at: int
    used_at: float
    size: int


class Bounds(Struct, frozen=True, kw_only=True):
    """How much a store keeps: trees, bytes, and seconds since a tree was last used.

    When there are too many trees or bytes, the owner who has the most bytes loses the tree that was used longest ago.
    So nobody's trees are evicted by somebody who has more than they do. Evictions are counted, and logged now and then.
    """

    trees: int
    size: int
    age: float


EVICTING = (
    "the store is full: this process has evicted %d trees of responses or conversations (store_trees, store_size)"
)
"""What is logged now and then when trees are evicted."""


class Store(Protocol):
    """What every store does. Each method raises StoreUnavailable if it cannot."""

    # Records -------------------------------------------------------------------------------------------------------

    async def add(self, record: Record, items: Sequence[StoredItem] = ()) -> bool:
        """Keep a new record with its first items, and use its tree. False, and nothing kept, if its parent is gone.

        The parent may be hidden: a turn that began before its parent was deleted can still end.
        """
        ...

    async def change(
        self,
        owner: bytes,
        id: str,
        *,
        among: Collection[str],
        status: str | None = None,
        data: bytes | None = None,
        items: Sequence[StoredItem] = (),
        events: Sequence[tuple[int, bytes]] = (),
        turn: ConversationTurn | None = None,
    ) -> bool:
        """Change a record if its status is `among` these: replace status and data, append items, append to its log.

        It is one step, all or nothing: of several that end a response at once, one succeeds and the others get False.
        False too if there is no such record, or if the number of the first event is not past the end of the log. `turn`
        is part of the step, so that whoever sees the end can go on in the conversation; where it cannot be made,
        because the conversation is gone or has one of the items, the rest is done without it.
        """
        ...

    async def get(self, owner: bytes, id: str, *, items: bool = True) -> History | None:
        """A record with its own items, or without items. None if there is none, or if it is hidden."""
        ...

    async def history(self, owner: bytes, id: str) -> History | None:
        """A record with the items of its ancestors and its own, in order; its tree is used by this.

        None if there is none, or if the record itself is hidden; hidden ancestors still count.
        """
        ...

    # Items ---------------------------------------------------------------------------------------------------------

    async def page(
        self, owner: bytes, id: str, *, outputs: bool, after: str | None, limit: int, newest_first: bool
    ) -> Page | None:
        """Up to `limit` of a record's own items, behind the item `after`; `outputs`: the model's among them.

        None if there is no such record. Raises KeyError if the record has no item `after`.
        """
        ...

    async def find_items(self, owner: bytes, ids: Collection[str], record: str | None = None) -> dict[str, bytes]:
        """The data of the items with these ids in the owner's records, or in one of them only.

        Of several with one id, it is that which came last.
        """
        ...

    async def append_items(self, owner: bytes, id: str, items: Sequence[StoredItem], key: str) -> list[str] | None:
        """Append items to a conversation, all or none. The ids that it has already; if there are any, none is appended.

        Nothing happens if the same `key` has been used for it before. None if there is no such record.
        """
        ...

    async def delete(self, owner: bytes, id: str, item: str | None = None) -> bool:
        """Hide a record, or remove one item from a conversation. False if there is none, or if it is hidden already."""
        ...

    # Runs ----------------------------------------------------------------------------------------------------------

    async def lease(self, owner: bytes, id: str, holder: str, seconds: float) -> bool:
        """Take a record for `holder` for so long, or longer if the holder has it already; 0 seconds gives it up.

        False if another holder has it, if there is no such record, or if it is a response that has ended. A lease keeps
        nobody from reading.
        """
        ...

    async def expired(self) -> list[tuple[bytes, str]]:
        """Owner and id of the responses that have not ended, and whose lease has: the process that ran them is gone."""
        ...

    async def post(self, owner: bytes, id: str, message: bytes) -> bool:
        """Leave a message for whoever runs a response: that it is cancelled, or what a tool has put out.

        False if there is no such record, or if the response has ended.
        """
        ...

    async def read(
        self, owner: bytes, id: str, log: Literal["events", "messages"], *, after: int, wait: float
    ) -> Entries | None:
        """The next entries of a log behind number `after` (-1: from the first on), as many as the bounds allow.

        They are READ_ENTRIES at most, and end with the one with which they reach READ_SIZE bytes: whoever reads a long
        log does so piece by piece. If there are none yet, and the response has not ended, it waits up to `wait` seconds
        for one. Messages are numbered from 0 in the order in which they came. None if there is no such record.
        """
        ...

    # The store itself ----------------------------------------------------------------------------------------------

    async def scan(self, owner: bytes | None = None, *, unused_for: float = 0, limit: int = 1_000) -> list[Summary]:
        """Up to `limit` records, of one owner or of all, whose trees have not been used for so many seconds.

        Those that have been unused the longest come first. A hidden record is not among them.
        """
        ...

    async def secret(self) -> bytes:
        """32 random bytes that are made once, and are the same for all who use this store, as long as it is kept."""
        ...

    async def close(self) -> None:
        """Give up connections and files. A later use opens them again."""
        ...
