"""A host about which nothing is known: the request that most servers take, errors told without their insides."""

from __future__ import annotations

from typing import Any

from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.report import Report
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.hosts.profile import Chat, HostProfile


def adapt(chat: Chat, report: Report) -> Chat:
    """Both spellings of the token limit and of reasoning; `content` never null, which some templates fail on."""
    chat = dict(chat)
    if "max_completion_tokens" in chat:
        chat["max_tokens"] = chat["max_completion_tokens"]
    chat["messages"] = [_message(message) for message in chat["messages"]]
    return chat


def _message(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] != "assistant":
        return message
    message = {**message, "content": message["content"] or ""}
    if "reasoning" in message:
        message["reasoning_content"] = message["reasoning"]
    return message


def read_exception(error: Exception) -> ShimError:
    """Only a context overflow is told in the host's words: other exceptions may hold anything."""
    told = error_from(str(error))
    if told.code == "context_length_exceeded":
        return told
    return UpstreamError(f"The host failed with {type(error).__name__}; its log says more.", status=500)


def no_filters(chat: Chat) -> None:
    return None


PROFILE = HostProfile(
    name="generic",
    modules=(),
    adapt=adapt,
    read_error=error_from,
    read_exception=read_exception,
    filters=no_filters,
)
