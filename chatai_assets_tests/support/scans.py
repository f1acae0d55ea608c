"""Draws scans and photos for tests."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from pypdf import PdfWriter

FONT = "DejaVuSans.ttf"
SIZE = 32
MARGIN = 60
WIDTH = 1_600


class MissingFont(Exception):
    """No font with both alphabets is installed."""


def font(size: int) -> ImageFont.FreeTypeFont:
    """Return a font with Cyrillic letters; Pillow searches the system's font folders."""
    try:
        return ImageFont.truetype(FONT, size)
    except OSError as error:
        raise MissingFont(f"{FONT} is not installed; on Debian: apt-get install fonts-dejavu-core") from error


def draw_text(text: str, width: int = WIDTH, height: int | None = None) -> Image.Image:
    """Return a page with a text on it, by default as high as the text."""
    letters, lines = font(SIZE), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        fits = letters.getlength(longer) <= width - 2 * MARGIN
        lines = [*lines[:-1], longer] if fits else [*lines, word]
    step = SIZE * 3 // 2
    page = Image.new("L", (width, height or 2 * MARGIN + step * len(lines)), 255)
    for number, line in enumerate(lines):
        ImageDraw.Draw(page).text((MARGIN, MARGIN + number * step), line, font=letters, fill=20)
    return page


def draw_shapes() -> Image.Image:
    """Return a picture without text."""
    picture = Image.new("L", (800, 600), 230)
    for number in range(40):
        corner = (number * 197 % 700, number * 131 % 500)
        box = (*corner, corner[0] + 20 + number * 3, corner[1] + 90 - number * 2)
        ImageDraw.Draw(picture).ellipse(box, outline=number * 3, width=1 + number % 5)
    return picture


def write_scan(path: Path, pages: Sequence[Image.Image | Path]) -> Path:
    """Write a PDF of images, each as wide as A4, and of the first pages of other PDFs."""
    writer = PdfWriter()
    for page in pages:
        if isinstance(page, Path):
            writer.append(page, pages=(0, 1))
            continue
        packed = BytesIO()
        page.copy().save(packed, "PDF", resolution=page.width / 8.27)
        writer.append(packed)
    writer.write(path)
    return path
