"""The profile of an unknown host: it gets the chat request that most servers accept."""

from __future__ import annotations

from typing import Any

from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.report import Report
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.hosts.profile import Chat, HostProfile, Probe


def adapt(chat: Chat, report: Report) -> Chat:
    """Adds the other names of the token limit and of past reasoning, and replaces null content by an empty string.

    Servers differ in which of the two names they read, and some chat templates fail on null content.
    """
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


def read_exception(error: BaseException) -> ShimError:
    """An error without the exception's message, which may contain anything, unless it says that the prompt is too long.

    Clients must be able to recognise that one: Codex does not retry it.
    """
    known = error_from(str(error))
    if known.code == "context_length_exceeded":
        return known
    return UpstreamError(f"The host failed with {type(error).__name__}; its log says more.", status=500)


def make_filter(chat: Chat) -> None:
    """No filter: nothing is known about the chunks of an unknown host."""


PROFILE = HostProfile(
    name="generic",
    modules=(),
    adapt=adapt,
    read_error=error_from,
    read_exception=read_exception,
    make_filter=make_filter,
    # The servers that are known to ask for a key guard their list of models: vLLM, vllm-mlx, mlx-vlm. Where all of /v1
    # is guarded, a wrong key is a 401 even if there is no such list. A server without the list that guards each route
    # by itself cannot be asked: its chat call alone decides, unless the operator names another route (auth_probe).
    # To make a chat call that should fail is no way to ask an unknown server: it might answer it.
    probe=Probe("/v1/models", admitting={200: b"", 404: b"", 405: b""}),
)
