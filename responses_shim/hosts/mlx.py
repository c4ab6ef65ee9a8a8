"""The profiles of four servers for MLX models: vllm-mlx 0.6, mlx-vlm 0.7, rapid-mlx 0.16 and mlx-openai-server 1.8.

All four are close to OpenAI's chat API, ignore in silence the fields that they do not know, and differ in which these
are; the table `SERVERS` says that. What is wrong in their streams, the filters of `mlx_filters` put right. What the
servers were recorded to do is in `tests/captures/mlx`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.response.call_space import CallSpaceFilter
from responses_shim.core.response.filters import Filter, FilterChain
from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.overflow import says_too_long
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest, ShimError, UpstreamError
from responses_shim.hosts.generic import read_exception
from responses_shim.hosts.mlx_filters import (
    BusyFilter,
    CutCallFilter,
    HiddenErrorFilter,
    LimitFilter,
    TruncationNoticeFilter,
)
from responses_shim.hosts.mlx_tools import tool_handling
from responses_shim.hosts.profile import DEFAULT_RETRIES, Chat, HostProfile, RetryRules

_PATHS = {"verbosity": "text.verbosity", "logprobs": "", "return_tokens_as_token_ids": ""}
"""The client's names of chat fields, where they differ; empty for one that has another field reported in its place."""

_UNKNOWN = ("verbosity", "return_token_ids", "return_tokens_as_token_ids")
"""The fields of a translated chat request that none of the four reads."""

_ENGINE_FIELDS = frozenset({"chat_template_kwargs", "logit_bias"})
"""The fields beyond the Responses API that each of the four reads. See `HostProfile.engine_fields`."""


@dataclass(frozen=True)
class Server:
    """What one of the servers does otherwise than OpenAI's API says.

    - `unread`: the fields of a translated chat request that it does not read, besides `_UNKNOWN`
    - `engine_fields`: those that it reads beyond the Responses API, besides `_ENGINE_FIELDS`
    - `ignores_tool_choice`: it offers the model all tools, whatever `tool_choice` is
    - `effort`: where it reads the effort of reasoning: in the `field` of OpenAI's API; there too, but `none` leaves the
      thinking on (`field_only`); in the arguments of the chat template (`template`)
    - `drops_reasoning`: past reasoning does not reach the chat template in a field of its own
    - `text_outputs`: the output of a tool must be a text, not content parts
    - `cut_reasons`: the finish_reasons with which an answer may end that the token limit has cut
    - `call_space`: it leaves the white space around calls in the text
    - `hides_errors`: the messages of its errors with a status of 500 and more are those of exceptions
    - `retry`: after which failures it is asked again
    """

    unread: tuple[str, ...] = ()
    engine_fields: frozenset[str] = frozenset()
    ignores_tool_choice: bool = False
    effort: Literal["field", "field_only", "template"] = "field"
    drops_reasoning: bool = True
    text_outputs: bool = False
    cut_reasons: frozenset[str] = frozenset()
    call_space: bool = False
    hides_errors: bool = False
    retry: RetryRules = DEFAULT_RETRIES


SERVERS: dict[str, Server] = {
    "vllm-mlx": Server(
        unread=("logprobs", "top_logprobs", "seed", "frequency_penalty", "user"),
        engine_fields=frozenset({"enable_thinking", "thinking_token_budget", "timeout", "video_fps"}),
        effort="field_only",
        text_outputs=True,
        cut_reasons=frozenset({"tool_calls"}),
        call_space=True,
        # Where it is busy its stream is a role, then an error with the code 500 (see `BusyFilter`).
        retry=RetryRules(opening_statuses=frozenset({500})),
    ),
    "mlx-vlm": Server(
        unread=("stop", "user"),
        engine_fields=frozenset({"enable_thinking", "thinking_budget", "min_pixels", "max_pixels", "resize_shape"}),
        drops_reasoning=False,
        hides_errors=True,
    ),
    "rapid-mlx": Server(
        unread=("user",),
        engine_fields=frozenset({"enable_thinking", "reasoning_max_tokens", "timeout"}),
        call_space=True,
    ),
    "mlx-openai-server": Server(
        unread=("logprobs", "top_logprobs"),
        engine_fields=frozenset({"xtc_probability", "xtc_threshold", "repetition_context_size"}),
        ignores_tool_choice=True,
        effort="template",
        cut_reasons=frozenset({"stop", "tool_calls"}),
        call_space=True,
        hides_errors=True,
    ),
}
"""The servers by name, as the setting `host` has it."""


