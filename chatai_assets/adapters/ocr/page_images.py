"""Pages of scans and photos -> greyscale images for OCR, none larger than ``MAX_PIXELS``.

PDFium renders a page whatever its images are compressed with (JBIG2, JPEG 2000, fax) and however they are combined;
pypdf would only extract the single images of a page. Pillow reads all other images, and knows the size of one before
decompressing it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import pypdfium2
from PIL import Image, ImageOps

from chatai_assets.adapters.parsers.formats import FORMATS
from chatai_assets.domain.errors import UnreadableDocument
from chatai_assets.domain.ocr import DPI

PILLOW_FORMATS = tuple(spec.name.upper() for spec in FORMATS if spec.kind == "image")
POINTS_PER_INCH = 72
MAX_PIXELS = 25_000_000
"""A3 at 300 dpi has 17 million; larger pages are scaled down."""
MAX_SOURCE_PIXELS = 80_000_000
"""A larger image is not decompressed; one of this size takes 240 MB in colour."""
MIN_CONTRAST = 16
"""Difference of the darkest and the lightest shade (0..255) below which a page is blank."""

Image.MAX_IMAGE_PIXELS = None  # this module has its own limit, with its own error


@dataclass(frozen=True, slots=True)
class PageImage:
    """One page in greyscale.

    Attributes:
        pixels: one byte a pixel, row by row.
        is_blank: whether the page shows nothing.
    """

    width: int
    height: int
    pixels: bytes
    is_blank: bool

    @property
    def hash(self) -> str:
        """SHA-256 of size and pixels, in hex."""
        return sha256(f"{self.width}x{self.height} ".encode() + self.pixels).hexdigest()

    def as_pgm(self) -> bytes:
        """Return the image as a PGM file."""
        return f"P5\n{self.width} {self.height}\n255\n".encode() + self.pixels


@lru_cache(maxsize=1)
def load_page_image(path: Path, is_pdf: bool, number: int) -> PageImage:  # noqa: FBT001
    """Return one page. The last one is cached because it is requested twice: for its hash, then for OCR.

    Args:
        path: of a PDF or an image.
        number: 1-based.

    Raises:
        UnreadableDocument: ``archive_bomb`` if it has more than ``MAX_SOURCE_PIXELS``. Damaged files may raise any
            exception of the libraries.
    """
    return _render_pdf_page(path, number) if is_pdf else _load_image_page(path, number)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image: its size is known, its pixels are not decompressed yet.

    Raises:
        UnreadableDocument: ``corrupt``.
    """
    try:
        image = Image.open(path, formats=PILLOW_FORMATS)
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableDocument("corrupt", f"no image inside ({type(error).__name__})") from error
    with image:
        yield image


def image_format(image: Image.Image) -> str:
    """Return the format of an image as in ``ParsedDocument.format``; MPO is a JPEG of a phone with extra images."""
    return {"MPO": "jpeg"}.get(name := image.format or "", name.lower())


def _render_pdf_page(path: Path, number: int) -> PageImage:
    with closing(pypdfium2.PdfDocument(path)) as document:
        page = document[number - 1]
        width, height = page.get_size()
        scale = min(DPI / POINTS_PER_INCH, math.sqrt(MAX_PIXELS / max(1.0, width * height)))
        return _to_page_image(page.render(scale=scale, grayscale=True).to_pil())


def _load_image_page(path: Path, number: int) -> PageImage:
    with open_image(path) as image:
        image.seek(number - 1)
        if image.width * image.height > MAX_SOURCE_PIXELS:
            raise UnreadableDocument("archive_bomb", f"an image of {image.width} x {image.height} pixels")
        return _to_page_image(ImageOps.exif_transpose(_flatten_on_white(image)))


def _flatten_on_white(image: Image.Image) -> Image.Image:
    """Return an image without transparency, on white: text is often black on a transparent background."""
    if not image.has_transparency_data:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def _to_page_image(image: Image.Image) -> PageImage:
    grey = image.convert("L")
    if grey.width * grey.height > MAX_PIXELS:
        factor = math.sqrt(MAX_PIXELS / (grey.width * grey.height))
        grey.thumbnail((max(1, int(grey.width * factor)), max(1, int(grey.height * factor))))
    shades = [shade for shade, count in enumerate(grey.histogram()) if count]
    return PageImage(grey.width, grey.height, grey.tobytes(), shades[-1] - shades[0] < MIN_CONTRAST)
