"""Reads images as documents without text whose pages are scans for OCR."""

from __future__ import annotations

from pathlib import Path

from chatai_assets.adapters.ocr.page_images import image_format, open_image
from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument


def read_image(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return an image as a document of scans; only TIFF may have several pages.

    Raises:
        UnreadableDocument: ``too_many_pages``, ``corrupt``.
    """
    document = DocumentBuilder(limits)
    with open_image(path) as image:
        document_format = image_format(image)
        count = getattr(image, "n_frames", 1) if document_format == "tiff" else 1
    if count > limits.max_pages:
        raise UnreadableDocument("too_many_pages", f"{count} pages, at most {limits.max_pages}")
    for number in range(1, count + 1):
        document.page(number, "")
    return document.finish(document_format, scans=range(1, count + 1))
