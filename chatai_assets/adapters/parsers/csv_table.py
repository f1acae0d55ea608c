"""Reads CSV and similar delimited tables with pandas, in chunks."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.encodings import Codec, detect_codec
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.tables import write_rows
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument

SAMPLE_CHARS = 2**16
SAMPLE_LINES = 100
CHUNK_ROWS = 5_000
CHUNK_CELLS = 500_000
MAX_WIDTH = 16_384
Quoting = Literal[0, 3]
QUOTINGS: tuple[Quoting, ...] = (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)
DELIMITERS = ",;\t|"


def read_csv(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return a table with any delimiter and encoding; rows may have too few or too many cells.

    Raises:
        UnreadableDocument: ``no_text``, ``too_much_text``, ``corrupt``.
    """
    codec = detect_codec(path)
    delimiter = detect_delimiter(path, codec)
    for quoting in QUOTINGS:
        document = DocumentBuilder(limits)
        try:
            write_rows(document, iter_rows(path, codec, delimiter, quoting), limits)
        except pd.errors.EmptyDataError as error:
            raise UnreadableDocument("no_text", "a table without rows") from error
        except pd.errors.ParserError:
            continue  # an unclosed quote: read the file again with quotes as ordinary characters
        return document.finish("csv")
    raise UnreadableDocument("corrupt", "rows cannot be told apart")


def detect_delimiter(path: Path, codec: Codec) -> str:
    """Return the delimiter: the character that occurs equally often in the most lines."""
    with path.open(encoding=codec.name, errors=codec.errors) as stream:
        lines = [line for line in stream.read(SAMPLE_CHARS).splitlines()[:SAMPLE_LINES] if line.strip()]
    return max(DELIMITERS, key=lambda delimiter: count_agreement([line.count(delimiter) for line in lines]))


def count_agreement(counts: list[int]) -> tuple[int, int]:
    """Return how many lines share the most common count above 0, and that count; larger is better."""
    present = Counter(count for count in counts if count)
    commonest, lines = present.most_common(1)[0] if present else (0, 0)
    return lines, commonest


def iter_rows(path: Path, codec: Codec, delimiter: str, quoting: Quoting) -> Iterator[list[str]]:
    """Yield the cells of every row. The file is read twice, in chunks: first to find its width."""
    with path.open(encoding=codec.name, errors=codec.errors) as stream:
        # pandas refuses rows wider than ``names``; delimiters within quotes only make the bound looser.
        width = min(1 + max((line.count(delimiter) for line in stream), default=0), MAX_WIDTH)
    with path.open(encoding=codec.name, errors=codec.errors, newline="") as stream:
        chunks = pd.read_csv(
            stream,
            sep=delimiter,
            header=None,
            names=list(range(width)),
            index_col=False,
            dtype=str,
            na_filter=False,
            quoting=quoting,
            chunksize=max(1, min(CHUNK_ROWS, CHUNK_CELLS // width)),
        )
        for chunk in chunks:
            yield from chunk.fillna("").to_numpy().tolist()
