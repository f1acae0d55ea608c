"""Resource limits of parsing one document, and of OCR."""

from __future__ import annotations

from dataclasses import dataclass

from chatai_assets.domain.documents import MAX_FILE_BYTES, PARSE_MEMORY_BYTES, PARSE_S
from chatai_assets.domain.ocr import MAX_OCR_PAGES, OCR_BATCH_S, OCR_PAGE_S


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """Limits of parsing one document; the defaults keep every file under 30 s and 1 GB.

    Attributes:
        memory_bytes: private memory of the worker; below 1 GB because shared libraries add to its size.
        wall_s: wall time in seconds, after which the worker is killed.
        cpu_s: seconds of CPU for one file; enforced by the kernel, even when the parent is gone.
        start_s: seconds a worker may take to start.
        max_file_bytes: larger files are not opened.
        max_text_chars: characters of parsed text.
        max_pages: pages of a PDF.
        max_rows: rows of a table file, all sheets together.
        max_cell_chars: longer cells are cut.
        max_columns: further cells of a row are dropped.
        max_archive_bytes: total inflated size of the entries of an Office archive.
        max_archive_entries: number of files inside an Office archive.
        max_archive_ratio: inflated to compressed size of an entry above 1 MB; text has 5 to 50, a zip bomb 1,000.
        max_links: links stored of one document.
        max_files_per_child: a worker is replaced after so many files, in case a library leaks.
    """

    memory_bytes: int = PARSE_MEMORY_BYTES
    wall_s: float = PARSE_S
    cpu_s: int = 30
    start_s: float = 60.0
    max_file_bytes: int = MAX_FILE_BYTES
    max_text_chars: int = 20_000_000
    max_pages: int = 20_000
    max_rows: int = 500_000
    max_cell_chars: int = 10_000
    max_columns: int = 500
    max_archive_bytes: int = 2**30
    max_archive_entries: int = 10_000
    max_archive_ratio: int = 200
    max_links: int = 1_000
    max_files_per_child: int = 200


@dataclass(frozen=True, slots=True)
class OcrLimits:
    """Limits of OCR on scans and photos.

    Attributes:
        max_pages: pages of one document; further ones are not recognised.
        page_s: seconds of wall time, and of CPU, for one page.
        max_wait_s: seconds of wall time for the documents of one batch; the remaining pages wait for the next batch.
        max_lost: pages of one document that may time out or crash their worker; after that the others are skipped.
    """

    max_pages: int = MAX_OCR_PAGES
    page_s: int = OCR_PAGE_S
    max_wait_s: float = OCR_BATCH_S
    max_lost: int = 3
