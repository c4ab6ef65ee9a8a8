"""Makes PDFs for tests."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject


def pdf_of(*texts: str, **encryption: Any) -> bytes:
    """A PDF with a page for each text (ASCII; an empty text makes an empty page).

    It is encrypted if `user_password` is given; the keyword arguments are those of pypdf's `PdfWriter.encrypt`.
    """
    return drawn(*(f"BT /F1 12 Tf 40 700 Td ({text}) Tj ET".encode() if text else b"" for text in texts), **encryption)


def drawn(*contents: bytes, **encryption: Any) -> bytes:
    """A PDF with a page for each content stream. The streams are compressed; the font /F1 is Helvetica."""
    writer = PdfWriter()
    for content in contents:
        page = writer.add_blank_page(width=600, height=800)
        font = DictionaryObject()
        for key, value in (("/Type", "/Font"), ("/Subtype", "/Type1"), ("/BaseFont", "/Helvetica")):
            font[NameObject(key)] = NameObject(value)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        stream.set_data(content)
        page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    if encryption:
        writer.encrypt(**encryption)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()
