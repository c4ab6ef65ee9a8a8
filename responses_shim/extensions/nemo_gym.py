"""NeMo Gym's side channel: what a row of training data says in `metadata`, for want of fields of the API for it.

With the setting `nemo_gym` five keys are instructions to the host; to everybody else they are metadata like any other:

- `chat_template_kwargs`: a JSON object in a string, the arguments of the host's chat template
- `extra_body`: a JSON object in a string, more fields of the chat request. Those that the request itself has win, and
  those by which the answer is read are refused
- `audio_data`, a data URL, or `audio_path`, or `audio_paths` (a list, or one in a string): sound that goes before the
  text of the last user message

They may be longer than other metadata. They are echoed as they came; a list as JSON, for metadata are strings.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.request.parse import parse_request
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.validation import check_depth, unsupported, wrong_type
from responses_shim.errors import InvalidRequest

AUDIO = ("audio_data", "audio_path", "audio_paths")
KEYS = ("chat_template_kwargs", "extra_body", *AUDIO)

# What the answer is read by, or has a field of its own whose checks must hold.
_NOT_EXTRA = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "n", "return_token_ids", "return_tokens_as_token_ids"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"),
    }
)

# What a file's name says of it. A type that is guessed wrong is decoded wrong, and nobody would notice.
_MEDIA = {".wav": "wav", ".flac": "flac", ".mp3": "mpeg", ".m4a": "mp4", ".ogg": "ogg", ".opus": "opus"}


class SideChannel(Struct, frozen=True, kw_only=True):
    """What a request said there. `audio` are the values of `audio_key`: one data URL, or paths."""

    template: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    audio_key: str = ""
    audio: list[str] = field(default_factory=list)

    def paths(self) -> list[tuple[str, str]]:
        """Each audio path, and where in the request it stands."""
        if self.audio_key == "audio_paths":
            return [(path, f"metadata.audio_paths[{place}]") for place, path in enumerate(self.audio)]
        return [(path, "metadata.audio_path") for path in self.audio] if self.audio_key == "audio_path" else []


SILENT = SideChannel()


def read_training_request(body: Any) -> tuple[CreateRequest, SideChannel]:
    """As `parse_request`, and what its side channel says. InvalidRequest names the key that is wrong."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict) or not any(key in metadata for key in KEYS):
        return parse_request(body), SILENT
    # The rules of metadata hold for the rest, and for how many there are.
    request = parse_request({**body, "metadata": metadata | {key: "" for key in KEYS if key in metadata}})
    told = {key: metadata[key] for key in KEYS if metadata.get(key) not in (None, "", [])}
    request.metadata = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in metadata.items()
        if value is not None
    }
    sources = [key for key in AUDIO if key in told]
    if len(sources) > 1:
        raise InvalidRequest(
            f"Audio has one source: '{sources[0]}' and '{sources[1]}' were both given.",
            param=f"metadata.{sources[1]}",
            code="invalid_value",
        )
    return request, SideChannel(
        template=_object(told, "chat_template_kwargs"),
        extra=_extra(_object(told, "extra_body")),
        audio_key=sources[0] if sources else "",
        audio=_audio(sources[0], told[sources[0]]) if sources else [],
    )


def _object(told: dict[str, Any], key: str) -> dict[str, Any]:
    if key not in told:
        return {}
    path = f"metadata.{key}"
    value = _decoded(told[key])
    if not isinstance(told[key], str) or not isinstance(value, dict):
        raise wrong_type(path, "a JSON object in a string")
    check_depth(value, path)
    return value


def _decoded(value: Any) -> Any:
    """What a string holds as JSON; anything else, and what is not JSON, as it is."""
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return value


def _extra(fields: dict[str, Any]) -> dict[str, Any]:
    for name in fields:
        if name in _NOT_EXTRA:
            raise InvalidRequest(
                f"'metadata.extra_body' cannot set '{name}': that is for the fields of the request to say.",
                param="metadata.extra_body",
                code="invalid_value",
            )
    return fields


def _audio(key: str, value: Any) -> list[str]:
    path = f"metadata.{key}"
    if key == "audio_paths":
        paths = _decoded(value)
        if not isinstance(paths, list):
            raise wrong_type(path, "an array of paths")
        for place, entry in enumerate(paths):
            if not isinstance(entry, str) or not entry:
                raise wrong_type(f"{path}[{place}]", "a non-empty string")
        return paths
    if not isinstance(value, str):
        raise wrong_type(path, "a string")
    if key == "audio_data" and value[:5].lower() != "data:":
        raise InvalidRequest(f"'{path}' is not a data URL.", param=path, code="invalid_value")
    return [value]


def audio_type(path: str, param: str) -> str:
    """The media type of an audio file, by its name. InvalidRequest if that tells nothing."""
    suffix = path[path.rfind(".") :].lower()
    if suffix not in _MEDIA:
        raise InvalidRequest(
            f"The name of an audio file should end in one of {', '.join(_MEDIA)}.", param=param, code="invalid_value"
        )
    return f"audio/{_MEDIA[suffix]}"


def tell_host(chat: dict[str, Any], side: SideChannel, policy: TranslationOptions, report: Report) -> dict[str, Any]:
    """The chat request, as its host takes it, with what the side channel says beside; the sound comes later.

    InvalidRequest for sound that the host does not take.
    """
    if side.audio:
        if "audio" not in policy.parts:
            raise unsupported(f"metadata.{side.audio_key}", "this host takes no audio content.")
        report.mapped(f"metadata.{side.audio_key}")
    if side.template:
        chat = chat | {"chat_template_kwargs": {**(chat.get("chat_template_kwargs") or {}), **side.template}}
        report.mapped("metadata.chat_template_kwargs")
    for name in side.extra:
        if name in chat:
            report.dropped(f"metadata.extra_body.{name}")
    if side.extra:
        report.mapped("metadata.extra_body")
    return side.extra | chat


def with_audio(messages: list[dict[str, Any]], urls: list[str]) -> list[dict[str, Any]]:
    """The messages with the sound before everything else in the last one of the user; in one of its own, if need be."""
    sound = [{"type": "audio_url", "audio_url": {"url": url}} for url in urls]
    for place in reversed(range(len(messages))):
        message = messages[place]
        if message["role"] == "user":
            content = message["content"]
            rest = [{"type": "text", "text": content}] if isinstance(content, str) else content
            return [*messages[:place], {**message, "content": sound + rest}, *messages[place + 1 :]]
    return [*messages, {"role": "user", "content": sound}]
