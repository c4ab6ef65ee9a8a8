"""`input_file` parts as text: what a client attached, in the words that a chat model can read.

A part becomes one `input_text` part, a text between two marks that say where the file begins and what it is called:

    <file name="report.pdf">
    …
    </file>

The same file gives the same bytes, so that a host's prefix cache holds from turn to turn. An image becomes an
`input_image` part. Everything else is refused by name. Nothing is kept.
"""

from __future__ import annotations

import base64
import html
import re
import subprocess
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import anyio
from anyio.lowlevel import RunVar, checkpoint

from responses_shim.core.wire.validation import missing, unsupported
from responses_shim.errors import InvalidRequest, ShimError
from responses_shim.runtime import pdf
from responses_shim.runtime.fetch import fetch
from responses_shim.runtime.offload import INLINE_LIMIT, Result, offload_if_large
from responses_shim.settings import Settings

Item = dict[str, Any]
Part = dict[str, Any]

SECONDS = 60.0
"""How long fetching files and reading PDFs may take, for all files of a request."""

CHARACTERS = 4_000_000
"""How much text all files of a request may have."""

FETCHES = 20
"""How many files of a request may be fetched: more would make this server somebody's means to flood another."""

PDFS_AT_ONCE = 2

_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_SOURCES = ("file_data", "file_url", "file_id")
_PDF = ("application/pdf", "application/x-pdf")
_UNTOLD = ("", "application/octet-stream", "binary/octet-stream")
_IMAGE = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF.{4}WEBP)", re.S
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNREAD = {
    pdf.ENCRYPTED: "it is encrypted; send it without a password",
    pdf.DAMAGED: "it is damaged, or too large once unpacked",
    pdf.TEXTLESS: "it has no text, like a scan; send its pages as 'input_image'",
}


async def read_files(items: list[Item], settings: Settings) -> list[Item]:
    """The items with each `input_file` part replaced, in messages and in the outputs of function and custom calls.

    Nothing is changed in place, and what has no such part is the same object: without any, the list is `items`.
    Items that are not what they should be are left for the translation to complain about.

    Raises InvalidRequest that names the part, as in `input[3].content[1].file_data`: `unsupported_file`,
    `invalid_file` (not base64; a PDF that is encrypted, damaged, or has no text), `invalid_file_url`,
    `file_too_large`, `file_timeout`, or what any bad field gives. ShimError if no child can be started for a PDF.
    """
    places = [(place, key) for place, item in enumerate(items) if (key := _key_of_files(item))]
    if not places:
        return items
    files = _Files(settings)
    changed = list(items)
    for place, key in places:
        changed[place] = {**items[place], key: await files.replace(items[place][key], f"input[{place}].{key}")}
    return changed


def _key_of_files(item: Any) -> str | None:
    """Where in the item there are files: `content`, `output`, or nowhere."""
    if not isinstance(item, dict):
        return None
    kind = item.get("type")
    key = "content" if kind is None or kind == "message" else "output" if kind in _OUTPUTS else None
    parts = item.get(key) if key else None
    return key if isinstance(parts, list) and any(map(_is_file, parts)) else None


