"""llama-cpp-python's server (`python -m llama_cpp.server`), measured at 0.3.36.

Its request model ignores what it does not know (`max_completion_tokens`, `stream_options`), fails on null where it
expects a value, and knows no developer role and no `json_schema`. Chat templates take strings only. Of the tool
choices only a named one does anything: the others reach the template at most, and the answer is never parsed.

Some JSON schemas end its whole process;
`llama_cpp_schema` stands between them and the host. `tests/captures/llama_cpp` holds what the server was seen to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.response.filters import Mend
from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest, ShimError
from responses_shim.hosts.llama_cpp_schema import safe_schema
from responses_shim.hosts.profile import Chat, HostProfile

# Of what is sent to hosts in general, what this one reads. The rest it would ignore.
_READ = (
    "model",
    "messages",
    "stream",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "top_k",
    "min_p",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "response_format",
)


def adapt(chat: Chat, report: Report) -> Chat:
    """The subset that this server reads, in its spellings."""
    adapted = {name: chat[name] for name in _READ if name in chat}
    if "max_completion_tokens" in chat:
        adapted["max_tokens"] = chat["max_completion_tokens"]
    if "repetition_penalty" in chat:
        adapted["repeat_penalty"] = chat["repetition_penalty"]
        report.mapped("repetition_penalty")
    adapted["messages"] = [_message(message) for message in chat["messages"]]
    if "reasoning_effort" in chat:
        report.dropped("reasoning.effort")
    if "verbosity" in chat:
        report.dropped("text.verbosity")
    if "return_token_ids" in chat:
        report.dropped("return_token_ids")
        if chat["return_tokens_as_token_ids"]:  # the log-probabilities were wanted for their sake only
            del adapted["logprobs"], adapted["top_logprobs"]
    if "response_format" in adapted:
        adapted["response_format"] = _response_format(adapted["response_format"], report)
    if "tools" in adapted:
        adapted["tools"] = [
            _tool(tool, path, report) for tool, path in zip(adapted["tools"], report.tools, strict=True)
        ]
        _choose(adapted, report)
    return adapted


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """Assistant content is a string, `""` beside calls: null fails validation, none at all fails the template."""
    message = dict(message)
    if message["content"] is None:
        message["content"] = ""
    return message


def _response_format(form: dict[str, Any], report: Report) -> dict[str, Any]:
    if form["type"] != "json_schema":
        return form
    schema = form["json_schema"]["schema"]
    return {"type": "json_object", "schema": _safe(schema, "text.format.schema", report)}


def _tool(tool: dict[str, Any], path: str, report: Report) -> dict[str, Any]:
    function = tool["function"]
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    safe = _safe(parameters, f"{path}.parameters", report)
    return {"type": "function", "function": {**function, "parameters": safe}}


def _choose(chat: Chat, report: Report) -> None:
    """`required` says nothing to this server; with one tool it is the same as naming that tool."""
    if chat.get("tool_choice") != "required":
        return
    if len(chat["tools"]) == 1:
        chat["tool_choice"] = {"type": "function", "function": {"name": chat["tools"][0]["function"]["name"]}}
        report.mapped("tool_choice")
    else:
        del chat["tool_choice"]
        report.dropped("tool_choice")


def _safe(schema: dict[str, Any], path: str, report: Report) -> dict[str, Any]:
    safe: dict[str, Any] = safe_schema(schema)
    if safe != schema:
        report.mapped(path)
    return safe


# Answers ---------------------------------------------------------------------------------------------------------


def mending(chat: Chat) -> Mend | None:
    """A named call that the token limit cut says `tool_calls`, as a whole one does: only its JSON tells."""
    return _CutCalls() if isinstance(chat.get("tool_choice"), dict) else None


class _CutCalls:
    """Gathers the arguments of one call and says `length` at the end if they are no JSON."""

    done = False

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        for choice in chunk.choices or ():
            said = choice.delta or choice.message
            for call in (said and said.tool_calls) or ():
                if call.function is not None and call.function.arguments:
                    self._pieces.append(call.function.arguments)
            if choice.finish_reason == "tool_calls" and not self._whole():
                choice.finish_reason = "length"
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []

    def _whole(self) -> bool:
        try:
            msgspec.json.decode("".join(self._pieces))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


_VALIDATION = re.compile(r"\d+ validation errors?:\s")
_COMPLAINT = re.compile(r"'loc': \((?P<loc>[^)]*)\), 'msg': (?P<quote>['\"])(?P<msg>.*?)(?P=quote)")


def read_error(told: Any, status: int) -> ShimError:
    """Its validation errors come as 500 with file paths and the input in them: 400, and only what is wrong."""
    error = error_from(told, status)
    if _VALIDATION.match(error.message):
        complaint = _COMPLAINT.search(error.message)
        where = complaint["loc"].replace("'", "").replace("body, ", "", 1).strip(", ") if complaint else ""
        what = complaint["msg"] if complaint else "it does not say why"
        field = ".".join(where.split(", "))
        return InvalidRequest(f"The host refused the request: {field or 'body'}: {what}.")
    return error


def read_exception(error: Exception) -> ShimError:
    """What it raises after an empty stream is what it answers as JSON when it does not stream: its words are fine."""
    return read_error(f"The host failed: {error}" if str(error) else f"The host failed: {type(error).__name__}", 500)


PROFILE = HostProfile(
    name="llama-cpp",
    modules=("llama_cpp",),
    adapt=adapt,
    read_error=read_error,
    read_exception=read_exception,
    mending=mending,
    # Its request model drops every other key of a message, it takes thoughts out of no answer, and unless a tool is
    # named it reads no calls out of one: nothing is lost if the whole answer is constrained.
    policy=TranslationOptions(parts=frozenset({"image"}), reasoning="think", format_with_tools="constrain"),
    unfinished=(
        "The host ended its stream before the answer was complete. llama-cpp-python does so when another request "
        "comes; start it with --interrupt_requests False to have requests wait for one another."
    ),
    tokenize_path=None,  # its own takes a text, not messages
    request_id="uuid4",
    catalog=False,  # its GET /v1/models takes the lock of the model, and so ends a stream that is running
)
