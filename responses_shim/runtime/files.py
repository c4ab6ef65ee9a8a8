"""Replace `input_file` parts of a request by text, so that any chat model can read the files.

A text file or a PDF becomes one `input_text` part, between tags that name the file:

    <file name="report.pdf">
    …
    </file>

The same file always gives the same text, so that a host's prefix cache holds from turn to turn. An image becomes an
`input_image` part. Any other file is refused by an error that names the part. No file is kept.
"""

from __future__ import annotations

import base64
import html
import re
import subprocess
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio
from anyio.lowlevel import checkpoint

from responses_shim.core.request.messages import type_by_shape
from responses_shim.core.wire.validation import missing, too_long, unsupported, wrong_type
from responses_shim.errors import InvalidRequest, ShimError
from responses_shim.runtime import pdf
from responses_shim.runtime.fair_queue import FairQueue
from responses_shim.runtime.fetch import fetch
from responses_shim.runtime.offload import INLINE_LIMIT, ITEM_COST, Result, offload_if_large
from responses_shim.settings import Settings

Item = dict[str, Any]
Part = dict[str, Any]

MAX_SECONDS = 60.0
"""How long it may take to fetch the files of one request and to read its PDFs, all together."""

MAX_CHARACTERS = 4_000_000
"""How much text the files of one request may have, all together."""

MAX_FILENAME = 1024
"""The longest name of a file, in characters. File systems take 255 bytes, and some clients send the path with it."""

MAX_FETCHES = 20
"""How many files of one request are fetched: with more, a client could use this server to flood another one."""

_MESSAGES = ("message", "agent_message")
_TOOL_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_SOURCES = ("file_data", "file_url", "file_id")
_PDF_TYPES = ("application/pdf", "application/x-pdf")
_PIECE = 64 * 1024  # characters of a data URL that are decoded in one go, in which no other thread can run
_MAX_HEADER = 1024  # characters of a data URL before the comma
_WHITE_SPACE = b" \t\n\v\f\r"
_UNSPECIFIC_TYPES = ("", "application/octet-stream", "binary/octet-stream")
_IMAGE_SIGNATURE = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF.{4}WEBP)", re.S
)
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PDF_FAILURES = {
    pdf.ENCRYPTED: "it is encrypted; send it without a password",
    pdf.DAMAGED: "it is damaged, or too large once unpacked",
    pdf.NO_TEXT: "it has no text, like a scan; send its pages as 'input_image'",
}


class FileQueues:
    """Where the work on files waits for its turn: one queue for PDFs, one for fetches, for all requests of a shim."""

    def __init__(self, settings: Settings) -> None:
        self.pdfs = FairQueue(settings.pdfs_at_once, settings.files_waiting)
        self.fetches = FairQueue(settings.fetches_at_once, settings.files_waiting)


async def read_files(
    items: list[Item],
    settings: Settings,
    *,
    queues: FileQueues,
    owner: Callable[[], bytes],
    admit: Callable[[], Awaitable[None]],
) -> list[Item]:
    """The input items with each `input_file` part replaced, in messages and in outputs of function and custom tools.

    - `owner`: gives the client's owner id: those of whom work waits in the `queues` take turns
    - `admit`: called once before the first file is looked at; raises ShimError for a client that may not have it read

    Nothing is changed in place. An item without files is returned as it is, and without any files so is the list. An
    item that is invalid for another reason is left for the translation to refuse.

    Raises InvalidRequest with the part in `param`, as in `input[3].content[1].file_data`, and one of these codes:
    `unsupported_file`, `invalid_file` (not base64; a PDF that is encrypted, damaged or without text),
    `invalid_file_url`, `file_too_large`, `file_timeout`, or what any wrong field gives; or with status 429 if a queue
    is full. Raises ShimError if a PDF cannot be read for a reason of this server.
    """

    def find() -> list[tuple[int, str]]:
        return [(index, key) for index, item in enumerate(items) if (key := _key_with_files(item))]

    with_files = await offload_if_large(len(items) * ITEM_COST, find)
    if not with_files:
        return items
    await admit()
    reader = _FileReader(settings, queues, owner())
    replaced = list(items)
    for index, key in with_files:
        parts = await reader.replace_files(items[index][key], f"input[{index}].{key}")
        replaced[index] = {**items[index], key: parts}
    return replaced


def _key_with_files(item: Any) -> str | None:
    """The field of an item that has file parts: `content` of a message, `output` of a tool output, or None."""
    if not isinstance(item, dict):
        return None
    kind = item.get("type")
    if kind is None:
        kind = "message" if "role" in item else type_by_shape(item)
    key = "content" if kind in _MESSAGES else "output" if kind in _TOOL_OUTPUTS else None
    parts = item.get(key) if key else None
    return key if isinstance(parts, list) and any(map(_is_file, parts)) else None


