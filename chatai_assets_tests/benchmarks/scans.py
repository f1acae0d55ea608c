"""How fast and how exactly the text on scans is recognised: passages of XQuAD, drawn as pages, clean and worn.

Worn pages have 150 dpi, lie askew by a degree, are blurred, spotted and packed as poor JPEG.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import tempfile
import time
from collections import Counter
from contextlib import closing
from difflib import SequenceMatcher
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from chatai_assets.adapters.parsers.limits import OcrLimits
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.pipeline.document_reader import DocumentReader, Upload
from chatai_assets.storage.engine import open_records
from chatai_assets_tests.support.scans import draw_text, write_scan

PASSAGES_PER_PAGE = 3
WORKERS = 2
A4_WIDTH = 1_654
"""Points of a page at 200 dpi."""


def load_texts(corpus: Path, language: str, pages: int) -> list[str]:
    """Return the texts of pages, some 2,300 characters each."""
    told = json.loads((corpus / "retrieval" / f"xquad.{language}.dev.json").read_text(encoding="utf-8"))
    passages = [" ".join(part["context"].split()) for article in told["data"] for part in article["paragraphs"]]
    starts = range(0, pages * PASSAGES_PER_PAGE, PASSAGES_PER_PAGE)
    return [" ".join(passages[start : start + PASSAGES_PER_PAGE]) for start in starts]


def wear(page: Image.Image) -> Image.Image:
    """Return a page as a poor scanner sees it; always the same one."""
    askew = page.rotate(1, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    small = askew.resize((askew.width * 3 // 4, askew.height * 3 // 4)).filter(ImageFilter.GaussianBlur(0.6))
    chance = random.Random(small.width)
    for _ in range(small.width * small.height // 200):
        small.putpixel((chance.randrange(small.width), chance.randrange(small.height)), chance.randrange(256))
    packed = BytesIO()
    small.save(packed, "JPEG", quality=40)
    return Image.open(packed)


def correct_shares(said: str, read: str) -> tuple[float, float]:
    """Return which shares of the characters and of the words were read."""
    matched = SequenceMatcher(None, said, read, autojunk=False).get_matching_blocks()
    words, found = (Counter(re.findall(r"\w+", text.lower())) for text in (said, read))
    return sum(block.size for block in matched) / len(said), (words & found).total() / words.total()


def measure(texts: list[str], pages: list[Image.Image], folder: Path) -> tuple[float, float, float, float]:
    """Return pages a second, the shares of characters and words, and the mean confidence in percent.

    The pages lie in two files, so that both workers have one.
    """
    halves = [write_scan(folder / f"{half}.pdf", pages[half::WORKERS]) for half in range(WORKERS)]
    records = open_records(f"sqlite:///{folder / 'records.sqlite'}")
    with closing(records), ParserPool(WORKERS) as pool:
        reader = DocumentReader(pool, records, OcrLimits(max_wait_s=3_600))
        started = time.monotonic()
        documents = list(reader.read_many(Upload(path, path.name, "default") for path in halves))
        seconds = time.monotonic() - started
    found: dict[int, tuple[float, float]] = {}
    sure: list[float] = []
    for half, document in enumerate(documents):
        if not isinstance(document, ParsedDocument) or document.recognition is None:
            raise document if isinstance(document, Exception) else RuntimeError("nothing was recognised")
        sure += document.recognition.pages.values()
        for page in document.pages:
            number = (page.number - 1) * WORKERS + half
            found[number] = correct_shares(texts[number], " ".join(document.text[page.start : page.end].split()))
    characters, words = (sum(each[place] for each in found.values()) / len(texts) for place in (0, 1))
    return len(texts) / seconds, characters, words, sum(sure) / len(sure)


def main(arguments: list[str]) -> None:
    """Print a table."""
    options = argparse.ArgumentParser(prog="scans", description=__doc__)
    options.add_argument("--pages", type=int, default=10)
    given = options.parse_args(arguments)
    corpus = Path(os.environ["CHATAI_CORPUS"])
    table = Table("pages", "pages/s", "characters", "words", "confidence", title=f"{given.pages} pages each")
    for language in ("ru", "en"):
        texts = load_texts(corpus, language, given.pages)
        clean = [draw_text(text, A4_WIDTH) for text in texts]
        for name, pages in (("clean", clean), ("worn", [wear(page) for page in clean])):
            with tempfile.TemporaryDirectory() as folder:
                speed, characters, words, confidence = measure(texts, pages, Path(folder))
            figures = (f"{speed:.2f}", f"{characters:.2%}", f"{words:.2%}", f"{confidence:.0f} %")
            table.add_row(f"{language}, {name}", *figures)
    Console().print(table)
