"""The profile of llama-cpp-python's server (`python -m llama_cpp.server`), as version 0.3.36 behaves.

Its request model ignores unknown fields (`max_completion_tokens` and `stream_options` are among them), fails on null in
most fields, and knows neither the role `developer` nor the response format `json_schema`. Its chat templates take
content that is a string. Of the tool choices only a named function has an effect: with any other, tools reach the chat
template at most, and calls in the answer are not parsed: the shim reads them.

Some JSON schemas crash its process; `llama_cpp_schema` makes them safe. So does a wrong `grammar`, which its request
model has too, and which is not passed on. What the server was recorded to do is in `tests/captures/llama_cpp`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.response.filters import Field, Filter
from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.chat_errors import error_from
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest, ShimError
from responses_shim.hosts.llama_cpp_schema import safe_schema
from responses_shim.hosts.profile import Chat, HostProfile, Probe
from responses_shim.hosts.tool_handling import Model, Templates, ToolHandling, shows_tools, takes_text_arguments

_ENGINE_FIELDS = frozenset(
    {"logit_bias", "logit_bias_type", "min_tokens", "mirostat_mode", "mirostat_tau", "mirostat_eta"}
)
"""Fields of a create request that go on to the chat request as they are."""

# The fields of a translated chat request that the server reads under the same name.
_FIELDS = (
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
    """Keeps the fields that this server reads, under its names, and makes JSON schemas safe for it."""
    adapted = {name: chat[name] for name in (*_FIELDS, *_ENGINE_FIELDS) if name in chat}
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
        if chat["return_tokens_as_token_ids"]:  # the log-probabilities are there for the token ids only
            del adapted["logprobs"], adapted["top_logprobs"]
    if "response_format" in adapted:
        adapted["response_format"] = _response_format(adapted["response_format"], report)
    if "tools" in adapted:
        adapted["tools"] = [
            _tool(tool, path, report) for tool, path in zip(adapted["tools"], report.tools, strict=True)
        ]
        _adapt_tool_choice(adapted, report)
    return adapted


def _server() -> Any:
    """The server's module, which has its state. It is looked up, and never imported."""
    return sys.modules.get("llama_cpp.server.app")


def warning() -> str | None:
    """That a second request ends a stream, unless the server was started so that requests wait for one another."""
    settings = getattr(_server(), "_server_settings", None)
    return INTERRUPTS if getattr(settings, "interrupt_requests", False) else None


INTERRUPTS = (
    "any second request, GET /v1/models too, ends an answer that llama-cpp-python is streaming: start it with "
    "--interrupt_requests False (or INTERRUPT_REQUESTS=False) to have requests wait for one another"
)


def templates(name: str) -> Templates:
    """The chat template of the model that the server has loaded: from the model's file, unless it was given another.

    None for a format of llama-cpp-python's own (`--chat_format`, or one that it recognises a template as): none of them
    shows tools.
    """
    proxy = getattr(_server(), "_llama_proxy", None)
    model = getattr(proxy, "_current_model", None)
    chat_format, metadata = getattr(model, "chat_format", None), getattr(model, "metadata", {})
    if not isinstance(chat_format, str) or not chat_format.startswith("chat_template."):
        return Templates()
    template = metadata.get(f"tokenizer.{chat_format}".removesuffix(".default"))
    return Templates(template if isinstance(template, str) else None)


def renders_tools(model: Model) -> bool:
    """Whether the chat template shows tools, and takes the arguments of past calls as text, as the server has them."""
    template = model.templates.chat
    return shows_tools(template) and takes_text_arguments(template)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """The message with `""` for null content, as beside tool calls: null fails validation, no content the template."""
    message = dict(message)
    if message["content"] is None:
        message["content"] = ""
    return message


def _response_format(response_format: dict[str, Any], report: Report) -> dict[str, Any]:
    if response_format["type"] != "json_schema":
        return response_format
    schema = response_format["json_schema"]["schema"]
    return {"type": "json_object", "schema": _safe(schema, "text.format.schema", report)}


def _tool(tool: dict[str, Any], path: str, report: Report) -> dict[str, Any]:
    function = tool["function"]
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    safe = _safe(parameters, f"{path}.parameters", report)
    return {"type": "function", "function": {**function, "parameters": safe}}


def _adapt_tool_choice(chat: Chat, report: Report) -> None:
    """Replaces `required`, which has no effect on this server, by the name of the tool if there is only one."""
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


