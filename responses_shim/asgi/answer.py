"""What a response is made with: its translator, with filters and options, its rounds, and the check of its answer."""

from __future__ import annotations

import secrets
import time

from responses_shim.asgi.request import Request
from responses_shim.asgi.translate import TranslatedRequest, report_header, translate_next_round
from responses_shim.core.items.reasoning import ReasoningDisplay
from responses_shim.core.request.answer_format import constrained_chat
from responses_shim.core.request.messages import Item
from responses_shim.core.request.params import ENCRYPTED_REASONING, wants_logprobs, wants_summary
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import Translator
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.answer_check import AnswerCheck
from responses_shim.runtime.interfaces import NextRound, RawHeaders, Sink, last_round
from responses_shim.runtime.tool_outputs import ToolRounds


def translator(request: Request, translated: TranslatedRequest, sink: Sink, *, hold_answers: bool) -> Translator:
    """What makes the frames of the response for a sink. `hold_answers`: an answer is checked before it is sent."""
    stream = ResponseStream(
        translated.prepared.response,
        new_id=translated.ids.new,
        now=lambda: int(time.time()),
        tools=translated.prepared.tools,
        options=_response_options(request, translated),
    )
    chat = {name: value for name, value in translated.prepared.chat.items() if name != "messages"}
    filtered = chat if request.profile.make_filter(chat) is not None else None
    model, logprobs = chat["model"], wants_logprobs(translated.request)

    def filters() -> list[Filter]:
        return _filters(request, filtered, model, stream.tools, logprobs)  # a later round may have more tools

    return Translator(stream, filters=filters, framing=sink.framing, hold_answers=hold_answers)


def next_round(request: Request, translated: TranslatedRequest, frames_of: Translator) -> NextRound:
    """What follows a round: nothing, or another one if the response waits for the outputs of its calls.

    `frames_of` is the translator of the response.
    """
    turn = translated.waiting
    if turn is None:
        return last_round

    async def next_chat(items: list[Item]) -> Chat:
        frames_of.set_tools(await translate_next_round(request, translated, turn, items))
        return translated.prepared.chat

    timeout = request.settings.tool_timeout
    return ToolRounds(turn, translated.ids.response, translated.ids, next_chat, timeout).next_round


def answer_check(translated: TranslatedRequest, headers: RawHeaders) -> AnswerCheck | None:
    """What checks an answer whose format the host does not enforce; None if there is none.

    `headers` are those of the answer. Unless it is streamed they have not been sent when it is repaired.
    """
    prepared, constraint = translated.prepared, translated.constraint
    if prepared.to_verify is None or constraint is None:
        return None

    def report_repair() -> None:
        prepared.report.repaired("text.format")
        headers[:] = report_header(prepared.report)

    return AnswerCheck(
        prepared.to_verify,
        translated.schema,
        prepared.response,
        ask_again=lambda tokens_spent: constrained_chat(prepared.chat, constraint, tokens_spent),
        on_repaired=report_repair,
        verbatim=wants_logprobs(translated.request) or "return_token_ids" in prepared.chat,
    )


def _response_options(request: Request, translated: TranslatedRequest) -> ResponseOptions:
    """The options of the response: what the client asked for, as far as this server can give it."""
    parsed, settings = translated.request, request.settings
    sealer = request.keys.sealer if ENCRYPTED_REASONING in (parsed.include or ()) else None
    obfuscates = parsed.stream and parsed.stream_options is not None and parsed.stream_options.include_obfuscation
    return ResponseOptions(
        logprobs=wants_logprobs(parsed),
        reasoning=_reasoning_display(request, parsed),
        seal=(lambda text: sealer.seal(request.owners[0], text)) if sealer is not None else None,
        token_ids="return_token_ids" in translated.prepared.chat,
        obfuscate=random_text if obfuscates else None,
        empty_message=settings.nemo_gym,
        incomplete_on_overflow=settings.overflow == "incomplete",
    )


def _reasoning_display(request: Request, parsed: CreateRequest) -> ReasoningDisplay:
    """How reasoning is shown: as the operator has set it, else as the client asks."""
    settings = request.settings
    if settings.reasoning_display != "auto":
        return settings.reasoning_display
    return "summary" if wants_summary(parsed) or settings.nemo_gym else "text"


def _filters(request: Request, chat: Chat | None, model: str, tools: ToolMap | None, logprobs: bool) -> list[Filter]:
    """The filters of one round: the host's own, log-probabilities, `<think>` spans and calls left in the text.

    `chat` is the request without its messages, which are not kept for as long as its answer takes; None for a host
    that has no filter for its answer.
    """
    reading = request.tool_reading(model)
    settings = request.settings
    gym_default = settings.nemo_gym and "think_tags" not in settings.model_fields_set
    tags = "anywhere" if gym_default else settings.think_tags
    filters = [
        request.profile.make_filter(chat) if chat is not None else None,
        LogprobFilter() if logprobs else None,
        ThinkTagFilter(tags) if tags != "off" else None,
        *(reading.filters(tools) if reading is not None and tools is not None else ()),
    ]
    return [chunk_filter for chunk_filter in filters if chunk_filter is not None]


def random_text(size: int) -> str:
    """`size` random characters that JSON does not escape."""
    return secrets.token_hex((size + 1) // 2)[:size]
