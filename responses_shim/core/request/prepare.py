"""A create request as one chat request: messages, parameters and tools together, and what the response will echo."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from responses_shim.core.request.answer_format import form_answer
from responses_shim.core.request.messages import Item, last_question, to_messages, tools_in
from responses_shim.core.request.options import PLAIN, Policy
from responses_shim.core.request.params import chat_params, text_echo
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.responses import ReasoningEcho, Response


class Translation(Struct):
    """`chat` is the chat request before any host's profile; `report` what became of the rest."""

    chat: dict[str, Any]
    tools: ToolMap
    report: Report


def to_chat(request: CreateRequest, history: list[Item] | None = None, policy: Policy = PLAIN) -> Translation:
    """The chat request for `request`, with `history` (the items of earlier turns) before its input."""
    report = Report()
    items = request.input
    if history:
        items = history + ([{"role": "user", "content": items}] if isinstance(items, str) else items)
    tools = ToolMap(request.tools, request.tool_choice, request.parallel_tool_calls, report, tools_in(items))
    report.tools = tools.paths()
    chat = chat_params(request, report) | tools.params()
    told = form_answer(request, chat, policy, report)
    context = request.reasoning.context if request.reasoning is not None else None
    if context is not None:
        report.mapped("reasoning.context")
    chat["messages"] = to_messages(
        request.instructions,
        items,
        tools,
        report,
        policy,
        told=told,
        reasoning_from=last_question(items) if context == "current_turn" else 0,
    )
    return Translation(chat, tools, report)


def new_response(request: CreateRequest, tools: ToolMap, id: str, created_at: int) -> Response:
    """The response object as it begins: nothing put out yet, the request's fields or their defaults echoed."""
    response = Response(
        id=id,
        created_at=created_at,
        model=request.model,
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        prompt_cache_key=request.prompt_cache_key,
        prompt_cache_retention=request.prompt_cache_retention,
        safety_identifier=request.safety_identifier,
        text=text_echo(request),
        tool_choice=tools.choice_echo,
        tools=tools.echo,
        user=request.user,
        metadata=request.metadata or {},
    )
    for name in (
        "temperature",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "top_logprobs",
        "truncation",
        "parallel_tool_calls",
    ):
        value = getattr(request, name)
        if value is not None:
            setattr(response, name, value)
    if (cache := request.prompt_cache_options) is not None:
        # OpenAI's type has both here, with these defaults.
        response.prompt_cache_options = {"mode": cache.mode or "implicit", "ttl": cache.ttl or "30m"}
    if request.reasoning is not None:
        response.reasoning = ReasoningEcho(
            request.reasoning.effort, request.reasoning.summary or request.reasoning.generate_summary
        )
    return response
