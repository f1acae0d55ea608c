"""What one document may cost, and the scans of many."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """Limits of one parse; the defaults keep every file under 30 s and 1 GB.

    Attributes:
        memory_bytes: private memory of the child process; below 1 GB by what shared libraries add to its size.
        wall_s: seconds by the clock before the child is killed.
        cpu_s: seconds of CPU for one file; the kernel stops a child that spins even where the parent is gone.
        start_s: seconds a child may take to start.
        max_file_bytes: a larger file is not opened.
        max_text_chars: characters of parsed text.
        max_pages: pages of a PDF.
        max_rows: rows of a table file, all sheets together.
        max_cell_chars: a longer cell is cut.
        max_columns: further cells of a row are dropped.
        max_archive_bytes: what all entries of a DOCX or XLSX may inflate to.
        max_archive_entries: files inside a DOCX or XLSX.
        max_archive_ratio: inflated against packed size of one entry above 1 MB; text has 5 to 50, a bomb 1,000.
        max_links: links kept of one document.
        max_files_per_child: a child is replaced after so many files, whatever leaked.
    """

    memory_bytes: int = 900 * 2**20
    wall_s: float = 30.0
    cpu_s: int = 30
    start_s: float = 60.0
    max_file_bytes: int = 200 * 2**20
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
    """What recognising the text on scans and photos may cost.

    Attributes:
        max_pages: pages of one document; further ones are not recognised.
        page_s: seconds by the clock, and of CPU, for one page.
        patience_s: seconds by the clock for the documents of one batch; pages that are left wait for the next one.
        max_lost: pages of one document that may use up their time or end their child; the others are then left out.
    """

    max_pages: int = 200
    page_s: int = 60
    max_wait_s: float = 120.0
    max_lost: int = 3
