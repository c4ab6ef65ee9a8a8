"""A create request as one chat request: messages, parameters and tools together, and what the response will echo."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from responses_shim.core.answer_format import form_answer
from responses_shim.core.inputs import Item, last_question, to_messages, tools_in
from responses_shim.core.invalid import check_depth, convert, missing, unsupported
from responses_shim.core.offers import ToolMap
from responses_shim.core.params import chat_params, text_echo
from responses_shim.core.policy import PLAIN, Policy
from responses_shim.core.report import Report
from responses_shim.core.types import CreateRequest, JsonSchemaFormat, ReasoningEcho, Response

# Fields that need what does not exist here, with what to do instead. Refused, never silently ignored.
UNSUPPORTED = {
    "previous_response_id": "responses are not stored here; send the whole conversation in 'input'.",
    "conversation": "conversations are not stored here; send the whole conversation in 'input'.",
    "background": "there are no background responses here; leave it out or send false.",
    "prompt": "there are no stored prompts here; send 'instructions' and 'input'.",
    "context_management": "there is no server-side compaction here; leave it out.",
    "moderation": "there is no moderation here; leave it out.",
}

WARM_UP = "there is no reading of a prompt without an answer here; leave it out."

# What is read, and what says nothing to any host: programs that a server grants, image models, what Codex tells OpenAI.
_KNOWN = {*CreateRequest.__struct_fields__, "access_programs", "image", "client_metadata"}


class Translation(Struct):
    """`chat` is the chat request before any host's profile; `report` what became of the rest."""

    chat: dict[str, Any]
    tools: ToolMap
    report: Report


def read_request(body: Any) -> CreateRequest:
    """Plain JSON data as a checked request. InvalidRequest names the first field that is wrong."""
    request: CreateRequest = convert(body, CreateRequest)
    if not request.model:
        raise missing("model")
    for name, instead in UNSUPPORTED.items():
        if getattr(request, name) not in (None, False, []):
            raise unsupported(name, f"'{name}': {instead}")
    cache = request.prompt_cache_options
    if request.generate is False or (cache is not None and cache.prewarm):
        # Who only wants the prompt read would be answered, and pay for it.
        name = "generate" if request.generate is False else "prompt_cache_options.prewarm"
        raise unsupported(name, f"'{name}': {WARM_UP}")
    if request.text is not None and isinstance(request.text.format, JsonSchemaFormat):
        check_depth(request.text.format.schema, "text.format.schema")
    return request


def unknown_fields(body: dict[str, Any]) -> list[str]:
    """The keys of a request that nobody here reads, in its order."""
    return [name for name in body if name not in _KNOWN]


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
