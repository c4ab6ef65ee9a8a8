"""The profile of vLLM's server (`vllm serve`), as version 0.32 behaves.

Its chat route is close to OpenAI's, and ignores in silence what it does not know. Unknown to it are `verbosity`,
`service_tier` and `prompt_cache_key`; it has other means to the same ends, which `adapt` uses. What else it reads and
OpenAI's API does not have, `ENGINE_FIELDS` lists: a client of vLLM's that sends one of these in a create request gets
what it would get in a chat request.

Some of what it can do depends on how this very server was started: `for_server` reads that from its app. What the
server was recorded to do is in `tests/captures/vllm`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from msgspec.structs import replace as with_fields

from responses_shim.core.request.options import DEFAULT_OPTIONS
from responses_shim.core.response.call_space import CallSpaceFilter
from responses_shim.core.response.filters import Filter
from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.report import Report
from responses_shim.environment import environment
from responses_shim.errors import ShimError
from responses_shim.hosts.generic import read_exception
from responses_shim.hosts.profile import Chat, HostProfile
from responses_shim.hosts.vllm_schema import is_plain_schema
from responses_shim.hosts.vllm_tools import tool_handling

ENGINE_FIELDS = frozenset(
    {
        # sampling
        *("allowed_token_ids", "bad_words", "ignore_eos", "include_stop_str_in_output", "length_penalty", "logit_bias"),
        *("logprob_token_ids", "min_tokens", "repetition_detection", "skip_special_tokens"),
        *("spaces_between_special_tokens", "stop_token_ids", "structured_outputs", "thinking_token_budget"),
        *("vllm_xargs", "watermarking"),
        # the prompt
        *("add_generation_prompt", "add_special_tokens", "chat_template", "chat_template_kwargs"),
        *("continue_final_message", "documents", "media_io_kwargs", "mm_processor_kwargs"),
        *("truncate_prompt_tokens", "truncation_side"),
        # scheduling and caching
        *("cache_salt", "priority", "session_id", "stream_interval", "prompt_cache_key", "service_tier"),
        # the answer
        *("include_reasoning", "routed_experts_prompt_start"),
    }
)
"""Fields of a create request that go on to the chat request as they are.

They are the fields of vLLM's `ChatCompletionRequest` that OpenAI's Responses API does not have, without those that say
what the shim decides (`stream`, `n`, `echo`, `request_id`, `return_token_ids`, …), that a stream cannot have
(`prompt_logprobs`, `use_beam_search`), or that have something added to the answer for which a response has no field
(`kv_transfer_params`).
"""

_PRIORITIES = {"ultrafast": -30, "fast": -20, "priority": -10, "scale": -5, "flex": 10}
"""vLLM's `priority` for each service tier but the default one, which is 0. A lower number goes first."""

_COMPOSING_PARSERS = frozenset(
    {
        *("deepseek_v3", "deepseek_v31", "deepseek_v32", "deepseek_v4", "deepseek_v41", "glm45", "glm47", "hermes"),
        *("hy_v4", "kimi_k2", "kimi_k3", "ling3", "llama3_json", "llama4_json", "longcat", "mimo", "minimax_m2"),
        *("openai", "plamo3", "qwen3_coder", "qwen3_json", "qwen3_xml", "step3p5"),
    }
)
"""The values of `--tool-call-parser` with which a server that gets tools and a format enforces "calls, or an answer in
this format", if one of the tools is strict. With any other it enforces the format alone, and no tool can be called."""

_CALL_SPACE = {
    **dict.fromkeys(("hermes", "qwen3_json", "longcat", "minimax_m2"), "\n"),
    **dict.fromkeys(("deepseek_v32", "deepseek_v4", "deepseek_v41", "qwen3_coder", "qwen3_xml"), "\n\n"),
}
"""What the chat templates of a parser's models write between a text and a call, and the parser leaves in the text."""


@dataclass(frozen=True)
class Server:
    """What this server was started with, as far as the profile uses it. The defaults are for one that is not known.

    - `parser`: the parser of tool calls (`--tool-call-parser`)
    - `composes`: whether it enforces "calls, or an answer in the format"
    - `needs_strict_tool`: whether it does so only if one of the tools is strict
    - `by_priority`: whether requests are scheduled by their priority (`--scheduling-policy priority`)
    - `routed_experts`: whether it returns which experts the tokens went to (`--enable-return-routed-experts`)
    - `processes`: how many API servers there are (`--api-server-count`)
    """

    parser: str | None = None
    composes: bool = False
    needs_strict_tool: bool = True
    by_priority: bool = False
    routed_experts: bool = False
    processes: int = 1


def server_of(app: Any, environ: Mapping[str, str]) -> Server:
    """What the arguments of `vllm serve`, which its app keeps in `state.args`, and its environment say."""
    args = getattr(getattr(app, "state", None), "args", None)
    parser = getattr(args, "tool_call_parser", None) if getattr(args, "enable_auto_tool_choice", False) else None
    enforces = environ.get("VLLM_ENFORCE_STRICT_TOOL_CALLING", "true").lower() in ("true", "1")
    return Server(
        parser=parser,
        composes=enforces and parser in _COMPOSING_PARSERS,
        needs_strict_tool=getattr(args, "tool_strict_level", "auto") == "auto" and parser not in ("glm45", "glm47"),
        by_priority=getattr(args, "scheduling_policy", None) == "priority",
        routed_experts=bool(getattr(args, "enable_return_routed_experts", False)),
        processes=getattr(args, "api_server_count", None) or 1,
    )


