"""Requests with files, small enough to be read before anybody is asked who their client is."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from tests.runtime.pdfs import pdf_of

REQUEST: dict[str, Any] = {"model": "scripted", "input": "Hi"}


def file(data: bytes, media: str) -> dict[str, Any]:
    return {"type": "input_file", "filename": "a", "file_data": f"data:{media};base64,{b64encode(data).decode()}"}


def with_part(part: dict[str, Any]) -> dict[str, Any]:
    return {**REQUEST, "input": [{"role": "user", "content": [part]}]}


PDF = with_part(file(pdf_of("Hello"), "application/pdf"))
URL = with_part({"type": "input_file", "file_url": "https://files.test/a.txt"})
