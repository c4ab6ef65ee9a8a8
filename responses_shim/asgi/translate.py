"""A create request of a client's, read and translated for the host."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from msgspec import UNSET

from responses_shim.asgi.admission import Admission
from responses_shim.asgi.body import decode_json, read_body
from responses_shim.asgi.client_watch import ClientWatch
from responses_shim.asgi.known_tools import decode_request
from responses_shim.asgi.large_request import EVERY_FIELD, parse_large_request
from responses_shim.asgi.owner import cache_key_of
from responses_shim.asgi.request import Request
from responses_shim.core.request.answer_format import constrained_chat, response_format
from responses_shim.core.request.messages import Item
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.request.params import ENCRYPTED_REASONING, wants_summary
from responses_shim.core.request.parse import check_strings, parse_request, refuse_state
from responses_shim.core.request.prepare import PreparedRequest, encode_echo, prepare
from responses_shim.core.request.tool_lists import ToolList
from responses_shim.core.request.tool_outputs import next_round_request
from responses_shim.core.request.unread import unread_fields
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest, JsonSchemaFormat
from responses_shim.core.wire.tokens import Tokens
from responses_shim.core.wire.validation import MAX_STRING, check_depth, unsupported
from responses_shim.extensions.nemo_gym import (
    NO_OPTIONS,
    GymOptions,
    add_audio,
    apply_options,
    load_audio,
    read_gym_request,
)
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.answer_check import load_schema
from responses_shim.runtime.files import read_files
from responses_shim.runtime.history import Turn, open_turn, uses_store
from responses_shim.runtime.ids import Ids
from responses_shim.runtime.interceptors import intercept
from responses_shim.runtime.interfaces import RawHeaders
from responses_shim.runtime.json_schema import SchemaCheck
from responses_shim.runtime.offload import INLINE_LIMIT, offload_if_large
from responses_shim.stores.base import StoreUnavailable
from responses_shim.views.request import RequestView

LARGE_ECHO = 10_000
"""From which size of a request on, in bytes, it is worth it to encode what the response repeats of it beforehand."""


@dataclass
class TranslatedRequest:
    """A client's request, parsed, and prepared for the host.

    `ids` gives the ids of the response and of its items; `gym` is what NeMo Gym's keys in `metadata` ask for; `turn` is
    what it continues and how it is kept, None where nothing is stored; `size` is that of the body, as `decode_request`
    returns it, and of what it continues; `engine_fields` are those fields of the body that the host knows beyond the
    API, for the chat request of each round; `constraint` is the `response_format` under which an answer is asked for
    again that is not in its format, `schema` checks it.
    """

    ids: Ids
    request: CreateRequest
    gym: GymOptions
    prepared: PreparedRequest
    turn: Turn | None
    size: int
    engine_fields: dict[str, Any]
    constraint: dict[str, Any] | None
    schema: SchemaCheck | None = None

    @property
    def chat_size(self) -> int:
        """`size`, and that of what the rounds of the response have added."""
        return self.size + (self.turn.rounds_size if self.turn is not None else 0)

    @property
    def waiting(self) -> Turn | None:
        """The turn, if the response waits for the outputs of its calls."""
        return self.turn if self.prepared.response.tool_outputs is not UNSET else None


class _Sent(NamedTuple):
    """What a client sent: the JSON data, with the operator's `default_model` if it had none, and as a checked request.

    `gym` is that of `TranslatedRequest`, `size` that of the body; `tool_list` are its tools, if others may share them.
    """

    body: Any
    has_default_model: bool
    request: CreateRequest
    gym: GymOptions
    size: int
    tool_list: ToolList | None = None


async def translate(
    request: Request, admission: Admission, watch: ClientWatch
) -> tuple[RequestView | None, TranslatedRequest]:
    """Read the request and translate it, and show it to the interceptors, if there are any.

    Whatever takes long is done only if the host lets the client in, and only as long as the client is there. The turn
    of the request is the caller's to release.
    """

    async def admit() -> None:
        watch.start()
        await admission.ask()

    data = await read_body(request.scope, request.receive, request.settings, admission.ask)
    sent = await _decode(request, data, admission)
    parsed = sent.request
    del data
    if admission.asked:
        watch.start()
    if isinstance(parsed.input, list):
        parsed.input = await read_files(
            parsed.input, request.settings, queues=request.file_queues, owner=lambda: request.owners[0], admit=admit
        )
    turn = await _open_turn(request, parsed, admit)
    try:
        view: RequestView | None = None
        if request.interceptors:
            await admit()
            sent.body["input"] = parsed.input
            view, translated = await _intercept(request, sent, turn)
        else:
            translated = await offload_if_large(_size(sent, turn), partial(_prepare, request, sent, turn))
        await _add_audio(request, translated, admit)
        if isinstance(translated.prepared.to_verify, JsonSchemaFormat):
            await admit()
            translated.schema = await load_schema(translated.prepared.to_verify)
        if sent.has_default_model and translated.request.model == request.settings.default_model:
            translated.prepared.report.defaulted("model")
        await watch.stop()
    except BaseException:
        if turn is not None:
            await turn.release()
        raise
    return view, translated


async def _decode(request: Request, data: bytearray, admission: Admission) -> _Sent:
    """What the client sent, from the bytes of its body."""
    read = partial(_read, request)
    if request.interceptors:  # they may change the tools, of this request alone
        parse = partial(parse_large_request, read=EVERY_FIELD) if len(data) > INLINE_LIMIT else None
        return await decode_json(data, request.settings, admission.ask, read, parse=parse)
    sent, tool_list = await decode_request(
        data, request.settings, admission.ask, request.tool_lists, read, request.profile.engine_fields
    )
    return sent if tool_list is None else sent._replace(tool_list=tool_list)


def _read(request: Request, body: Any, size: int) -> _Sent:
    """What the client sent, from the JSON data of its body."""
    default = request.settings.default_model
    has_default_model = bool(default) and isinstance(body, dict) and not body.get("model")
    if has_default_model:
        body = {**body, "model": default}
    return _Sent(body, has_default_model, *_parse(request, body, size), size)


def _size(sent: _Sent, turn: Turn | None) -> int:
    """The size of a request and of what it continues."""
    return sent.size + (turn.size if turn is not None else 0)


async def _open_turn(request: Request, parsed: CreateRequest, admit: Callable[[], Awaitable[None]]) -> Turn | None:
    """What the request continues; None where nothing is stored."""
    if request.state is None:
        refuse_state(parsed)
        return None
    _check_background(request, parsed)
    if uses_store(parsed):
        await admit()
    try:
        store = await request.client_store()
    except StoreUnavailable:
        if parsed.store or uses_store(parsed):
            raise
        request.state.unstored.add(parsed.store is not False)
        return None
    return await open_turn(store, parsed)


def _check_background(request: Request, parsed: CreateRequest) -> None:
    """Raise InvalidRequest if a response is asked for in the background that cannot be had there."""
    if parsed.background and not request.runs.accepting:
        raise unsupported(
            "background",
            "'background': the server has not told this middleware that it has started (ASGI lifespan); use "
            "'async with shim.running()', or leave it out.",
        )


def _parse(request: Request, body: Any, size: int) -> tuple[CreateRequest, GymOptions]:
    """The checked request and, where the operator has NeMo Gym's keys read, what they ask for."""
    if size > MAX_STRING:
        check_strings(body)
    parsed, gym = read_gym_request(body) if request.settings.nemo_gym else (parse_request(body), NO_OPTIONS)
    if parsed.return_token_ids is None and request.settings.return_token_ids:
        parsed.return_token_ids = True
    if parsed.tool_outputs is None and parsed.tools and parsed.store is not False:
        parsed.tool_outputs = request.settings.tool_outputs
    return parsed, gym


