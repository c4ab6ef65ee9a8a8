"""NeMo Gym's options in `metadata`: chat template arguments, extra chat fields, and audio for the model.

NeMo Gym trains models on rows of data. Options of a row for which the Responses API has no field are in `metadata`.
With the setting `nemo_gym` these five keys are read; without it they are metadata like any other:

- `chat_template_kwargs`: a JSON object in a string, arguments for the host's chat template
- `extra_body`: a JSON object in a string, more fields for the chat request. A field that the request has anyway wins,
  and one that decides how the answer is to be read is refused
- `audio_data`: a data URL, or `audio_path`: a file, or `audio_paths`: a list of files, or one in a string as JSON. The
  audio is put before the text of the last user message

These keys may be longer than the API allows for metadata. The response echoes them as they came; a list is echoed as
JSON, because metadata values are strings.

A client chooses the audio paths, so only files below the setting `audio_root` are read, after links are resolved. A
path that leads elsewhere gives the same error whether there is a file or not.
"""

from __future__ import annotations

import base64
import os
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct, field

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.request.parse import parse_request
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.validation import check_depth, unsupported, wrong_type
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.offload import offload
from responses_shim.settings import Settings
from responses_shim.views.items import decode_if_json

AUDIO_KEYS = ("audio_data", "audio_path", "audio_paths")
"""The keys that give audio, of which a request may have one."""
METADATA_KEYS = ("chat_template_kwargs", "extra_body", *AUDIO_KEYS)
"""All keys of `metadata` that are read."""

# No extra fields: the answer could not be read any more, or there is a request field whose checks must hold.
_RESERVED_FIELDS = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "n", "return_token_ids", "return_tokens_as_token_ids"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"),
    }
)

# Any other file name is refused: audio decoded as the wrong type is noise, and nobody would notice.
_MEDIA_SUBTYPES = {".wav": "wav", ".flac": "flac", ".mp3": "mpeg", ".m4a": "mp4", ".ogg": "ogg", ".opus": "opus"}


class GymOptions(Struct, frozen=True, kw_only=True):
    """The options of one request.

    - `template_arguments`: from `chat_template_kwargs`
    - `extra_fields`: from `extra_body`
    - `audio_key`: which of `AUDIO_KEYS` the request has, `""` for none
    - `audio`: the value of that key as a list: one data URL, or the paths
    """

    template_arguments: dict[str, Any] = field(default_factory=dict)
    extra_fields: dict[str, Any] = field(default_factory=dict)
    audio_key: str = ""
    audio: list[str] = field(default_factory=list)

    def audio_paths(self) -> list[tuple[str, str]]:
        """Each audio path with its param, the path that an error names."""
        if self.audio_key == "audio_paths":
            return [(path, f"metadata.audio_paths[{index}]") for index, path in enumerate(self.audio)]
        return [(path, "metadata.audio_path") for path in self.audio] if self.audio_key == "audio_path" else []


NO_OPTIONS = GymOptions()


# Reading the request -------------------------------------------------------------------------------------------------


def read_gym_request(body: Any) -> tuple[CreateRequest, GymOptions]:
    """`core.request.parse.parse_request` for a body whose metadata may have NeMo Gym's keys.

    Returns the request and its options. Raises InvalidRequest that names the field, as in `metadata.extra_body`.
    """
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict) or not any(key in metadata for key in METADATA_KEYS):
        return parse_request(body), NO_OPTIONS
    # The API's limits hold for the other keys, and for the number of keys.
    request = parse_request({**body, "metadata": metadata | {key: "" for key in METADATA_KEYS if key in metadata}})
    request.metadata = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in metadata.items()
        if value is not None
    }
    values = {key: metadata[key] for key in METADATA_KEYS if metadata.get(key) not in (None, "", [])}
    audio_keys = [key for key in AUDIO_KEYS if key in values]
    if len(audio_keys) > 1:
        raise InvalidRequest(
            f"Audio has one source: '{audio_keys[0]}' and '{audio_keys[1]}' were both given.",
            param=f"metadata.{audio_keys[1]}",
            code="invalid_value",
        )
    return request, GymOptions(
        template_arguments=_object(values, "chat_template_kwargs"),
        extra_fields=_extra_fields(values),
        audio_key=audio_keys[0] if audio_keys else "",
        audio=_audio(audio_keys[0], values[audio_keys[0]]) if audio_keys else [],
    )


def _object(values: dict[str, Any], key: str) -> dict[str, Any]:
    """The JSON object in the string at `key`; an empty one if the key is absent."""
    if key not in values:
        return {}
    path = f"metadata.{key}"
    value = decode_if_json(values[key]) if isinstance(values[key], str) else None
    if not isinstance(value, dict):
        raise wrong_type(path, "a JSON object in a string")
    check_depth(value, path)
    return value


def _extra_fields(values: dict[str, Any]) -> dict[str, Any]:
    fields = _object(values, "extra_body")
    for name in fields:
        if name in _RESERVED_FIELDS:
            raise InvalidRequest(
                f"'metadata.extra_body' cannot set '{name}'; use the fields of the request.",
                param="metadata.extra_body",
                code="invalid_value",
            )
    return fields