def _is_file(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "input_file"


@dataclass(frozen=True)
class _File:
    """A file as it came: the param of its source in the request, its name and media type (maybe empty), its bytes."""

    param: str
    name: str
    media_type: str
    data: bytes

    @property
    def kind(self) -> str:
        """`pdf`, the media type of an image, or `text` for anything else, which may turn out not to be text.

        A file that begins like a PDF is one, whatever its media type. Otherwise the media type decides, and where
        that says nothing, the name and the first bytes do.
        """
        is_named_pdf = self.media_type in _UNSPECIFIC_TYPES and self.name.lower().endswith(".pdf")
        if self.media_type in _PDF_TYPES or is_named_pdf or self.data.startswith(b"%PDF-"):
            return "pdf"
        if self.media_type.startswith("image/") and self.media_type != "image/svg+xml":
            return self.media_type
        image = _IMAGE_SIGNATURE.match(self.data)
        return f"image/{image.lastgroup}" if image else "text"


@dataclass
class _FileReader:
    """Reads the files of one request. The fields after `owner` are what is left of its limits."""

    settings: Settings
    queues: FileQueues
    owner: bytes
    # the next two are read when a request begins, so that tests can lower them
    seconds: float = field(default_factory=lambda: MAX_SECONDS)
    characters: int = field(default_factory=lambda: MAX_CHARACTERS)
    fetches: int = MAX_FETCHES
    fetched_bytes: int = 0

    async def replace_files(self, parts: list[Any], path: str) -> list[Any]:
        """The content parts with each file replaced. `path` is where they are in the request."""
        return [
            await self._replace(part, f"{path}[{index}]") if _is_file(part) else part
            for index, part in enumerate(parts)
        ]

    async def _replace(self, part: Part, path: str) -> Part:
        file = await self._load(part, path)
        size, kind = len(file.data), file.kind
        if size > self.settings.max_file:
            raise _too_large(f"The file is larger than the {self.settings.max_file} bytes allowed here.", file.param)
        if kind.startswith("image/"):
            url = await _yield_and_offload(size, lambda: f"data:{kind};base64,{base64.b64encode(file.data).decode()}")
            detail = {"detail": part["detail"]} if part.get("detail") is not None else {}
            return {"type": "input_image", "image_url": url, **detail}
        if kind == "pdf":
            text = await self._pdf_text(file)
        else:
            if size > 4 * self.characters + 4:  # a character has four bytes at most
                raise _too_much_text(file.param)
            text = await _yield_and_offload(size, lambda: _decode_text(file))
        if len(text) > self.characters:
            raise _too_much_text(file.param)
        self.characters -= len(text)
        return {"type": "input_text", "text": _in_tags(file.name, text)}

    async def _load(self, part: Part, path: str) -> _File:
        """The file of a part, decoded or fetched."""
        sources = [key for key in _SOURCES if part.get(key) is not None]
        if not sources:
            raise missing(f"{path}.file_data")
        source = sources[0]
        param = f"{path}.{source}"
        if len(sources) > 1:
            raise InvalidRequest(
                f"A file has one source: '{source}' and '{sources[1]}' were both given.",
                param=f"{path}.{sources[1]}",
                code="invalid_value",
            )
        name = part["filename"] if part.get("filename") is not None else ""
        if not isinstance(name, str):
            raise wrong_type(f"{path}.filename", "a string")
        if len(name) > MAX_FILENAME:
            raise too_long(f"{path}.filename", len(name), MAX_FILENAME)
        if not isinstance(part[source], str):
            raise wrong_type(param, "a string")
        if source == "file_id":
            raise unsupported(param, "there are no stored files here; send a data URL in 'file_data'.")
        if source == "file_url":
            return await self._fetch(part["file_url"], name, param)
        media_type, data = await _yield_and_offload(
            len(part["file_data"]), lambda: _decode_data(part["file_data"], param)
        )
        return _File(param, name, media_type, data)

    async def _fetch(self, url: str, name: str, param: str) -> _File:
        if self.settings.file_urls == "refuse":
            raise unsupported(param, "files are not fetched here (setting file_urls); send a data URL in 'file_data'.")
        if not self.fetches:
            raise InvalidRequest(
                f"At most {MAX_FETCHES} files of a request are fetched.", param=param, code="invalid_file_url"
            )
        self.fetches -= 1
        public_only = self.settings.file_urls == "fetch"
        limit = self.settings.max_file
        async with self.queues.fetches.turn(self.owner):
            with self._time_limit(param):
                url_name, media_type, data = await fetch(url, limit, public_only=public_only, param=param)
        self.fetched_bytes += len(data)
        if self.fetched_bytes > self.settings.max_body:  # the files count as if the client had sent them in the body
            raise _too_large(f"The files have more than the {self.settings.max_body} bytes allowed here.", param)
        return _File(param, name or url_name, media_type, data)

    async def _pdf_text(self, file: _File) -> str:
        if find_spec("pypdf") is None:
            raise InvalidRequest(
                "PDFs cannot be read here: that takes pip install 'responses-shim[files]'.",
                param=file.param,
                code="unsupported_file",
            )
        async with self.queues.pdfs.turn(self.owner):  # waiting for one's turn does not count as time for reading
            with self._time_limit(file.param):
                status, text = await _run_process(pdf.command(self.characters, self.seconds), file.data)
        if status == pdf.READ:
            return await _yield_and_offload(len(text), text.decode)
        if status == pdf.TOO_LONG:
            raise _too_much_text(file.param)
        # A negative status is a signal: the child was killed because it used too much memory or processor time.
        reason = _PDF_FAILURES.get(pdf.DAMAGED if status < 0 else status)
        if reason is None:
            raise ShimError("The process that reads PDFs failed.", param=file.param)
        raise InvalidRequest(f"The PDF could not be read: {reason}.", param=file.param, code="invalid_file")

    @contextmanager
    def _time_limit(self, param: str) -> Iterator[None]:
        """Takes the time of its block off `seconds`, and ends the block with InvalidRequest when none is left."""
        start = anyio.current_time()
        with anyio.move_on_after(self.seconds) as scope:
            yield
        self.seconds -= anyio.current_time() - start
        if scope.cancelled_caught:
            raise InvalidRequest(
                f"The files took longer than {MAX_SECONDS:g} seconds to fetch and read.",
                param=param,
                code="file_timeout",
            )


def _decode_data(value: str, param: str) -> tuple[str, bytes]:
    """The media type, maybe empty, and the bytes of a data URL (RFC 2397) or of base64 without one around it."""
    media_type, payload = "", value
    with suppress(ValueError):
        if value[:5].lower() == "data:":
            comma = value.index(",", 5, _MAX_HEADER)
            media_type, *options = [word.strip().lower() for word in value[5:comma].split(";")]
            payload = value[comma + 1 :]
            data = b"".join(_unquoted(payload)) if "%" in payload else payload.encode()
            if "base64" not in options:
                return media_type, data
        else:
            data = payload.encode()
        if value:
            return media_type, b"".join(_from_base64(data.translate(None, _WHITE_SPACE)))
    raise InvalidRequest(
        "The file is neither a data URL (data:application/pdf;base64,…) nor base64.",
        param=param,
        code="invalid_file",
    )


def _unquoted(text: str) -> Iterator[bytes]:
    """The bytes that a percent-encoded text stands for, piece by piece: each `%41` takes a hundred bytes meanwhile."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        # Nothing that is encoded may be cut.
        end -= 1 if text[end - 1 : end] == "%" else 2 if text[end - 2 : end - 1] == "%" else 0
        yield unquote_to_bytes(text[start:end])
        start = end


def _from_base64(data: bytes) -> Iterator[bytes]:
    """The bytes that base64 stands for, piece by piece. Raises ValueError if it is none."""
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE]
        if b"=" in piece and start + _PIECE < len(data):
            raise ValueError("padding before the end")
        yield base64.b64decode(piece, validate=True)


def _decode_text(file: _File) -> str:
    """The text of a file, whatever its media type. A file with a NUL is no text: chat templates fail on those."""
    with suppress(UnicodeDecodeError):
        is_utf_16 = file.data.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
        text = file.data.decode("utf-16" if is_utf_16 else "utf-8-sig")
        if "\0" not in text:
            return text
    raise InvalidRequest(
        "The file cannot be read here: it is neither a PDF nor text in UTF-8 or UTF-16. Send images as 'input_image'.",
        param=file.param,
        code="unsupported_file",
    )


def _in_tags(name: str, text: str) -> str:
    """The text between `<file name="…">` and `</file>`. The name is escaped, so that it cannot end the tag."""
    escaped = html.escape(name, quote=False).replace('"', "&quot;")
    escaped = _CONTROL_CHARACTER.sub(lambda found: f"&#{ord(found[0])};", escaped)
    return f'<file name="{escaped}">\n{text}\n</file>' if name else f"<file>\n{text}\n</file>"


def _too_much_text(param: str) -> InvalidRequest:
    return _too_large(f"The files have more text than the {MAX_CHARACTERS} characters allowed here.", param)


def _too_large(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="file_too_large")


async def _yield_and_offload(size: int, work: Callable[[], Result]) -> Result:
    """`offload_if_large`, which yields to the event loop before small work too: a request may have many small files."""
    if size <= INLINE_LIMIT:
        await checkpoint()
    return await offload_if_large(size, work)


async def _run_process(command: list[str], data: bytes) -> tuple[int, bytes]:
    """The exit status and the standard output of a child that reads all of `data` before it writes anything.

    The status is 1 if the child cannot be started. The child is killed if the caller is cancelled.
    """
    try:
        process = await anyio.open_process(command, stderr=subprocess.DEVNULL, env={})
    except OSError:
        return 1, b""
    async with process:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(anyio.BrokenResourceError, OSError):  # the child has ended; its status will say why
            await process.stdin.send(data)
        await process.stdin.aclose()
        output = b"".join([part async for part in process.stdout])
        return await process.wait(), output
