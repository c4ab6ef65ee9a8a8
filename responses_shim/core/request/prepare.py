"""A checked request, prepared for a run: the chat request for the host, and the response object as it begins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Raw, Struct

from responses_shim.core.request.answer_format import AnswerFormat, apply_format
from responses_shim.core.request.messages import Item, current_turn, declared_tools, located, to_messages
from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.request.params import chat_params, text_echo
from responses_shim.core.request.tool_lists import NO_TOOLS, ToolList
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.kept_json import encode_kept
from responses_shim.core.wire.large_json import LARGE, encode_large
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.responses import ReasoningEcho, Response
from responses_shim.errors import InvalidRequest

# Fields of the response object that repeat the request's; null in the request means the default of the response.
_ECHOED = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty"),
    *("top_logprobs", "truncation", "parallel_tool_calls"),
)
# Those of the response's fields that are the client's and may be large.
_LARGE = ("instructions", "tools", "tool_choice", "text", "metadata", "user", "prompt_cache_key", "model")


class PreparedRequest(Struct):
    """What a run begins with.

    - `chat`: the chat request, in OpenAI's spelling: what a host's profile adapts
    - `tools`: the request's tools, by which calls of functions become calls of these
    - `report`: which fields were mapped, dropped or defaulted
    - `response`: the response object, `in_progress`, with nothing in its output yet
    - `to_verify`: the format that an answer must be checked against, since the host does not enforce it
    """

    chat: dict[str, Any]
    tools: ToolMap
    report: Report
    response: Response
    to_verify: AnswerFormat | None = None


def prepare(
    request: CreateRequest,
    *,
    history: Sequence[Item] = (),
    options: TranslationOptions = DEFAULT_OPTIONS,
    response_id: str,
    created_at: int,
    tool_list: ToolList | None = None,
) -> PreparedRequest:
    """Translate a request, with `history`, the items of earlier turns (for stored conversations), before its input.

    `created_at` is in Unix seconds. `tool_list` is the request's `tools`, if other requests may share what is made of
    them. Raises InvalidRequest that names the tool, item or field that is wrong or that this server does not support;
    an item of the history is named `history[3]`. No argument is changed.
    """
    report = Report()
    items = partial(located, request.input, history)
    declared, choice, parallel = declared_tools(items()), request.tool_choice, request.parallel_tool_calls
    if not request.tools:
        tool_list = NO_TOOLS
    if tool_list is not None and not declared:
        tools = tool_list.tool_map(choice, parallel, report, options.tool_kinds)
    else:
        tools = ToolMap(request.tools, choice, parallel, report, declared, options.tool_kinds)
    report.tools = tools.paths()
    chat = chat_params(request, report) | tools.chat_params()
    described = apply_format(request, chat, options, report)
    context = request.reasoning.context if request.reasoning is not None else None
    if context is not None:
        report.mapped("reasoning.context")
    chat["messages"] = to_messages(
        request.instructions,
        items(),
        tools,
        report,
        options,
        last_instruction=described.description if described is not None else None,
        reasoning_from=current_turn(items()) if context == "current_turn" else 0,
    )
    response = _new_response(request, tools, response_id, created_at)
    return PreparedRequest(chat, tools, report, response, described.to_verify if described is not None else None)


def encode_echo(response: Response, tools: ToolMap, limit: int, size: int) -> None:
    """Encode what a new response repeats of a large request, so that it is done once and not for each event.

    `tools` are those of the request, which has `size` bytes. Raises InvalidRequest with status 413, which names the
    field, if it is more than `limit` bytes.
    """
    length = 0
    for name in _LARGE:
        value = getattr(response, name)
        if size > LARGE:
            encoded = Raw(encode_large(value))
        else:
            encoded = tools.encoded_echo if name == "tools" else Raw(encode_kept(value))
        length += len(encoded)
        if length > limit:
            raise InvalidRequest(
                f"Invalid '{name}': a response repeats at most {limit} bytes of its request here.",
                param=name,
                status=413,
                code="request_too_large",
            )
        setattr(response, name, encoded)


def _new_response(request: CreateRequest, tools: ToolMap, response_id: str, created_at: int) -> Response:
    """The response object as it begins: the request's fields repeated, or their defaults."""
    response = Response(
        id=response_id,
        created_at=created_at,
        model=request.model,
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        prompt_cache_key=request.prompt_cache_key,
        prompt_cache_retention=request.prompt_cache_retention,
        safety_identifier=request.safety_identifier,
        text=text_echo(request),
        tool_choice=tools.choice.echo,
        tools=tools.echo,
        user=request.user,
        metadata=request.metadata or {},
    )
    for name in _ECHOED:
        value = getattr(request, name)
        if value is not None:
            setattr(response, name, value)
    if (cache := request.prompt_cache_options) is not None:
        # OpenAI's type requires both, and gives these defaults.
        response.prompt_cache_options = {"mode": cache.mode or "implicit", "ttl": cache.ttl or "30m"}
    if (reasoning := request.reasoning) is not None:
        response.reasoning = ReasoningEcho(reasoning.effort, reasoning.summary or reasoning.generate_summary)
    return response
