"""Content parts as chat content: text wherever text will do, chat's own parts for images, audio and video."""

from __future__ import annotations

from typing import Any

from responses_shim.core.request.options import Policy
from responses_shim.core.wire.validation import bad_value, missing, required_string, unsupported, wrong_type
from responses_shim.errors import InvalidRequest

Part = dict[str, Any]

_TEXT = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
# What clients call the other parts: the API's names, chat's, and NeMo Gym's for video.
_MEDIA = {
    "input_image": "image",
    "image_url": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "input_video": "video",
    "video_url": "video",
}


def text_of(content: Any, path: str, separator: str) -> str:
    """The text of a string or of a list of text parts. InvalidRequest names a part of another kind."""
    return separator.join(texts_of(content, path))


def texts_of(content: Any, path: str) -> list[str]:
    """The same, part by part."""
    return [content] if isinstance(content, str) else [_text(part, at) for part, at in parts(content, path)]


def parts_of(content: Any, path: str, policy: Policy) -> list[Part]:
    """A string or a list of parts as chat parts, those that the host takes."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_part(part, at, policy) for part, at in parts(content, path)]


def user_content(content: Any, path: str, policy: Policy) -> str | list[Part]:
    """A string where there is only text: some chat templates cannot take a list."""
    if isinstance(content, str):
        return content
    converted = parts_of(content, path, policy)
    if all(part["type"] == "text" for part in converted):
        return "\n".join(part["text"] for part in converted)
    return converted


def parts(content: Any, path: str) -> list[tuple[Part, str]]:
    """Each part with its path."""
    if content is None:
        raise missing(path)
    if not isinstance(content, list):
        raise wrong_type(path, "a string or an array of content parts")
    listed = [(part, f"{path}[{place}]") for place, part in enumerate(content)]
    for part, at in listed:
        if not isinstance(part, dict):
            raise wrong_type(at, "an object")
        if part.get("type") is None:
            raise missing(f"{at}.type")
    return listed


def _text(part: Part, path: str) -> str:
    kind = part["type"]
    key = _TEXT.get(kind) if isinstance(kind, str) else None
    if key is None:
        raise bad_value(f"{path}.type", kind, list(_TEXT))
    return required_string(part, key, path)


def _part(part: Part, path: str, policy: Policy) -> Part:
    kind = part["type"]
    media = _MEDIA.get(kind) if isinstance(kind, str) else None
    if kind == "input_file":
        raise unsupported(f"{path}.type", "files cannot be read here.")  # where they can, they are text by now
    if media is None:
        if not isinstance(kind, str) or kind not in _TEXT:
            raise bad_value(f"{path}.type", kind, [*_TEXT, *_MEDIA, "input_file"])
        return {"type": "text", "text": _text(part, path)}
    if media not in policy.parts:
        raise unsupported(f"{path}.type", f"this host takes no {media} content.")
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": _audio(part, path)}
    return {"type": f"{media}_url", f"{media}_url": _url(part, f"{media}_url", path, policy)}


def _url(part: Part, key: str, path: str, policy: Policy) -> dict[str, Any]:
    """The URL is a string here and an object in chat; some clients send chat's form."""
    url = part.get(key)
    detail, at = part.get("detail"), f"{path}.detail"
    if isinstance(url, dict):
        if "detail" in url:
            detail, at = url["detail"], f"{path}.{key}.detail"
        url = url.get("url")
    if url is None and part.get("file_id") is not None:
        raise unsupported(f"{path}.file_id", f"there are no stored files here; send a data URL in '{key}'.")
    if url is None:
        raise missing(f"{path}.{key}")
    if not isinstance(url, str) or not url:
        raise wrong_type(f"{path}.{key}", "a non-empty string")
    if policy.image_urls == "data-only" and not url[:5].lower() == "data:":
        raise InvalidRequest(
            "This server fetches nothing: send the content itself as a data URL.",
            param=f"{path}.{key}",
            code="invalid_image_url",
        )
    if detail is not None and not isinstance(detail, str):
        raise wrong_type(at, "a string")
    return {"url": url} if detail is None else {"url": url, "detail": detail}


def _audio(part: Part, path: str) -> dict[str, Any]:
    """Base64 and a format, under `input_audio` in both APIs."""
    audio = part.get("input_audio")
    if audio is None:
        raise missing(f"{path}.input_audio")
    if not isinstance(audio, dict):
        raise wrong_type(f"{path}.input_audio", "an object")
    return {key: required_string(audio, key, f"{path}.input_audio") for key in ("data", "format")}