async def _intercept(request: Request, sent: _Sent, turn: Turn | None) -> tuple[RequestView, TranslatedRequest]:
    """Show the request to the interceptors, and translate what they leave of it."""
    return await intercept(
        request.interceptors,
        sent.body,
        request.scope["headers"],
        lambda body: _check_and_prepare(request, sent, body, turn),
        _size(sent, turn),
    )


def _check_and_prepare(request: Request, sent: _Sent, body: dict[str, Any], turn: Turn | None) -> TranslatedRequest:
    """Translate a request that interceptors may have changed: `body` is what they left of what was sent."""
    check_depth(body, "")
    parsed, gym = _parse(request, body, _size(sent, turn))
    return _prepare(request, sent._replace(body=body, request=parsed, gym=gym), turn)


def _prepare(request: Request, sent: _Sent, turn: Turn | None) -> TranslatedRequest:
    """Translate a request into the chat request of this host, and report what of its body nobody reads."""
    parsed, tool_list = sent.request, sent.tool_list
    ids = turn.ids if turn is not None else Ids()
    options = request.options_for(parsed)
    prepared = _prepare_round(parsed, turn, options, ids.response, tool_list)
    size = _size(sent, turn)
    if size > LARGE_ECHO:
        encode_echo(prepared.response, prepared.tools, request.settings.max_echo, size)
    report = prepared.report
    constraint = _constraint(request, prepared)
    engine_fields = _engine_fields(request, sent.body)
    prepared.chat = _adapted(request, prepared, engine_fields, sent.gym, options)
    if size > LARGE_ECHO and tool_list is None and request.tool_reading(prepared.chat["model"]) is None:
        prepared.tools.forget_declarations()
    if parsed.service_tier is not None and report.is_mapped("service_tier"):
        prepared.response.service_tier = parsed.service_tier
    if request.settings.reasoning_display == "text" and parsed.reasoning is not None and wants_summary(parsed):
        name = "generate_summary" if parsed.reasoning.summary is None else "summary"
        report.dropped(f"reasoning.{name}")
    if request.keys.sealer is None:
        for index, included in enumerate(parsed.include or ()):
            if included == ENCRYPTED_REASONING:
                report.dropped(f"include[{index}]")
    if options.replay_tokens:
        unread = unread_fields(sent.body, Tokens.__struct_fields__)
    else:
        unread = unread_fields(sent.body, tools=tool_list.unread if tool_list is not None else None)
    sent.body.clear()  # it may be of megabytes, and what is still needed of it is in `parsed`
    for path in unread:
        if path not in engine_fields:
            report.dropped(path)
    if turn is None and parsed.store:
        report.defaulted("store")
    if turn is not None:
        _check_background(request, parsed)  # again: an interceptor may have changed it
        turn.begin(prepared.response, parsed, ids)
        prepared.response.background = bool(parsed.background)
        prepared.response.tool_outputs = "wait" if parsed.tool_outputs == "wait" else UNSET
    return TranslatedRequest(ids, parsed, sent.gym, prepared, turn, size, engine_fields, constraint)