# Requests --------------------------------------------------------------------------------------------------------


def adapt(server: Server, chat: Chat, report: Report) -> Chat:
    """Leaves out what the server would ignore, and puts the rest in its terms.

    Two of the servers read `max_tokens` alone, so they all get both names of the limit.
    """
    chat = {name: value for name, value in chat.items() if value is not None}
    chat["messages"] = [_message(server, message) for message in chat["messages"]]
    if "max_completion_tokens" in chat:
        chat["max_tokens"] = chat["max_completion_tokens"]
    if chat.get("return_tokens_as_token_ids"):  # the log-probabilities are there for the token ids only
        del chat["logprobs"], chat["top_logprobs"]
    for name in (*_UNKNOWN, *server.unread):
        if name in chat:
            del chat[name]
            if path := _PATHS.get(name, name):
                report.dropped(path)
    if "reasoning_effort" in chat:
        _adapt_effort(server, chat, report)
    if server.ignores_tool_choice and "tools" in chat:
        _adapt_tool_choice(chat, report)
    return chat


def _message(server: Server, message: dict[str, Any]) -> dict[str, Any]:
    """The message with a role and a content that every one of the request models and chat templates takes."""
    message = dict(message)
    if message["role"] == "developer":
        message["role"] = "system"
    content = message.get("content")
    if content is None:
        message["content"] = ""
    elif isinstance(content, list) and message["role"] == "tool" and server.text_outputs:
        message["content"] = "\n".join(part["text"] for part in content if part.get("type") == "text")
    if "reasoning" in message:
        message["reasoning_content"] = message["reasoning"]
    return message


_TEMPLATE_EFFORTS = {"xhigh": "high", "max": "high"}


def _adapt_effort(server: Server, chat: Chat, report: Report) -> None:
    """Switches thinking off for the effort `none`, where the effort alone does not, and moves it where it is read.

    mlx-openai-server takes the efforts low, medium and high, and would refuse any other; its own `/v1/responses` puts
    the others as here.
    """
    effort = chat["reasoning_effort"]
    if server.effort == "field_only" and effort == "none":
        chat.setdefault("enable_thinking", False)
    elif server.effort == "template":
        del chat["reasoning_effort"]
        options: dict[str, Any] = {"enable_thinking": effort not in ("none", "minimal")}
        if options["enable_thinking"]:
            options["reasoning_effort"] = _TEMPLATE_EFFORTS.get(effort, effort)
        given = chat.get("chat_template_kwargs", {})
        if isinstance(given, dict):  # anything else the host refuses
            chat["chat_template_kwargs"] = {**options, **given}
        report.mapped("reasoning.effort")


def _adapt_tool_choice(chat: Chat, report: Report) -> None:
    """Offers the model the tools alone that it may call: the one that is named, or none."""
    choice = chat.get("tool_choice")
    if choice == "none":
        del chat["tools"], chat["tool_choice"]
        chat.pop("parallel_tool_calls", None)
    elif isinstance(choice, dict):
        name = choice["function"]["name"]
        chat["tools"] = [tool for tool in chat["tools"] if tool["function"]["name"] == name]
        report.mapped("tool_choice")
    elif choice == "required":
        report.dropped("tool_choice")


# Answers ---------------------------------------------------------------------------------------------------------


