"""The state machine: a host's chat chunks in, the events of one response out.

How it works. A response is written by `start`, any number of rounds (chat calls: `count` and `feed` per chunk, then
`end_round`), and `close`; `ping` may come anywhere between start and close. The machine holds what is open: at most
one of reasoning and message, and beside it any number of calls. Each is an object of `outputs` that makes its own
events; the machine decides which opens, which closes, and what the end was. It knows no host: a host's quirk is
undone before its chunks come here. It knows no time and no chance either: ids and clock are handed in.

What it promises, and the property tests hold over random chunk streams:

 1. `sequence_number` is unique and strictly increasing from 0, pings included; nobody after this module numbers.
 2. Each item has one `added` and one `done` with everything of the item between them; each part likewise.
 3. The joined deltas, the `done` value and what stands in the terminal snapshot are the same string; the snapshot
    is made of the items that were streamed, and is never parsed again.
 4. `output_index` is given once, when the item opens; it is dense and equals the place in `output`. An id is the
    same in added, done and the snapshot.
 5. Exactly one terminal event, last, whatever happened. Only the last item may be `incomplete`.
 6. How the host's bytes were cut, or its chunks merged, changes no value: text, arguments, items, status, usage.
 7. The streamed response equals the one that is not streamed: both are the terminal event's `response`.
 8. What follows event N is the same whether it was seen live or replayed: events are never changed once made.
 9. One item per host call index. Calls stay open side by side until the round ends; reasoning, message and the
    opening of a call close what is being written; an empty delta opens nothing.
10. The first error wins. An end without a finish_reason is a failure, not a completion. `length` and
    `content_filter` make the response incomplete. That there are calls is told by deltas, not by finish_reason.
11. Several rounds make one response of which all this holds: indices run on, usage adds up.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from responses_shim.core.items.base import Output
from responses_shim.core.items.message import NO_LOGPROBS, MessageOutput
from responses_shim.core.items.reasoning import ReasoningOutput, Seal, SummaryOutput
from responses_shim.core.response.call_index import HostCall, HostCalls
from responses_shim.core.response.fast_path import PACK_EVERY, PlainText
from responses_shim.core.response.token_ids import TokenCount, contradiction
from responses_shim.core.tools.base import CallBuilder
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.chat import Chunk, ToolCallDelta, annotations_of, logprobs_of, usage_of
from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.events import (
    DELTAS,
    Completed,
    Created,
    Error,
    Event,
    Failed,
    Incomplete,
    InProgress,
    Ping,
)
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.responses import (
    CallItem,
    IncompleteDetails,
    ItemStatus,
    MessageItem,
    OutputItem,
    ReasoningItem,
    Response,
    ResponseError,
    Usage,
)
from responses_shim.core.wire.tokens import Tokens
from responses_shim.errors import ShimError, UpstreamError


class Round(Struct, frozen=True):
    """How one chat call ended: its finish_reason (None: it never came) and the calls it made, in order."""

    finish: str | None
    calls: list[CallItem]


class Wanted(Struct, frozen=True, kw_only=True):
    """What the client or the operator asked for besides the answer.

    - `logprobs`: a host may send them unasked
    - `summary`: reasoning is shown as a summary, not as raw text
    - `seal`: makes `encrypted_content` of a reasoning text
    - `token_ids`: the tokens themselves, on deltas and on the last item
    - `noise`: so many random characters, to hide the length of deltas with
    - `message`: an answer without any item has an empty message
    - `overflow`: a request that is too long for the model gives an incomplete response
    """

    logprobs: bool = False
    summary: bool = False
    seal: Seal | None = None
    token_ids: bool = False
    noise: Callable[[int], str] | None = None
    message: bool = False
    overflow: bool = False


NOTHING_MORE = Wanted()
NOISE_TO = 16
"""A delta, as JSON with its quotes, and its obfuscation together are a multiple of so many bytes."""

_json = msgspec.json.Encoder().encode


class ResponseStream:
    """One response. `response` is the snapshot; it is complete once `close` has returned.

    `new_id` gives an id for a prefix (`msg` → `msg_…`), `now` Unix seconds. `tools` knows what each call is a call of.
    """

    def __init__(
        self,
        response: Response,
        *,
        new_id: Callable[[str], str],
        now: Callable[[], int],
        tools: ToolMap | None = None,
        wanted: Wanted = NOTHING_MORE,
    ) -> None:
        self.response = response
        self.finish: str | None = None
        self.error: ShimError | None = None
        self.ignored_calls = 0
        """Calls beyond the one that `parallel_tool_calls: false` allows."""
        self._new_id = new_id
        self._now = now
        self._tools = tools if tools is not None else ToolMap(None, None, None, Report())
        self._wanted = wanted
        self._dresses = wanted.token_ids or wanted.noise is not None
        self._tokens = TokenCount() if wanted.token_ids else None
        self._number = count().__next__
        self._message: MessageOutput | None = None
        self._reasoning: ReasoningOutput | None = None
        self._calls = HostCalls(single=self._tools.single)
        self._open: list[Output] = []
        self._opened = 0
        self._items: dict[int, OutputItem] = {}
        self._round_usage: dict[str, object] | None = None
        self._rounds = 0

    # The response's own life ------------------------------------------------------------------------------------

    def start(self) -> list[Event]:
        """`response.created` and `response.in_progress`."""
        begun = replace(self.response, output=[])
        return [Created(self._number(), begun), InProgress(self._number(), begun)]

    def ping(self) -> Event:
        return Ping(self._number())

    def still_in_progress(self) -> Event:
        """The other kind of ping: `response.in_progress` again, with the items up to the first that is still open."""
        output: list[OutputItem] = []
        while len(output) in self._items:
            output.append(self._items[len(output)])
        return InProgress(self._number(), replace(self.response, output=output))

    def fail(self, error: ShimError) -> None:
        """Remember why the response cannot complete. The first reason stays."""
        if self._wanted.overflow and error.code == "context_length_exceeded" and not (self._opened or self.error):
            self.finish, self._tokens = "length", None
        elif self.error is None:
            self.error = error

    def plain(self) -> PlainText | None:
        """The short way for more text, if one has just begun: good until the next `feed` or `end_round`."""
        if self._message is None or self._wanted.logprobs or self._dresses or self.error is not None:
            return None
        return self._message.plain()

    # One round ---------------------------------------------------------------------------------------------------

    def feed(self, chunk: Chunk) -> list[Event]:
        """The events of one chunk: none, one or several."""
        events: list[Event] = []
        if chunk.error is not None:
            self.fail(error_from(chunk.error))
        if chunk.usage:
            self._round_usage = chunk.usage
        if chunk.choices is not None and self.error is None:
            for choice in chunk.choices:
                if choice.index:
                    continue
                if choice.finish_reason:
                    self.finish = choice.finish_reason
                delta = choice.delta or choice.message
                if delta is None:
                    continue
                reasoning = delta.reasoning or delta.reasoning_content
                if reasoning:
                    (self._reasoning or self._open_reasoning(events)).text(reasoning, events)
                if content := delta.content:
                    message = self._message or self._open_message(events)
                    message.text(content, logprobs_of(choice) if self._wanted.logprobs else NO_LOGPROBS, events)
                if delta.refusal:
                    (self._message or self._open_message(events)).refusal(delta.refusal, events)
                if delta.annotations:
                    for annotation in annotations_of(delta):
                        (self._message or self._open_message(events)).annotate(annotation, events)
                if delta.tool_calls:
                    for call in delta.tool_calls:
                        self._call(call, events)
        if self._dresses:
            self._dress(events)
        if events and not events[-1].sequence_number % PACK_EVERY:
            for output in self._open:
                output.pack()
        return events

    def count(self, chunk: Chunk) -> None:
        """Take the tokens of a chunk as the host sent it, before anything is put right and `feed` gets it."""
        if self._tokens is not None:
            try:
                self._tokens.take(chunk)
            except UpstreamError as error:
                self.fail(error)

    def _dress(self, events: list[Event]) -> None:
        """Put on the deltas what they carry besides their text."""
        deltas = [event for event in events if isinstance(event, DELTAS)]
        if self._tokens is not None and deltas and (news := self._tokens.news()):
            deltas[0].generation_token_ids, deltas[0].generation_log_probs = news
        if self._wanted.noise is not None:
            for delta in deltas:
                delta.obfuscation = self._wanted.noise(NOISE_TO - len(_json(delta.delta)) % NOISE_TO)

    @property
    def lacks_prompt(self) -> bool:
        """The tokens of the prompt are wanted, and the host has not told them."""
        return self._tokens is not None and self._tokens.lacks_prompt and self.error is None

    def tell_prompt(self, token_ids: list[int]) -> None:
        """The tokens of the prompt, from where else they could be had. Their number must be that of the usage."""
        if self._tokens is not None:
            self._tokens.prompt = token_ids
            usage = usage_of(self._round_usage)
            if usage is not None and usage.input_tokens != len(token_ids):
                self.fail(contradiction(f"{usage.input_tokens} prompt tokens, then {len(token_ids)}"))

    def _call(self, delta: ToolCallDelta, events: list[Event]) -> None:
        name = delta.function.name if delta.function else None
        arguments = delta.function.arguments if delta.function else None
        if self.error is not None:
            return
        call = self._calls.of(delta, name)
        if call.output is None:
            if not name or not call.wanted:
                if arguments:
                    call.pieces.append(arguments)
                return
            if not self._tools.allows(name):
                self._calls.forget(call)
                self.fail(UpstreamError(f"The model called {name!r}, which tool_choice does not allow."))
                return
        output = call.output or self._open_call(call, name or "", events)
        if arguments:
            output.arguments(arguments, events)

    def _open_call(self, call: HostCall, name: str, events: list[Event]) -> CallBuilder:
        self._close_writing(events)
        call_id = call.id or self._new_id("call")
        output = call.output = self._tools.open(name, self._new_id, self._opened, self._number, call_id)
        self._begin(output, events)
        for arguments in call.pieces:
            output.arguments(arguments, events)
        return output

    def _open_reasoning(self, events: list[Event]) -> ReasoningOutput:
        self._close_writing(events)
        kind = SummaryOutput if self._wanted.summary else ReasoningOutput
        self._reasoning = kind(self._new_id("rs"), self._opened, self._number, self._wanted.seal)
        self._begin(self._reasoning, events)
        return self._reasoning

    def _open_message(self, events: list[Event]) -> MessageOutput:
        self._close_writing(events)
        self._message = MessageOutput(self._new_id("msg"), self._opened, self._number)
        self._begin(self._message, events)
        return self._message

    def _begin(self, output: Output, events: list[Event]) -> None:
        self._opened += 1
        self._open.append(output)
        output.open(events)

    def _close_writing(self, events: list[Event]) -> None:
        for output in (self._reasoning, self._message):
            if output is not None:
                self._open.remove(output)
                self._items[output.index] = output.close("completed", events)
        self._reasoning = self._message = None

    def end_round(self) -> tuple[Round, list[Event]]:
        """The chat call is over: close its items, add its usage. Another round may follow, or `close`."""
        events: list[Event] = []
        for call in self._calls.nameless():
            self._open_call(call, "", events)
        self.ignored_calls += self._calls.ignored()
        blank = self._wanted.message and not self._opened and self.finish not in (None, *_ABORTED)
        tokens = self._round_tokens(events)
        if blank and self.error is None:
            (self._message or self._open_message(events)).say_nothing(events)
        whole = self.error is None and self.finish not in _CUT
        calls: list[CallItem] = []
        for output in self._open:
            last = output.index == self._opened - 1
            status: ItemStatus = "completed" if whole or not last else "incomplete"
            item = output.close(status, events, tokens if last else None)
            self._items[output.index] = item
            if not isinstance(item, (MessageItem, ReasoningItem)):
                calls.append(item)
        if self._dresses:
            self._dress(events)
        ended = Round(self.finish, calls)
        usage = usage_of(self._round_usage)
        self.response.usage = usage if self._rounds == 0 else _sum(self.response.usage, usage)
        self._rounds += 1
        self._message = self._reasoning = self._round_usage = None
        self._calls = HostCalls(single=self._tools.single)
        self._open = []
        if self._tokens is not None:
            self._tokens = TokenCount()
        return ended, events

    def _round_tokens(self, events: list[Event]) -> Tokens | None:
        """The tokens of the round, for its last item: an empty message where there is none."""
        if self._tokens is None or self.error is not None:
            return None
        try:
            tokens = self._tokens.close(said=bool(self._open))
        except UpstreamError as error:
            self.fail(error)
            return None
        if not self._open:
            self._open_message(events)
        return tokens

    def begin_round(self) -> None:
        """Another chat call for the same response: its finish_reason is still to come."""
        self.finish = None

    # The end -----------------------------------------------------------------------------------------------------

    def close(self) -> list[Event]:
        """The terminal event, after `error` if the response failed. Call `end_round` first, and this once."""
        response = self.response
        response.output = self._finished()
        if self.error is None and self.finish is None:
            self.fail(UpstreamError("The host ended its stream before the answer was complete."))
        if self.error is None and self.finish in _ABORTED:
            self.fail(UpstreamError(f"The host gave up on the answer (finish_reason {self.finish!r})."))
        if self.error is not None:
            response.status = "failed"
            response.error = ResponseError(self.error.failure_code, self.error.message)
            return [
                Error(self._number(), response.error.code, self.error.message, self.error.param),
                Failed(self._number(), response),
            ]
        reason = _REASONS.get(self.finish or "")
        if reason is not None:
            response.status = "incomplete"
            response.incomplete_details = reason
            return [Incomplete(self._number(), response)]
        response.status = "completed"
        response.completed_at = self._now()
        return [Completed(self._number(), response)]

    def _finished(self) -> list[OutputItem]:
        return [self._items[index] for index in sorted(self._items)]


_ABORTED = ("abort", "error")  # vLLM: the request was aborted, or the engine failed
_REASONS = {
    "length": IncompleteDetails("max_output_tokens"),
    "content_filter": IncompleteDetails("content_filter"),
}
_CUT = (None, *_ABORTED, *_REASONS)


def _sum(left: Usage | None, right: Usage | None) -> Usage | None:
    """Two rounds' usage; unknown if either is: a part is not the whole."""
    if left is None or right is None:
        return None
    of_input, of_output = left.input_tokens_details, left.output_tokens_details
    return Usage(
        input_tokens=left.input_tokens + right.input_tokens,
        input_tokens_details=replace(
            of_input,
            cached_tokens=of_input.cached_tokens + right.input_tokens_details.cached_tokens,
            cache_write_tokens=of_input.cache_write_tokens + right.input_tokens_details.cache_write_tokens,
        ),
        output_tokens=left.output_tokens + right.output_tokens,
        output_tokens_details=replace(
            of_output,
            reasoning_tokens=of_output.reasoning_tokens + right.output_tokens_details.reasoning_tokens,
        ),
        total_tokens=left.total_tokens + right.total_tokens,
    )
