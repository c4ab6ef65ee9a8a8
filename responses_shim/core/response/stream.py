"""The state machine: a host's chat chunks in, the events of one response out.

A response is written by `start`, then any number of rounds (one chat call each: `begin_round`, `feed` for every chunk,
`end_round`), and `close`. `ping` and `repeat_in_progress` may come anywhere between `start` and `close`. An item
sequence writes the items, one after the other; the machine decides what the end was. For example

    feed(content "Hi")       output_item.added, content_part.added, output_text.delta
    feed(finish "stop")
    end_round()              output_text.done, content_part.done, output_item.done
    close()                  response.completed

It knows no host: a host's quirk is undone by a filter before its chunks come here. It has no clock and no
randomness: ids and times are passed in.

What it promises, and the property tests hold over random chunk streams:

 1. `sequence_number` is unique and strictly increasing from 0, pings included. All numbers come from one
    counter, those of the fast path too.
 2. Each item has one `added` and one `done` with everything of the item between them; each part likewise.
 3. The joined deltas, the value in the `done` event and the value in the terminal snapshot are the same string; the
    snapshot is made of the items that were streamed, and is never parsed again.
 4. `output_index` is given once, when the item opens; it is dense and equals the position in `output`. An id is the
    same in added, done and the snapshot.
 5. Exactly one terminal event, last, whatever happened. Only the last item may be `incomplete`, and calls whose
    arguments were cut: pieces of several calls may have come in turns.
 6. How the host's bytes were cut, or its chunks merged, changes no value: text, arguments, items, status, usage.
 7. The streamed response equals the one that is not streamed: both are the terminal event's `response`.
 8. What follows event N is the same whether it was seen live or replayed: events are never changed once they are
    returned.
 9. One item at a time: each is done before the next is added, and each call of the host is one item, whose `call_id` no
    other has. An empty delta opens nothing, nor does white space before a call (`item_sequence`).
10. The first error wins. An end without a finish_reason, or with one that is not known to be good, is a failure, not
    a completion. `length` and `content_filter` make the response incomplete, whatever finish_reason follows. Whether
    there are calls is decided by deltas, not by finish_reason.
11. Several rounds make one response of which all this holds: indices run on, usage adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from responses_shim.core.items.base import ItemBuilder
from responses_shim.core.response.encoder import can_be_encoded, encode_json
from responses_shim.core.response.filters import Field
from responses_shim.core.response.item_sequence import ItemSequence
from responses_shim.core.response.options import DEFAULT_OPTIONS, ResponseOptions
from responses_shim.core.response.token_ids import TokenCollector, contradiction
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.chat import Choice, Chunk, add_usage, annotations_of, logprobs_of, usage_of
from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.events import (
    DELTAS,
    Completed,
    Created,
    Error,
    ErrorDetails,
    Event,
    Failed,
    Incomplete,
    InProgress,
    Ping,
    Queued,
)
from responses_shim.core.wire.finish_reasons import End, end_of, later_finish
from responses_shim.core.wire.lenient_json import join_surrogates
from responses_shim.core.wire.responses import (
    NO_LOGPROBS,
    CallItem,
    IncompleteDetails,
    OutputItem,
    Response,
    ResponseError,
)
from responses_shim.core.wire.tokens import Tokens
from responses_shim.core.wire.validation import too_deep
from responses_shim.errors import ShimError, UpstreamError

QUOTED = 80
"""How many characters of an unknown finish_reason are quoted to the client."""
OBFUSCATED_SIZE = 16
"""An obfuscated delta has a length that is a multiple of this: its JSON with quotes, plus the obfuscation, in bytes."""


class RoundResult(Struct, frozen=True):
    """How one chat call ended.

    - `finish_reason`: None if it never came
    - `items`: the output items that it made, in order
    - `calls`: those of them that are calls
    """

    finish_reason: str | None
    items: list[OutputItem]
    calls: list[CallItem]


class ResponseStream:
    """One response. `response` is the snapshot; it is complete once `close` has returned.

    `new_id` gives an id for a prefix (`msg` → `msg_…`), `now` Unix seconds. `tools` maps each called function
    back to its tool.
    """

    def __init__(
        self,
        response: Response,
        *,
        new_id: Callable[[str], str],
        now: Callable[[], int],
        tools: ToolMap | None = None,
        options: ResponseOptions = DEFAULT_OPTIONS,
    ) -> None:
        self.response = response
        self.options = options
        self.finish_reason: str | None = None
        """The finish_reason of the round, once it has come."""
        self.error: ShimError | None = None
        """Why the response fails; the first reason."""
        self.ignored_calls = 0
        """Calls beyond the one that `parallel_tool_calls: false` allows."""
        self.ignored_annotations = 0
        """Annotations that are none of the API's: see `annotations_of`."""
        self._new_id = new_id
        self._now = now
        self._extras = options.token_ids or options.obfuscate is not None
        self._numbers = count()
        self._items = ItemSequence(new_id=new_id, numbers=self._numbers, tools=tools, options=options)
        self._rounds = 0  # how many rounds have ended
        self._reset_round()

    def _reset_round(self) -> None:
        self._items.begin_round()
        self._items_before = self._items.opened  # in the rounds before
        self._dropped = False  # its answer is left to another round
        self._usage: dict[str, object] | None = None
        self._tokens = TokenCollector() if self.options.token_ids else None

    # The response's own life ------------------------------------------------------------------------------------

    def enqueue(self) -> list[Event]:
        """`response.created` and `response.queued`, for a response that begins later: `start` comes then."""
        self.response.status = "queued"
        begun = replace(self.response, output=[])
        return [Created(next(self._numbers), begun), Queued(next(self._numbers), begun)]

    def start(self) -> list[Event]:
        """`response.created` and `response.in_progress`, with one snapshot that has no output yet."""
        if self.response.status == "queued":
            self.response.status = "in_progress"
            return [InProgress(next(self._numbers), replace(self.response, output=[]))]
        begun = replace(self.response, output=[])
        return [Created(next(self._numbers), begun), InProgress(next(self._numbers), begun)]

    def ping(self) -> Event:
        """An event that says nothing but that the response is alive."""
        return Ping(next(self._numbers))

    def repeat_in_progress(self) -> Event:
        """`response.in_progress` again, with the items that are done."""
        return InProgress(next(self._numbers), replace(self.response, output=list(self._items.done)))

    def fail(self, error: ShimError) -> None:
        """Remember why the response cannot complete. The first reason stays."""
        overflow = error.code == "context_length_exceeded" and self.options.incomplete_on_overflow
        if overflow and not (self._items.opened or self.error):
            self.finish_reason, self._tokens = "length", None
        elif self.error is None:
            self.error = error

    # One round ---------------------------------------------------------------------------------------------------

    def begin_round(self) -> None:
        """Another chat call for the same response: its finish_reason is still to come."""
        self.finish_reason = None

    def set_tools(self, tools: ToolMap) -> None:
        """Map the functions that the next rounds call back to these tools: there may be more than before."""
        self._items.tools = tools

    def feed(self, chunk: Chunk) -> list[Event]:
        """The events of one chunk: none, one or several."""
        events: list[Event] = []
        if chunk.error is not None:
            self.fail(error_from(chunk.error))
        if chunk.usage:
            self._usage = chunk.usage
        if chunk.choices is not None and self.error is None:
            for choice in chunk.choices:
                if not choice.index:
                    self._feed_choice(choice, events)
            if self._items.error is not None:
                self.fail(self._items.error)
        if self._extras:
            self._add_extras(events)
        return events

    def _feed_choice(self, choice: Choice, events: list[Event]) -> None:
        if choice.finish_reason:
            self.finish_reason = later_finish(self.finish_reason, choice.finish_reason)
        delta = choice.delta or choice.message
        if delta is None:
            return
        items = self._items
        reasoning = delta.reasoning or delta.reasoning_content
        if reasoning:
            items.add_reasoning(reasoning, events)
        if content := delta.content:
            items.add_text(content, logprobs_of(choice) if self.options.logprobs else NO_LOGPROBS, events)
        if delta.refusal:
            items.add_refusal(delta.refusal, events)
        if delta.annotations:
            annotations = annotations_of(delta)
            self.ignored_annotations += len(delta.annotations) - len(annotations)
            if too_deep(annotations) or not can_be_encoded(annotations):
                self.fail(UpstreamError("The host sent an annotation that cannot be passed on."))
                return
            for annotation in annotations:
                items.add_annotation(annotation, events)
        if delta.tool_calls:
            for call in delta.tool_calls:
                items.add_call(call, events)

    def mark_commentary(self) -> None:
        """Mark the messages of this round that are yet to open as commentary: the round makes calls."""
        self._items.phase = "commentary"

    def drop_answer(self) -> None:
        """Leave the answer to another round: this one gets no empty message, and its token ids are not shown."""
        self._dropped, self._tokens = True, None

    def end_round(self) -> tuple[RoundResult, list[Event]]:
        """The chat call is over: close its items, add its usage. `begin_round` or `close` comes next."""
        events: list[Event] = []
        items = self._items
        items.write_rest(events, cut=self._is_cut)
        if items.error is not None:
            self.fail(items.error)
        self.ignored_calls += items.calls.count_ignored()
        has_message = items.opened or self._dropped
        needs_empty_message = self.options.empty_message and not has_message and self._end != "failed"
        tokens = self._round_tokens(events)
        if needs_empty_message and self.error is None:
            items.message(events).open_empty_text(events)
        items.close(events, cut=self._is_cut, tokens=tokens)
        if self._extras:
            self._add_extras(events)
        usage = usage_of(self._usage)
        self.response.usage = usage if self._rounds == 0 else add_usage(self.response.usage, usage)
        self._rounds += 1
        result = RoundResult(self.finish_reason, items.done[self._items_before :], items.round_calls)
        self._reset_round()
        return result, events

    # What deltas carry besides their text, and what keeps them from being plain ------------------------------------

    def builder(self, field: Field) -> ItemBuilder | None:
        """The builder that more of the open text, reasoning or arguments would go to."""
        return self._items.builder(field)

    @property
    def tools(self) -> ToolMap | None:
        """By which the functions that the host calls become calls of tools."""
        return self._items.tools

    @property
    def latest_call_index(self) -> int | None:
        """The index by which the host gave the last piece of a call; None if it gave none."""
        return self._items.calls.latest_index

    @property
    def plain_deltas(self) -> bool:
        """Whether deltas carry their text alone, without token ids or obfuscation, and the response has not failed.

        That is what the fast path needs.
        """
        return not self._extras and self.error is None

    def _add_extras(self, events: Sequence[Event]) -> None:
        """Put token ids and obfuscation on the deltas."""
        deltas = [event for event in events if isinstance(event, DELTAS)]
        if self._tokens is not None and deltas and (new_tokens := self._tokens.take_new()):
            deltas[0].generation_token_ids, deltas[0].generation_log_probs = new_tokens
        if self.options.obfuscate is not None:
            for delta in deltas:
                size = len(encode_json(delta.delta))
                delta.obfuscation = self.options.obfuscate(OBFUSCATED_SIZE - size % OBFUSCATED_SIZE)

    # Token ids -----------------------------------------------------------------------------------------------------

    def collect_tokens(self, chunk: Chunk) -> None:
        """Take the token ids of a chunk as the host sent it, before the filters change it and `feed` gets it."""
        if self._tokens is not None:
            try:
                self._tokens.feed(chunk)
            except UpstreamError as error:
                self.fail(error)

    @property
    def lacks_prompt_tokens(self) -> bool:
        """Whether the prompt's token ids are wanted and the host's stream did not have them."""
        return self._tokens is not None and self._tokens.lacks_prompt and self.error is None

    def set_prompt_tokens(self, token_ids: list[int]) -> None:
        """The token ids of the prompt, from another source.

        The response fails if there are not as many as the usage counts.
        """
        if self._tokens is not None:
            self._tokens.prompt = token_ids
            usage = usage_of(self._usage)
            if usage is not None and usage.input_tokens != len(token_ids):
                self.fail(contradiction(f"{usage.input_tokens} prompt tokens, then {len(token_ids)}"))

    def _round_tokens(self, events: list[Event]) -> Tokens | None:
        """The token ids of the round, for its last item: an empty message where there is none."""
        if self._tokens is None or self.error is not None:
            return None
        try:
            tokens = self._tokens.close(answered=self._items.opened > self._items_before)
        except UpstreamError as error:
            self.fail(error)
            return None
        if self._items.current is None:
            self._items.message(events)
        return tokens

    # The end -----------------------------------------------------------------------------------------------------

    @property
    def _end(self) -> End:
        """How the round has ended, as far as its finish_reason says."""
        return end_of(self.finish_reason) if self.finish_reason is not None else "failed"

    @property
    def _is_cut(self) -> bool:
        """Whether the round has ended before the answer was complete, as far as is known."""
        return self.error is not None or self._end != "completed"

    def settle(self) -> None:
        """Give the response object its final state. Call `end_round` first, and this again if it fails after all."""
        response = self.response
        response.output = self._items.done
        if self.error is None and self.finish_reason is None:
            self.fail(UpstreamError("The host ended its stream before the answer was complete."))
        if self.error is None and self._end == "failed":
            word = join_surrogates((self.finish_reason or "")[:QUOTED])
            self.fail(UpstreamError(f"The host did not complete the answer (finish_reason {word!r})."))
        if self.error is not None:
            response.status, response.completed_at, response.incomplete_details = "failed", None, None
            response.error = ResponseError(self.error.failure_code, self.error.message)
        elif self._end == "max_output_tokens" or self._end == "content_filter":
            response.status = "incomplete"
            response.incomplete_details = IncompleteDetails(self._end)
        elif response.status != "completed":
            response.status = "completed"
            response.completed_at = self._now()

    def close(self) -> list[Event]:
        """The terminal event, after `error` if the response failed. Call `end_round` first, and this once."""
        self.settle()
        response = self.response
        if self.error is not None:
            return [_error_event(next(self._numbers), self.error), Failed(next(self._numbers), response)]
        return [(Incomplete if response.status == "incomplete" else Completed)(next(self._numbers), response)]

    def drop_unwritable(self, error: ShimError) -> None:
        """The response fails, without what of it cannot be encoded: `close` comes next, perhaps again."""
        self._items.done[:] = filter(can_be_encoded, self._items.done)
        self.response.usage = self.response.completed_at = self.response.incomplete_details = None
        self.fail(error)


def _error_event(number: int, error: ShimError) -> Error:
    code, message, param = error.failure_code, error.message, error.param
    details = ErrorDetails(error.type, error.code or code, message, param, error.status)
    return Error(number, code, message, param, details)
