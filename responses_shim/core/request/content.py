"""Content parts as chat completions has them: a string if there is only text, else parts for images, audio and video.

Some chat templates cannot take a list of parts at all, so text is given as a string if it can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Raw

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.wire.large_json import Text, joined
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.validation import bad_value, missing, required_string, unsupported, wrong_type
from responses_shim.errors import InvalidRequest

Part = dict[str, Any]

# The field that holds the text of each type of text part.
_TEXT_FIELDS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
# The other types of part: the API's names, those of chat completions, and NeMo Gym's for video.
_MEDIA = {
    "input_image": "image",
    "image_url": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "input_video": "video",
    "video_url": "video",
}
MAX_MEDIA = 1000
"""How many images, videos and sounds a request may have. OpenAI takes 500 images, and hosts far fewer."""

_DETAILS = ("low", "high", "auto")


def text_of(content: Any, path: str, separator: str, report: Report) -> str:
    """The text of a string, or of a list of text parts. Raises InvalidRequest that names a part that is not text.

    A part of a type that is not known is its `text`, if it has one; else it is left out and reported.
    """
    return content if isinstance(content, str) else separator.join(texts_of(content, path, report))


def texts_of(content: Any, path: str, report: Report) -> list[str]:
    """The text of each part; one for a string. Raises as `text_of`."""
    if isinstance(content, str):
        return [content]
    texts = [_text(part, part_path, report) for part, part_path in _parts(content, path)]
    return [text for text in texts if text is not None]


def parts_of(content: Any, path: str, options: TranslationOptions, report: Report) -> list[Part]:
    """A string or a list of parts as chat parts.

    Raises InvalidRequest that names a part that is wrong or that the host refuses.

    A part of a type that is not known is text, if it has a `text`; else it is left out and reported.
    """
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    parts = [_chat_part(part, part_path, options, report) for part, part_path in _parts(content, path)]
    return [part for part in parts if part is not None]


def content_of(content: Any, path: str, options: TranslationOptions, report: Report) -> Text | list[Part]:
    """The content of a user or tool message: a text if there is nothing else, else chat parts. Raises as `parts_of`."""
    if isinstance(content, (str, Raw)):
        return content
    texts = _only_texts(content, path, report)
    return joined(texts, "\n") if texts is not None else parts_of(content, path, options, report)


def _only_texts(content: Any, path: str, report: Report) -> list[str] | None:
    """The texts of parts, without a chat part made of each; None if there are other parts than texts."""
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        if kind is not None and (not isinstance(kind, str) or kind in _MEDIA or kind == "input_file"):
            return None
    return texts_of(content, path, report)


def joined_text(parts: list[Part]) -> Text | None:
    """The text of chat parts, one to a line; None if not all of them are text."""
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return joined(texts, "\n") if len(texts) == len(parts) else None


def _parts(content: Any, path: str) -> Iterator[tuple[Part, str]]:
    """Each part with its path."""
    if content is None:
        raise missing(path)
    if not isinstance(content, list):
        raise wrong_type(path, "a string or an array of content parts")
    for index, part in enumerate(content):
        if not isinstance(part, dict):
            raise wrong_type(f"{path}[{index}]", "an object")
        if part.get("type") is None and not isinstance(part.get("text"), str):
            raise missing(f"{path}[{index}].type")
        yield part, f"{path}[{index}]"


def _text(part: Part, path: str, report: Report) -> str | None:
    kind = "text" if part.get("type") is None else part["type"]
    if not isinstance(kind, str) or kind in _MEDIA or kind == "input_file":
        raise bad_value(f"{path}.type", kind, list(_TEXT_FIELDS))
    if kind in _TEXT_FIELDS:
        return required_string(part, _TEXT_FIELDS[kind], path)
    text = part.get("text")
    if not isinstance(text, str):
        report.dropped(path)
        return None
    report.mapped(path)
    return text


def _chat_part(part: Part, path: str, options: TranslationOptions, report: Report) -> Part | None:
    kind = part.get("type")
    media = _MEDIA.get(kind) if isinstance(kind, str) else None
    if kind == "input_file":
        # `runtime.files` has already replaced the files that can be read.
        raise unsupported(f"{path}.type", "files cannot be read here.")
    if media is None:
        if kind is not None and not isinstance(kind, str):
            raise bad_value(f"{path}.type", kind, [*_TEXT_FIELDS, *_MEDIA, "input_file"])
        text = _text(part, path, report)
        return None if text is None else {"type": "text", "text": text}
    if media not in options.parts:
        raise unsupported(f"{path}.type", f"this host takes no {media} content.")
    report.media += 1
    if report.media > MAX_MEDIA:
        raise InvalidRequest(
            f"There are more than the {MAX_MEDIA} images, videos and sounds allowed here.",
            param=path,
            code="array_above_max_length",
        )
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": _audio(part, path)}
    return {"type": f"{media}_url", f"{media}_url": _url(part, f"{media}_url", path, options, report)}


def _url(part: Part, key: str, path: str, options: TranslationOptions, report: Report) -> dict[str, Any]:
    """`{"url", "detail"}`, as chat completions nests them.

    In the Responses API the URL is a string, but clients send both forms.
    """
    url = part.get(key)
    detail, detail_path = part.get("detail"), f"{path}.detail"
    if isinstance(url, dict):
        if "detail" in url:
            detail, detail_path = url["detail"], f"{path}.{key}.detail"
        url = url.get("url")
    if url is None and part.get("file_id") is not None:
        raise unsupported(f"{path}.file_id", f"there are no stored files here; send a data URL in '{key}'.")
    if url is None:
        raise missing(f"{path}.{key}")
    if not isinstance(url, str) or not url:
        raise wrong_type(f"{path}.{key}", "a non-empty string")
    if options.image_urls == "data-only" and url[:5].lower() != "data:":
        raise InvalidRequest(
            "URLs are not passed to the model here (setting image_urls): send the content itself as a data URL.",
            param=f"{path}.{key}",
            code="invalid_image_url",
        )
    if detail is not None and not isinstance(detail, str):
        raise wrong_type(detail_path, "a string")
    detail = _chat_detail(detail, detail_path, report)
    return {"url": url} if detail is None else {"url": url, "detail": detail}


def _chat_detail(detail: str | None, path: str, report: Report) -> str | None:
    """How closely an image is looked at, as chat hosts know it; they refuse a request with any other word."""
    if detail is None or detail in _DETAILS:
        return detail
    if detail == "original":
        report.mapped(path)
        return "high"
    report.dropped(path)
    return None


def _audio(part: Part, path: str) -> dict[str, Any]:
    """Base64 and a format: both APIs have them under `input_audio`."""
    audio = part.get("input_audio")
    if audio is None:
        raise missing(f"{path}.input_audio")
    if not isinstance(audio, dict):
        raise wrong_type(f"{path}.input_audio", "an object")
    return {
        "data": required_string(audio, "data", f"{path}.input_audio", maximum=None),
        "format": required_string(audio, "format", f"{path}.input_audio"),
    }
