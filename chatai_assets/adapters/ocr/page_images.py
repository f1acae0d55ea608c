"""Pages of scans and photos -> grey images for recognition, none larger than ``MAX_PIXELS``.

PDFium renders a page whatever its images are packed with (JBIG2, JPEG 2000, fax) and however they are put together,
which the images that pypdf gives of a page leave to do. Pillow reads what is no PDF, and knows the size of an image
before it unpacks it.
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

from chatai_assets.adapters.ocr.tesseract import DPI
from chatai_assets.adapters.parsers.formats import FORMATS
from chatai_assets.domain.errors import UnreadableDocument

PILLOW_FORMATS = tuple(spec.name.upper() for spec in FORMATS if spec.kind == "image")
POINTS_PER_INCH = 72
MAX_PIXELS = 25_000_000
"""A3 at 300 dpi has 17 million; larger pages are made smaller."""
MAX_SOURCE_PIXELS = 80_000_000
"""A larger image is not unpacked: this one has 240 MB in colours."""
MIN_CONTRAST = 16
"""Shades between the darkest and the lightest point of a page on which there is nothing."""

Image.MAX_IMAGE_PIXELS = None  # what is too large is refused here, by a fault of ours


@dataclass(frozen=True, slots=True)
class PageImage:
    """One page in shades of grey.

    Attributes:
        pixels: a byte each, row by row.
        is_blank: whether there is nothing on it.
    """

    width: int
    height: int
    pixels: bytes
    is_blank: bool

    @property
    def hash(self) -> str:
        """Sha256 of what is to be seen, in hex."""
        return sha256(f"{self.width}x{self.height} ".encode() + self.pixels).hexdigest()

    def as_pgm(self) -> bytes:
        """Return the image as a file that needs no library to be written."""
        return f"P5\n{self.width} {self.height}\n255\n".encode() + self.pixels


@lru_cache(maxsize=1)
def load_page_image(path: Path, is_pdf: bool, number: int) -> PageImage:  # noqa: FBT001
    """Return one page; the last one is kept, for it is asked for twice: for its hash, then to be read.

    Args:
        path: the file, a PDF or an image.
        number: 1-based.

    Raises:
        UnreadableDocument: ``archive_bomb``: more than ``MAX_SOURCE_PIXELS``; damaged files raise anything else too.
    """
    return _render_pdf_page(path, number) if is_pdf else _load_image_page(path, number)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Give an image whose size is known and which is not unpacked yet.

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
    """Return the format of an image as in ``ParsedDocument.format``; MPO is a phone's JPEG with more behind it."""
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
    """Return an image without transparency: letters are often black on nothing."""
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
