"""How much is worked on at once, and what one file may cost."""

import os
from typing import Annotated, Literal

from pydantic import Field

from chatai_assets.domain.documents import MAX_FILE_BYTES, PARSE_MEMORY_BYTES, PARSE_S
from chatai_assets.domain.ocr import MAX_OCR_PAGES, OCR_BATCH_S, OCR_PAGE_S
from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.values import Count, Megabytes, Seconds, WholeNumber, WholeSeconds, one_of

LARGEST_BATCH = 10_000
"""SQLite takes 32,766 values in one statement, and a batch names each item by two."""
MAX_PROCESSES = 4

Posts = Annotated[int, WholeNumber("posts")]
PostBatch = Annotated[int, WholeNumber("posts", most=LARGEST_BATCH)]
Documents = Annotated[int, WholeNumber("documents")]
DocumentBatch = Annotated[int, WholeNumber("documents", most=LARGEST_BATCH)]


def default_processes() -> int:
    """Return how many child processes run by default: one per core, at most ``MAX_PROCESSES``."""
    return min(os.cpu_count() or 1, MAX_PROCESSES)


class StreamLimits(SettingsGroup):
    """How much of a stream is worked on at once.

    Attributes:
        run_items: items of one run; more wait for the next tick.
        batch_items: items of one transaction.
        projection_items: items whose points or edges are written under one lock of their store, held about a second.
    """

    run_items: int
    batch_items: int
    projection_items: int


class PostLimits(StreamLimits):
    """The limits of posts."""

    run_items: Posts = Field(default=2_000, validation_alias="CHATAI_RUN_POSTS", description="of one run")
    batch_items: PostBatch = Field(
        default=1_000, validation_alias="CHATAI_BATCH_POSTS", description="of one transaction"
    )
    projection_items: int = 3_000


class DocumentLimits(StreamLimits):
    """The limits of documents."""

    run_items: Documents = Field(default=200, validation_alias="CHATAI_RUN_DOCUMENTS", description="of one run")
    batch_items: DocumentBatch = Field(
        default=20, validation_alias="CHATAI_BATCH_DOCUMENTS", description="of one transaction"
    )
    projection_items: int = 50


class ParserSettings(SettingsGroup):
    """What a file may cost."""

    workers: Count = Field(
        default_factory=default_processes,
        validation_alias="CHATAI_PARSER_PROCESSES",
        description="child processes that parse files",
        json_schema_extra={"default_text": f"one per core, at most {MAX_PROCESSES}"},
    )
    wall_s: Seconds = Field(
        default=PARSE_S, validation_alias="CHATAI_PARSER_DEADLINE_S", description="how long one file may take to parse"
    )
    memory_bytes: Megabytes = Field(
        default=PARSE_MEMORY_BYTES,
        validation_alias="CHATAI_PARSER_MEMORY_MB",
        description="memory of one parser process",
    )
    max_file_bytes: Megabytes = Field(
        default=MAX_FILE_BYTES,
        validation_alias="CHATAI_MAX_FILE_MB",
        description="size of a file; larger ones are refused",
    )


class OcrSettings(SettingsGroup):
    """What recognising the text on scans and photos may cost."""

    mode: Annotated[Literal["auto", "off"], one_of("auto", "off")] = Field(
        default="auto",
        validation_alias="CHATAI_OCR",
        description="text on scans and photos is recognised where tesseract is installed; `off`: they are refused",
    )
    max_pages: Annotated[int, WholeNumber("pages")] = Field(
        default=MAX_OCR_PAGES, validation_alias="CHATAI_OCR_PAGES", description="of one scan that are read"
    )
    page_s: WholeSeconds = Field(
        default=OCR_PAGE_S,
        validation_alias="CHATAI_OCR_PAGE_DEADLINE_S",
        description="how long one page of a scan may take",
    )
    max_wait_s: WholeSeconds = Field(
        default=OCR_BATCH_S,
        validation_alias="CHATAI_OCR_PATIENCE_S",
        description="how long the scans of one batch may take before the rest is left to the next batch",
    )