def make_filter(chat: Chat) -> Filter | None:
    """A filter for a chat request that names the function to call.

    The server gives finish_reason `tool_calls` even if the token limit cut the call.
    """
    return _TruncatedCall() if isinstance(chat.get("tool_choice"), dict) else None


class _TruncatedCall:
    """A filter that changes the finish_reason `tool_calls` of a named call to `length` if its JSON is incomplete."""

    done = False

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        for choice in chunk.choices or ():
            message = choice.delta or choice.message
            for call in (message and message.tool_calls) or ():
                if call.function is not None and call.function.arguments:
                    self._pieces.append(call.function.arguments)
            if choice.finish_reason == "tool_calls" and not self._is_complete():
                choice.finish_reason = "length"
        return [chunk]

    def close(self) -> Sequence[Chunk]:
        return []

    def passes_as(self, field: Field) -> Field | None:
        return None if field == "arguments" else field

    def _is_complete(self) -> bool:
        try:
            msgspec.json.decode("".join(self._pieces))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


_VALIDATION_ERRORS = re.compile(r"\d+ validation errors?:\s")
_VALIDATION_ERROR = re.compile(r"'loc': \((?P<loc>[^)]*)\), 'msg': (?P<quote>['\"])(?P<msg>.*?)(?P=quote)")


def read_error(body: Any, status: int) -> ShimError:
    """Makes a validation error a 400 with the field and the reason, and of paths of files their names.

    The server answers a validation error with a 500 whose message is pydantic's list of errors as Python prints it,
    with the client's input in it, and a traceback:

        1 validation error:
          {'type': …, 'loc': ('body', 'top_p'), 'msg': 'Input should be …', 'input': 2}
          File …
    """
    error = error_from(body, status)
    if _VALIDATION_ERRORS.match(error.message):
        first = _VALIDATION_ERROR.search(error.message)
        location = first["loc"].replace("'", "").replace("body, ", "", 1).strip(", ") if first else ""
        field = ".".join(location.split(", ")) or "body"
        reason = first["msg"] if first else "it does not say why"
        return InvalidRequest(f"The host refused the request: {field}: {reason}.")
    if _NO_MODEL_FILE.search(error.message):
        return InvalidRequest("The host cannot load this model: its file is missing.", code="model_not_found")
    error.message = _PATH.sub(lambda path: re.split(r"[/\\]", path[0])[-1], error.message)
    return error


_NO_MODEL_FILE = re.compile(r"Model path does not exist: |^The model `.*` does not exist$")
_PATH = re.compile(r"(?<![\w.:/\\-])(?:~?(?:/[^\s/'\"`,;:()<>]+){2,}|[A-Za-z]:(?:\\[^\s\\'\"`,;:()<>]+)+)")
"""The path of a file of the server's, of which clients see the name alone: its exceptions have them in their words."""


def read_exception(error: BaseException) -> ShimError:
    """An error with the exception's message. It may be shown: the server sends the same one when it does not stream."""
    return read_error(f"The host failed: {error}" if str(error) else f"The host failed: {type(error).__name__}", 500)


PROFILE = HostProfile(
    name="llama-cpp",
    modules=("llama_cpp",),
    adapt=adapt,
    read_error=read_error,
    read_exception=read_exception,
    make_filter=make_filter,
    # - Reasoning goes back as a <think> span in the content: the request model drops any other field of a message, and
    #   the server leaves such spans in its answers.
    policy=TranslationOptions(
        parts=frozenset({"image"}),
        reasoning_replay="think",
        invalid_arguments="keep",  # its templates show the arguments as the text that they are
    ),
    unfinished_message=(
        "The host ended its stream before the answer was complete. llama-cpp-python does so when another request "
        "comes, unless it is started with --interrupt_requests False, which has requests wait for one another."
    ),
    tokenize_path=None,  # its own route takes a text, not messages
    request_id="uuid4",
    # Its list of models may not be asked for (see `catalog`). The key is checked before the body, and a body that fails
    # validation reaches neither the model nor its lock. That is a 500 here; FastAPI itself would make it a 422.
    probe=Probe("/v1/chat/completions", b'{"messages":0}', {500: b"validation error", 422: b""}),
    tools=ToolHandling(
        templates=templates,
        parses=lambda model: False,
        renders=renders_tools,
        enforces_named_choice=True,
    ),
    warning=warning,
    engine_fields=_ENGINE_FIELDS,
    catalog=False,  # GET /v1/models takes the model's lock, which ends a stream that is running
)