def _audio(key: str, value: Any) -> list[str]:
    path = f"metadata.{key}"
    if key == "audio_paths":
        paths = decode_if_json(value) if isinstance(value, str) else value
        if not isinstance(paths, list):
            raise wrong_type(path, "an array of paths")
        for index, entry in enumerate(paths):
            if not isinstance(entry, str) or not entry:
                raise wrong_type(f"{path}[{index}]", "a non-empty string")
        return paths
    if not isinstance(value, str):
        raise wrong_type(path, "a string")
    if key == "audio_data" and value[:5].lower() != "data:":
        raise InvalidRequest(f"'{path}' is not a data URL.", param=path, code="invalid_value")
    return [value]


# Changing the chat request -------------------------------------------------------------------------------------------


def apply_options(
    chat: dict[str, Any], options: GymOptions, translation: TranslationOptions, report: Report
) -> dict[str, Any]:
    """The chat request with the template arguments and the extra fields added; audio is added by `add_audio` later.

    `chat` is not changed. Raises InvalidRequest for audio if `translation` says that the host takes none.
    """
    if options.audio:
        if "audio" not in translation.parts:
            raise unsupported(f"metadata.{options.audio_key}", "this host takes no audio content.")
        report.mapped(f"metadata.{options.audio_key}")
    if options.template_arguments:
        arguments = {**(chat.get("chat_template_kwargs") or {}), **options.template_arguments}
        chat = chat | {"chat_template_kwargs": arguments}
        report.mapped("metadata.chat_template_kwargs")
    for name in options.extra_fields:
        if name in chat:
            report.dropped(f"metadata.extra_body.{name}")
    if options.extra_fields:
        report.mapped("metadata.extra_body")
    return options.extra_fields | chat


def add_audio(messages: list[dict[str, Any]], urls: list[str]) -> list[dict[str, Any]]:
    """Chat messages with the audio before the content of the last user message; in a new one if there is none.

    `messages` is not changed.
    """
    audio = [{"type": "audio_url", "audio_url": {"url": url}} for url in urls]
    for index in reversed(range(len(messages))):
        message = messages[index]
        if message["role"] == "user":
            content = message["content"]
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            return [*messages[:index], {**message, "content": audio + parts}, *messages[index + 1 :]]
    return [*messages, {"role": "user", "content": audio}]


# Reading audio files -------------------------------------------------------------------------------------------------


async def load_audio(options: GymOptions, settings: Settings) -> list[str]:
    """The audio of a request as data URLs, read from files in a worker thread if the request gives paths.

    Raises InvalidRequest that names the key: if there is no `audio_root`, for a path that leads to no file below it,
    for a file name without a known ending (see `audio_media_type`), for a file larger than `max_file`, and for
    files that are together larger than `max_body`.
    """
    paths = options.audio_paths()
    return await offload(partial(_read_files, paths, settings)) if paths else options.audio


def _read_files(paths: list[tuple[str, str]], settings: Settings) -> list[str]:
    urls = []
    remaining = settings.max_body  # the files count as if the client had sent them in the body
    for path, param in paths:
        if settings.audio_root is None:
            raise unsupported(param, "audio files are not read here (setting audio_root); send 'metadata.audio_data'.")
        media_type = audio_media_type(path, param)
        limit = min(settings.max_file, remaining)
        data = _read_file(settings.audio_root, path, param, limit + 1)
        if len(data) > limit:
            raise InvalidRequest(
                f"The audio has more than the {limit} bytes allowed here.", param=param, code="file_too_large"
            )
        remaining -= len(data)
        urls.append(f"data:{media_type};base64,{base64.b64encode(data).decode()}")
    return urls


def audio_media_type(path: str, param: str) -> str:
    """The media type of an audio file, by the ending of its name: `a.mp3` is `audio/mpeg`.

    Raises InvalidRequest for any ending but those of wav, flac, mp3, m4a, ogg and opus.
    """
    ending = path[path.rfind(".") :].lower()
    if ending not in _MEDIA_SUBTYPES:
        raise InvalidRequest(
            f"The name of an audio file should end in one of {', '.join(_MEDIA_SUBTYPES)}.",
            param=param,
            code="invalid_value",
        )
    return f"audio/{_MEDIA_SUBTYPES[ending]}"


def _read_file(root: str, path: str, param: str, size: int) -> bytes:
    """Up to `size` bytes of the file at `path`, relative to `root` or absolute, but below `root` in any case."""
    root = os.path.realpath(root)
    try:
        file = os.path.realpath(os.path.join(root, path))
        if os.path.commonpath([root, file]) == root and os.path.isfile(file):
            with open(file, "rb") as opened:
                return opened.read(size)
    except (OSError, ValueError):
        pass
    raise InvalidRequest("There is no such file below audio_root.", param=param, code="invalid_value")