def _prepare_round(
    parsed: CreateRequest,
    turn: Turn | None,
    options: TranslationOptions,
    response_id: str,
    tool_list: ToolList | None = None,
) -> PreparedRequest:
    """Translate a request with what it continues."""
    return prepare(
        parsed,
        history=turn.history() if turn is not None else (),
        options=options,
        response_id=response_id,
        created_at=int(time.time()),
        tool_list=tool_list,
    )


def _engine_fields(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """The fields of the body that this host knows beyond the API, by name. A null one is left out, as everywhere."""
    fields = {name: value for name in request.profile.engine_fields if (value := body.get(name)) is not None}
    if (key := fields.pop("prompt_cache_key", None)) and request.settings.cache_salt:
        fields["prompt_cache_key"] = cache_key_of(request.scope["headers"], request.settings, key)
    return fields


def _adapted(
    request: Request,
    prepared: PreparedRequest,
    engine_fields: dict[str, Any],
    gym: GymOptions,
    options: TranslationOptions,
) -> Chat:
    """The chat request in the spelling of this host, with what NeMo Gym's keys ask for."""
    report, chat = prepared.report, prepared.chat
    reading = request.tool_reading(chat["model"])
    if reading is not None:
        chat = reading.prepare(chat, report)
    return apply_options(request.profile.adapt(chat | engine_fields, report), gym, options, report)


async def translate_next_round(
    request: Request, translated: TranslatedRequest, turn: Turn, items: list[Item]
) -> ToolMap:
    """Replace the chat request by that of a further round, with `items` behind the input. Returns the tools of it."""
    parsed = next_round_request(translated.request, items)
    options = request.options_for(parsed)
    translation = partial(_prepare_round, parsed, turn, options, translated.ids.response)
    prepared = await offload_if_large(translated.chat_size, translation)
    translated.prepared.chat = _adapted(request, prepared, translated.engine_fields, translated.gym, options)
    await _add_audio(request, translated, _admitted)
    return prepared.tools


async def _admitted() -> None:
    """The host has answered the client before."""


def _constraint(request: Request, prepared: PreparedRequest) -> dict[str, Any] | None:
    """`response_format` in the host's form, for a format that the host does not enforce beside tools."""
    if prepared.to_verify is None:
        return None
    chat = {**constrained_chat(prepared.chat, response_format(prepared.to_verify), 0), "messages": []}
    constraint: dict[str, Any] = request.profile.adapt(chat, prepared.report)["response_format"]
    return constraint


async def _add_audio(request: Request, translated: TranslatedRequest, admit: Callable[[], Awaitable[None]]) -> None:
    """Put the audio of NeMo Gym's keys into the chat request.

    Files are read only if `admit` does not raise, and wait for their turn with those that are fetched.
    """
    audio = translated.gym.audio
    if translated.gym.audio_paths():
        await admit()
        async with request.file_queues.fetches.turn(request.owners[0]):
            audio = await load_audio(translated.gym, request.settings)
    if audio:
        chat = translated.prepared.chat
        chat["messages"] = add_audio(chat["messages"], audio)


def report_header(report: Report) -> RawHeaders:
    """`Responses-Shim-Report`, if there is anything to report."""
    value = report.header()
    return [(b"responses-shim-report", value.encode("ascii"))] if value else []