def make_filter(name: str, chat: Chat) -> Filter | None:
    """The filters for what this server gets wrong in the answer to a request like this."""
    server = SERVERS[name]
    filters: list[Filter] = []
    if server.call_space and chat.get("tools"):
        filters.append(CallSpaceFilter("\n", around=True))
    limit = chat.get("max_tokens")
    if server.cut_reasons and isinstance(limit, int):
        filters.append(LimitFilter(limit, server.cut_reasons))
    if name == "vllm-mlx":
        filters.append(BusyFilter(BUSY))
    if name == "mlx-vlm" and chat.get("tools"):
        filters.append(CutCallFilter(_CUT_CALL))
    if name == "rapid-mlx":
        filters.append(TruncationNoticeFilter(_TRUNCATION_NOTICE))
    if server.hides_errors:
        filters.append(HiddenErrorFilter(_public_error))
    return FilterChain(filters) if filters else None


BUSY = (
    "The host failed before it wrote anything. vllm-mlx does so while it works on another request, unless it is "
    "started with VLLM_MLX_SIMPLE_ENGINE_LOCK_ADMISSION=wait or --continuous-batching."
)
_CUT_CALL = "Generation ended with an incomplete tool call."
_TRUNCATION_NOTICE = "[truncated — reasoning incomplete"
_NO_METAL = "[metal_kernel] No Metal back-end."
_BAD_IMAGE = re.compile(r"Failed to load image\b|cannot identify image file")


def read_error(server: Server, body: Any, status: int) -> ShimError:
    """Makes the message one that may be shown, and a bad image a 400. Other errors are read as any host's."""
    error = error_from(body, status)
    return _public_error(error) if server.hides_errors else error


def _public_error(error: ShimError) -> ShimError:
    """The error without an exception's message, unless the client or the operator can do something about it."""
    if error.status < 500:
        return error
    if _NO_METAL in error.message:
        return UpstreamError(
            "The host can enforce 'text.format' only with Metal, on a Mac; here it cannot.", status=error.status
        )
    if _BAD_IMAGE.search(error.message):
        return InvalidRequest("The host refused the request: an image cannot be read.", param="input")
    if says_too_long(error.message):
        return error
    return UpstreamError(f"The host failed with status {error.status}; its log says more.", status=error.status)


def _profile(name: str, modules: tuple[str, ...], unfinished: str = "", also_loaded: str | None = None) -> HostProfile:
    server = SERVERS[name]
    return HostProfile(
        name=name,
        modules=modules,
        also_loaded=also_loaded,
        adapt=partial(adapt, server),
        read_error=partial(read_error, server),
        read_exception=read_exception,
        make_filter=partial(make_filter, name),
        policy=TranslationOptions(
            reasoning_replay="think" if server.drops_reasoning else "field",
            # None of them lets a model choose between a call and an answer in a format.
            composes_format="never",
        ),
        unfinished_message=f"The host ended its stream before the answer was complete.{unfinished}",
        tokenize_path=None,
        retry=server.retry,
        engine_fields=_ENGINE_FIELDS | server.engine_fields,
        for_server=partial(_for_server, name),
    )


def _for_server(name: str, app: Any) -> HostProfile:
    """The profile of the server whose app this is."""
    profile = next(profile for profile in PROFILES if profile.name == name)
    return replace(profile, tools=tool_handling(name, app))


PROFILES = (
    _profile("vllm-mlx", ("vllm_mlx",), " vllm-mlx does so when the time is over that --timeout gives a request."),
    _profile("mlx-vlm", ("mlx_vlm",)),
    # It installs a package `vllm_mlx` too, which is another name of its own: its routes are defined in `rapid_mlx`.
    _profile("rapid-mlx", ("rapid_mlx",)),
    # Its package is called `app`, as that of many a server.
    _profile("mlx-openai-server", ("app.api.endpoints",), also_loaded="app.core.handler_process"),
)