# Requests --------------------------------------------------------------------------------------------------------


def adapt(server: Server, chat: Chat, report: Report) -> Chat:
    """Puts what vLLM does not know in its own terms, and replaces null content by an empty string."""
    chat = dict(chat)
    chat["messages"] = [_message(message) for message in chat["messages"]]
    if (key := chat.pop("prompt_cache_key", None)) is not None:
        chat.setdefault("cache_salt", key)
        report.mapped("prompt_cache_key")
    priority = _PRIORITIES.get(chat.pop("service_tier", None))
    if priority is not None and server.by_priority:
        chat.setdefault("priority", priority)
        report.mapped("service_tier")
    if chat.pop("verbosity", None) is not None:
        report.dropped("text.verbosity")
    if chat.pop("user", None) is not None:
        report.dropped("user")
    if server.composes and server.needs_strict_tool and "response_format" in chat and _may_call(chat):
        chat["tools"] = _with_strict_tool(chat["tools"], report)
    if server.routed_experts and "return_token_ids" in chat:
        # Only the answer that is not streamed has them.
        del chat["stream_options"]
        chat["stream"] = False
    return chat


def _message(message: dict[str, Any]) -> dict[str, Any]:
    return message if message["content"] is not None else {**message, "content": ""}


def _may_call(chat: Chat) -> bool:
    """Whether the model may choose between calls and an answer."""
    return bool(chat.get("tools")) and chat.get("tool_choice", "auto") == "auto"


def _with_strict_tool(tools: list[dict[str, Any]], report: Report) -> list[dict[str, Any]]:
    """The tools, one of which is strict: the one that is so already, or the first whose schema is plain."""
    if any(tool["function"].get("strict") for tool in tools):
        return tools
    index = next((index for index, tool in enumerate(tools) if _is_plain(tool)), None)
    if index is None:
        return tools
    report.mapped(f"{report.tools[index]}.strict")
    function = {**tools[index]["function"], "strict": True}
    return [*tools[:index], {**tools[index], "function": function}, *tools[index + 1 :]]


def _is_plain(tool: dict[str, Any]) -> bool:
    return is_plain_schema(tool["function"].get("parameters") or {})


def can_compose(tools: list[dict[str, Any]], schema: dict[str, Any] | None) -> bool:
    """Whether vLLM's grammar takes "a call of these tools, or JSON in this schema".

    It needs a strict tool, and leaves the tools out for an answer whose schema xgrammar does not know completely.
    """
    if schema is not None and not is_plain_schema(schema):
        return False
    return any(tool["function"].get("strict") or _is_plain(tool) for tool in tools)


# Answers ---------------------------------------------------------------------------------------------------------


def make_filter(server: Server, chat: Chat) -> Filter | None:
    """A filter for a request with tools, whose calls may have white space of the template before them."""
    space = _CALL_SPACE.get(server.parser or "")
    return CallSpaceFilter(space) if space is not None and chat.get("tools") else None


_VALIDATION_ERRORS = re.compile(r"\d+ validation errors?:\s")
_FIRST_REASON = re.compile(r"'msg': (?P<quote>['\"])(?P<reason>.*?)(?P=quote)[,}]")
_ABOUT_PARAMETER = re.compile(r" ?\(parameter=[^()]*\)$")


def read_error(body: Any, status: int) -> ShimError:
    """Makes the message of a validation error the reason alone. Other errors are read as any host's.

    vLLM prints pydantic's list of errors, with what the client has sent in it, and says in `param` which field the
    first of them is about. To other messages it adds the name of its own field:

        1 validation error:
          {'type': …, 'loc': 'body.temperature', 'msg': 'Input should be a valid number, …', 'input': 'warm'}
        temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)
    """
    error = error_from(body, status)
    if _VALIDATION_ERRORS.match(error.message):
        first = _FIRST_REASON.search(error.message)
        about = f"{error.param}: " if error.param is not None else ""
        error.message = f"The host refused the request: {about}{first['reason'] if first else 'it is not valid'}."
    else:
        error.message = _ABOUT_PARAMETER.sub("", error.message)
    return error


def for_server(app: Any) -> HostProfile:
    """The profile of the server whose app this is; that of any vLLM if it does not show how it was started."""
    return replace(_profile(server_of(app, environment())), tools=tool_handling(app))


def _profile(server: Server) -> HostProfile:
    for_this: Callable[[Chat, Report], Chat] = partial(adapt, server)
    return replace(
        PROFILE,
        adapt=for_this,
        make_filter=partial(make_filter, server),
        policy=with_fields(
            PROFILE.policy,
            composes_format="always" if server.composes else "never",
            can_compose=can_compose,
        ),
        processes=server.processes,
    )


PROFILE = HostProfile(
    name="vllm",
    modules=("vllm.entrypoints",),
    adapt=partial(adapt, Server()),
    read_error=read_error,
    read_exception=read_exception,
    make_filter=partial(make_filter, Server()),
    # Past reasoning goes back in the field `reasoning`, which chat templates see under both of its names.
    policy=DEFAULT_OPTIONS,
    unfinished_message=(
        "The host ended its stream before the answer was complete. If vLLM's engine has died, its log says why."
    ),
    engine_fields=ENGINE_FIELDS,
    for_server=for_server,
)
