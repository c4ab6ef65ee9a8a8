"""The output items of one response, written one after the other.

A host may mix what it sends: pieces of two calls in turns, text between the pieces of a call. The Responses API may
not: each item is done before the next is added, and clients count on it. So one item is open at a time, and what
belongs to another one has to wait or ends it:

- Text, reasoning, or a call end an open message or reasoning, and begin an item of their own.
- A call is open until its arguments are a complete JSON value. What comes before that for another item waits, in
  order, and is written as soon as the call is complete, at the latest when the round ends. Nothing is lost.

For example, of two calls whose pieces come in turns:

    call 0: {"a":        added 0, delta
    call 1: {"b":        (waits)
    call 0:  1}          delta, done 0, added 1, delta
    call 1:  2}          delta
    the round ends       done 1

White space before a call opens no message: hosts put it round the markup of calls. It is held back until text follows,
which it then belongs to, or a call, which drops it.

The name of a call may come in pieces too. As long as an offered function has a longer name that begins like it, the
call is not opened: `get` may go on as `get_weather`. Its arguments, or anything else, show that the name has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from responses_shim.core.items.base import ItemBuilder, Numbers
from responses_shim.core.items.message import MessageBuilder
from responses_shim.core.items.reasoning import BUILDERS, ReasoningBuilder
from responses_shim.core.response.call_index import CallIndex, PendingCall
from responses_shim.core.response.filters import Field
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.tools.base import CallBuilder
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.chat import ToolCallDelta
from responses_shim.core.wire.events import Event
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.responses import (
    CallItem,
    ItemStatus,
    MessageItem,
    MessagePhase,
    OutputItem,
    ReasoningItem,
)
from responses_shim.core.wire.tokens import Tokens
from responses_shim.errors import ShimError, UpstreamError

Write = Callable[[list[Event]], None]
"""Writes one delta, and appends the events of that."""


class ItemSequence:
    """Writes the items of one response in the order of their indices; a round begins with `begin_round`.

    Each method that writes appends the events it makes to the list that it is given.

    `tools` are the tools of the request; None lets the model call anything.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[str], str],
        numbers: Numbers,
        tools: ToolMap | None,
        options: ResponseOptions,
    ) -> None:
        self.error: ShimError | None = None
        """Why the response cannot complete: the model made a call that it may not make."""
        self.done: list[OutputItem] = []
        """The items that are done, of all rounds."""
        self.opened = 0
        """How many items have been opened, in all rounds."""
        self.tools = tools
        """By which the functions that the host calls become calls of tools."""
        self._new_id = new_id
        self._numbers = numbers
        self._options = options
        self._call_ids: set[str] | None = None  # of all rounds, once there is a call: most responses have none
        self.begin_round()

    def begin_round(self) -> None:
        """Forget the calls of the round before."""
        self.current: ItemBuilder | None = None
        """Builds the item that is open."""
        self.calls = CallIndex(single=self.tools is not None and self.tools.single)
        self.round_calls: list[CallItem] = []
        """The calls of this round that are done."""
        self.phase: MessagePhase | UnsetType = UNSET
        """The phase of messages that are yet to be opened."""
        self._waiting: deque[Write] | None = None  # what is to be written once the open call is complete
        self._blank: list[tuple[str, Raw]] = []  # white space that belongs to text or to the markup of a call
        self._held_name: PendingCall | None = None  # a call whose name may not have come to its end
        self._cut = False  # the round has ended before the answer was complete

    def builder(self, field: Field) -> ItemBuilder | None:
        """The builder that more of the open text, reasoning or arguments would go to."""
        current = self.current
        if field == "arguments":
            latest = self.calls.latest
            return current if latest is not None and latest.builder is current and not self._waiting else None
        kind = MessageBuilder if field == "content" else ReasoningBuilder
        return current if isinstance(current, kind) else None

    # Text and reasoning --------------------------------------------------------------------------------------------

    def add_reasoning(self, text: str, events: list[Event]) -> None:
        """Write a piece of reasoning."""
        if self._must_wait(events):
            self._wait(partial(self._write_reasoning, text))
        else:
            self._write_reasoning(text, events)

    def add_text(self, text: str, logprobs: Raw, events: list[Event]) -> None:
        """Write a piece of text, with the log-probabilities of its tokens."""
        if self._must_wait(events):
            self._wait(partial(self._write_text, text, logprobs))
        else:
            self._write_text(text, logprobs, events)

    def add_refusal(self, text: str, events: list[Event]) -> None:
        """Write a piece of a refusal."""
        if self._must_wait(events):
            self._wait(partial(self._write_refusal, text))
        else:
            self._write_refusal(text, events)

    def add_annotation(self, annotation: dict[str, Any], events: list[Event]) -> None:
        """Write an annotation of the text."""
        if self._must_wait(events):
            self._wait(partial(self._write_annotation, annotation))
        else:
            self._write_annotation(annotation, events)

    def _must_wait(self, events: list[Event]) -> bool:
        """Whether an open call, or what waits for it, has to be written before anything else."""
        if self._held_name is not None:
            self._open_held(events)
        return bool(self._waiting) or self._call_is_open

    @property
    def _call_is_open(self) -> bool:
        """Whether a call is being written whose arguments are not complete."""
        return isinstance(self.current, CallBuilder) and not self.current.complete

    def _write_waiting(self, events: list[Event]) -> None:
        """Write what has waited, up to the next call that is not complete."""
        while self._waiting and not self._call_is_open:
            self._waiting.popleft()(events)

    def _wait(self, write: Write) -> None:
        """Have something wait for the end of the open call."""
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(write)

    def _write_reasoning(self, text: str, events: list[Event]) -> None:
        if self._blank:
            self._write_blank(events)
        builder = self.current
        if not isinstance(builder, ReasoningBuilder):
            self._close_current("completed", events)
            kind = BUILDERS[self._options.reasoning]
            builder = kind(self._new_id("rs"), self.opened, self._numbers, self._options.seal)
            self._open(builder, events)
        builder.add_text(text, events)

    def _write_text(self, text: str, logprobs: Raw, events: list[Event]) -> None:
        if isinstance(self.current, MessageBuilder):
            self.current.add_text(text, logprobs, events)
        elif not text.strip():
            self._blank.append((text, logprobs))
        else:
            self._write_blank(events)
            self.message(events).add_text(text, logprobs, events)

    def _write_refusal(self, text: str, events: list[Event]) -> None:
        self._write_blank(events)
        self.message(events).add_refusal(text, events)

    def _write_annotation(self, annotation: dict[str, Any], events: list[Event]) -> None:
        self._write_blank(events)
        self.message(events).annotate(annotation, events)

    def _write_blank(self, events: list[Event]) -> None:
        """Write the white space that was held back: it is text, for no call has followed it."""
        blank, self._blank = self._blank, []
        for text, logprobs in blank:
            self.message(events).add_text(text, logprobs, events)

    def message(self, events: list[Event]) -> MessageBuilder:
        """The message that is open, or a new one."""
        if isinstance(self.current, MessageBuilder):
            return self.current
        self._close_current("completed", events)
        message = MessageBuilder(self._new_id("msg"), self.opened, self._numbers, self.phase)
        self._open(message, events)
        return message

    # Calls ---------------------------------------------------------------------------------------------------------

    def add_call(self, delta: ToolCallDelta, events: list[Event]) -> None:
        """Write a piece of a call: some of its name, of its arguments, or both. Nothing once there is an `error`."""
        if self.error is not None:
            return
        function = delta.function
        name, arguments = (function.name, function.arguments) if function else (None, None)
        call = self.calls.find(delta, name)
        if call.builder is not None:
            self._add_arguments(call, call.builder, arguments, events)
            return
        if self._held_name not in (None, call):
            self._open_held(events)
        if arguments and not _repeats(call, arguments):
            call.keep(arguments)
        if call.queued or not call.allowed:
            return
        if (name and not call.has_arguments) or not call.name:
            call.name += name or ""
        if not call.name:
            return
        if not call.has_arguments and self.tools is not None and self.tools.begins_a_longer_name(call.name):
            self._held_name = call
            return
        self._begin_call(call, events)

    def _add_arguments(
        self, call: PendingCall, builder: CallBuilder, arguments: str | None, events: list[Event]
    ) -> None:
        """Write more arguments of a call that is open.

        Nothing is added to one that is done, nor another value to one that is complete: some hosts repeat it.
        """
        if not arguments or builder is not self.current or _repeats(call, arguments):
            return
        builder.add_arguments(arguments, events)
        if self._waiting:
            self._write_waiting(events)

    def _open_held(self, events: list[Event]) -> None:
        """Open the call whose name was held back: no more of the name comes."""
        call, self._held_name = self._held_name, None
        if call is not None and call.builder is None and not call.queued:
            self._begin_call(call, events)

    def _begin_call(self, call: PendingCall, events: list[Event]) -> None:
        """Open a call, or have it wait for its turn. A call that the model may not make fails the response."""
        self._held_name = None
        reason = self.tools.refusal(call.name) if self.tools is not None else None
        if reason is not None:
            self.calls.discard(call)
            self.error = UpstreamError(reason)
        elif self._waiting or self._call_is_open:
            call.queued = True
            self._wait(partial(self._open_call, call))
        else:
            self._open_call(call, events)

    def _open_call(self, call: PendingCall, events: list[Event]) -> None:
        self._blank.clear()
        self._close_current("completed", events)
        if self._call_ids is None:
            self._call_ids = set()
        call_id = call.id
        if not call_id or call_id in self._call_ids:  # an output names its call by it, and some hosts repeat theirs
            call_id = self._new_id("call")
        self._call_ids.add(call_id)
        tools = self.tools if self.tools is not None else _NO_TOOLS
        builder = call.builder = tools.open(call.name, self._new_id, self.opened, self._numbers, call_id)
        self._open(builder, events)
        for arguments in call.pieces:
            builder.add_arguments(arguments, events)

    # Opening and closing -------------------------------------------------------------------------------------------

    def _open(self, builder: ItemBuilder, events: list[Event]) -> None:
        self.opened += 1
        self.current = builder
        builder.open(events)

    def _close_current(self, status: ItemStatus, events: list[Event], tokens: Tokens | None = None) -> None:
        builder, self.current = self.current, None
        if builder is None:
            return
        if self._cut and isinstance(builder, CallBuilder) and not builder.complete:
            status = "incomplete"
        item = builder.close(status, events, tokens)
        self.done.append(item)
        if not isinstance(item, (MessageItem, ReasoningItem)):
            self.round_calls.append(item)

    def write_rest(self, events: list[Event], *, cut: bool) -> None:
        """Write what was held back or has waited: the round has ended. `cut`: before the answer was complete.

        The last item stays open, for `close`.
        """
        self._open_held(events)
        self._cut = cut
        while self._waiting:
            self._waiting.popleft()(events)
        for call in self.calls.unopened():
            self._open_call(call, events)
        if self._blank and not isinstance(self.current, CallBuilder) and not self.round_calls:
            self._write_blank(events)

    def close(self, events: list[Event], *, cut: bool, tokens: Tokens | None) -> None:
        """Close the last item of the round. It is incomplete if the answer was cut; `tokens` are its token ids."""
        self._cut = cut
        self._close_current("incomplete" if cut else "completed", events, tokens)


def _repeats(call: PendingCall, arguments: str) -> bool:
    """Whether a piece of arguments begins another value, though the call has a complete one."""
    return arguments[0] in "{[" and call.complete


_NO_TOOLS = ToolMap(None, None, None, Report())