def _is_file(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "input_file"


@dataclass(frozen=True)
class _File:
    """One file: where the request has it, its bytes, and what was said of it (empty if nothing was)."""

    param: str
    name: str
    media: str
    data: bytes

    @property
    def kind(self) -> str:
        """`pdf`, the media type of an image, or `text`, which it may not be. Bytes that say what they are win."""
        named = self.media in _PDF or (self.media in _UNTOLD and self.name.lower().endswith(".pdf"))
        if named or self.data.startswith(b"%PDF-"):
            return "pdf"
        if self.media.startswith("image/") and self.media != "image/svg+xml":
            return self.media
        image = _IMAGE.match(self.data)
        return f"image/{image.lastgroup}" if image else "text"


@dataclass
class _Files:
    """The files of one request, and what may still be spent on them."""

    settings: Settings
    seconds: float = field(default_factory=lambda: SECONDS)
    characters: int = field(default_factory=lambda: CHARACTERS)
    fetches: int = FETCHES
    fetched: int = 0

    async def replace(self, parts: list[Any], path: str) -> list[Any]:
        return [
            await self._read(part, f"{path}[{place}]") if _is_file(part) else part for place, part in enumerate(parts)
        ]

    async def _read(self, part: Part, path: str) -> Part:
        file = await self._open(part, path)
        if len(file.data) > self.settings.max_file:
            raise _too_large(f"The file is larger than the {self.settings.max_file} bytes allowed here.", file.param)
        kind = file.kind
        if kind.startswith("image/"):
            url = await _offload_if_large(
                len(file.data), lambda: f"data:{kind};base64,{base64.b64encode(file.data).decode()}"
            )
            detail = {"detail": part["detail"]} if part.get("detail") is not None else {}
            return {"type": "input_image", "image_url": url, **detail}
        if kind == "pdf":
            text = await self._pdf_text(file)
        else:
            text = await _offload_if_large(len(file.data), lambda: _plain_text(file))
        if len(text) > self.characters:
            raise _too_long(file.param)
        self.characters -= len(text)
        return {"type": "input_text", "text": _marked(file.name, text)}

    async def _open(self, part: Part, path: str) -> _File:
        """The bytes of a part, from wherever it has them."""
        sources = [key for key in _SOURCES if part.get(key) is not None]
        if not sources:
            raise missing(f"{path}.file_data")
        param = f"{path}.{sources[0]}"
        if len(sources) > 1:
            raise InvalidRequest(
                f"A file has one source: '{sources[0]}' and '{sources[1]}' were both given.",
                param=f"{path}.{sources[1]}",
                code="invalid_value",
            )
        name = part["filename"] if part.get("filename") is not None else ""
        for at, value in ((f"{path}.filename", name), (param, part[sources[0]])):
            if not isinstance(value, str):
                raise InvalidRequest(f"Invalid type for '{at}': expected a string.", param=at, code="invalid_type")
        if sources[0] == "file_id":
            raise unsupported(param, "there are no stored files here; send a data URL in 'file_data'.")
        if sources[0] == "file_url":
            return await self._fetched(part["file_url"], name, param)
        media, data = await _offload_if_large(len(part["file_data"]), lambda: _decoded(part["file_data"], param))
        return _File(param, name, media, data)

    async def _fetched(self, url: str, name: str, param: str) -> _File:
        if self.settings.file_urls == "refuse":
            raise unsupported(param, "files are not fetched here (setting file_urls); send a data URL in 'file_data'.")
        if not self.fetches:
            raise InvalidRequest(
                f"At most {FETCHES} files of a request are fetched.", param=param, code="invalid_file_url"
            )
        self.fetches -= 1
        public = self.settings.file_urls == "fetch"
        with self._clock(param):
            last, media, data = await fetch(url, self.settings.max_file, public=public, param=param)
        self.fetched += len(data)
        if self.fetched > self.settings.max_body:  # a request is as large as if it had brought its files along
            raise _too_large(f"The files have more than the {self.settings.max_body} bytes allowed here.", param)
        return _File(param, name or last, media, data)

    async def _pdf_text(self, file: _File) -> str:
        if find_spec("pypdf") is None:
            raise InvalidRequest(
                "PDFs cannot be read here: that takes pip install 'responses-shim[files]'.",
                param=file.param,
                code="unsupported_file",
            )
        async with _pdf_limiter():
            with self._clock(file.param):
                status, text = await _run(pdf.command(self.characters, self.seconds), file.data)
        if status == pdf.READ:
            return await _offload_if_large(len(text), text.decode)
        if status == pdf.TOO_LONG:
            raise _too_long(file.param)
        # A child that was killed was killed for what it took of memory or time.
        why = _UNREAD.get(pdf.DAMAGED if status < 0 else status)
        if why is None:
            raise ShimError("The process that reads PDFs failed.", param=file.param)
        raise InvalidRequest(f"The PDF could not be read: {why}.", param=file.param, code="invalid_file")

    @contextmanager
    def _clock(self, param: str) -> Iterator[None]:
        """Takes the time of what is in the block; InvalidRequest when all of it is spent."""
        start = anyio.current_time()
        with anyio.move_on_after(self.seconds) as scope:
            yield
        self.seconds -= anyio.current_time() - start
        if scope.cancelled_caught:
            raise InvalidRequest(
                f"The files took longer than {SECONDS:g} seconds to fetch and read.",
                param=param,
                code="file_timeout",
            )


def _decoded(value: str, param: str) -> tuple[str, bytes]:
    """Media type, perhaps empty, and bytes of a data URL or of bare base64."""
    media, payload = "", value
    with suppress(ValueError):
        if value[:5].lower() == "data:":
            head, payload = value[5:].split(",", 1)
            media, *options = [word.strip().lower() for word in head.split(";")]
            if "base64" not in options:
                return media, unquote_to_bytes(payload)
            payload = unquote(payload)
        if value:
            return media, base64.b64decode("".join(payload.split()), validate=True)
    raise InvalidRequest(
        "The file is neither a data URL (data:application/pdf;base64,…) nor base64.",
        param=param,
        code="invalid_file",
    )


def _plain_text(file: _File) -> str:
    """What decodes is text, whatever it is called; a NUL is in no text, and chat templates choke on it."""
    with suppress(UnicodeDecodeError):
        utf16 = file.data.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
        text = file.data.decode("utf-16" if utf16 else "utf-8-sig")
        if "\0" not in text:
            return text
    raise InvalidRequest(
        "The file cannot be read here: it is neither a PDF nor text in UTF-8 or UTF-16. Send images as 'input_image'.",
        param=file.param,
        code="unsupported_file",
    )


def _marked(name: str, text: str) -> str:
    shown = html.escape(name, quote=False).replace('"', "&quot;")
    shown = _CONTROL.sub(lambda found: f"&#{ord(found[0])};", shown)
    return f'<file name="{shown}">\n{text}\n</file>' if name else f"<file>\n{text}\n</file>"


def _too_long(param: str) -> InvalidRequest:
    return _too_large(f"The files have more text than the {CHARACTERS} characters allowed here.", param)


def _too_large(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="file_too_large")


async def _offload_if_large(size: int, work: Callable[[], Result]) -> Result:
    """As `offload_if_large`; what is done here has a turn of its own, for the files of a request may be many."""
    if size <= INLINE_LIMIT:
        await checkpoint()
    return await offload_if_large(size, work)


async def _run(command: list[str], data: bytes) -> tuple[int, bytes]:
    """Exit status and output of a child that reads its input before it says anything. Killed when cancelled."""
    try:
        process = await anyio.open_process(command, stderr=subprocess.DEVNULL, env={})
    except OSError:
        return 1, b""
    async with process:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(anyio.BrokenResourceError, OSError):  # it ended already; its status says why
            await process.stdin.send(data)
        await process.stdin.aclose()
        output = b"".join([part async for part in process.stdout])
        return await process.wait(), output


_LIMITER: RunVar[anyio.CapacityLimiter] = RunVar("responses_shim.pdfs")


def _pdf_limiter() -> anyio.CapacityLimiter:
    """One for all requests of an event loop: the machine is the host's. Who waits is not charged for it."""
    try:
        return _LIMITER.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(PDFS_AT_ONCE)
        _LIMITER.set(limiter)
        return limiter
