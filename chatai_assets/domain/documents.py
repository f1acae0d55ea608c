"""The parsed document, and the errors that people see for unreadable files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chatai_assets.domain.ocr import OcrResult

PARSE_S = 30
"""Seconds one file may take to parse."""
PARSE_MEMORY_BYTES = 900 << 20
"""Private memory of the process that parses a file; below 1 GB by what shared libraries add to its size."""
MAX_FILE_BYTES = 512 << 20
"""Larger files are refused."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a parsed document.

    Attributes:
        number: 1-based.
        start: offset of its first character in the parsed text.
        end: offset after its last character.
    """

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its position.

    Attributes:
        level: 1 for the outermost.
        title: text of the heading.
        start: offset of the heading in the parsed text.
    """

    level: int
    title: str
    start: int


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """Text of a document with its structure; all offsets are in Python characters of ``text``.

    Attributes:
        text: normalised (NFC, ``\\n`` line ends, no control characters), paragraphs separated by a blank line.
        format: a name in ``adapters.parsers.formats``, e.g. ``"docx"``.
        title: from the file's metadata or its first heading; None if it has neither.
        pages: empty for formats without pages.
        sections: in text order.
        links: absolute http(s) URLs, each once.
        notes: remarks on parts that could not be read, in English and without text of the document.
        scans: numbers of the pages that show something but have no text layer.
        recognition: result of OCR on such pages; None if there was no OCR.
    """

    text: str
    format: str
    title: str | None = None
    pages: tuple[Page, ...] = ()
    sections: tuple[Section, ...] = ()
    links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scans: tuple[int, ...] = ()
    recognition: OcrResult | None = None

    @property
    def has_text(self) -> bool:
        """Whether it has any letter or digit: dashes and bullets alone are not text."""
        return any(char.isalnum() for char in self.text)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a document cannot be read, as shown to the person who uploaded it.

    Attributes:
        ru: one sentence in Russian.
        en: one sentence in English.
    """

    ru: str
    en: str


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "empty_file": Fault(ru="Файл пуст.", en="The file is empty."),
        "no_text": Fault(ru="В документе нет текста.", en="The document contains no text."),
        "no_text_layer": Fault(
            ru="В этом PDF нет текстового слоя: похоже, это скан. Загрузите документ с распознанным текстом.",
            en="This PDF has no text layer: it looks like a scan. Upload a version with recognised text.",
        ),
        "no_ocr": Fault(
            ru="Это скан или снимок, а программа распознавания текста (tesseract) не установлена.",
            en="This is a scan or a photo, and the program that recognises text (tesseract) is not installed.",
        ),
        "no_text_recognised": Fault(
            ru="На страницах этого скана или снимка не удалось распознать текст. Загрузите более чёткий.",
            en="No text could be recognised on the pages of this scan or photo. Upload a clearer one.",
        ),
        "encrypted": Fault(
            ru="Документ защищён паролем. Снимите защиту и загрузите его снова.",
            en="The document is protected by a password. Remove the protection and upload it again.",
        ),
        "corrupt": Fault(
            ru="Файл повреждён или загружен не полностью. Сохраните его заново и загрузите ещё раз.",
            en="The file is damaged or incomplete. Save it anew and upload it again.",
        ),
        "unsupported_type": Fault(
            ru="Файлы этого типа не поддерживаются. Подойдут PDF, DOCX, TXT, MD, HTML, CSV, XLSX и снимки.",
            en="Files of this type are not supported. PDF, DOCX, TXT, MD, HTML, CSV, XLSX and photos are.",
        ),
        "forbidden_xml": Fault(
            ru="Файл содержит опасные объявления XML (DTD), которых в документе быть не должно.",
            en="The file contains dangerous XML declarations (a DTD), which no document needs.",
        ),
        "too_large": Fault(ru="Файл слишком велик.", en="The file is too large."),
        "too_much_text": Fault(
            ru="В документе слишком много текста. Разделите его на части.",
            en="The document contains too much text. Split it into parts.",
        ),
        "too_many_pages": Fault(
            ru="В документе слишком много страниц. Разделите его на части.",
            en="The document has too many pages. Split it into parts.",
        ),
        "archive_bomb": Fault(
            ru="Содержимое файла при распаковке недопустимо велико.",
            en="The contents of the file are inadmissibly large when unpacked.",
        ),
        "memory_limit": Fault(
            ru="Для чтения документа не хватило памяти. Упростите его или разделите на части.",
            en="Reading the document took too much memory. Simplify it or split it into parts.",
        ),
        "timeout": Fault(
            ru="Чтение документа заняло слишком много времени. Упростите его или разделите на части.",
            en="Reading the document took too long. Simplify it or split it into parts.",
        ),
        "parser_crashed": Fault(
            ru="Программа чтения аварийно завершилась на этом файле. Сохраните его заново и загрузите ещё раз.",
            en="The reader crashed on this file. Save it anew and upload it again.",
        ),
        "internal": Fault(
            ru="Документ не удалось обработать: ошибка на нашей стороне. Мы уже знаем о ней.",
            en="The document could not be processed: the fault is on our side. We know of it.",
        ),
        "missing": Fault(
            ru="Файл не найден или недоступен для чтения.",
            en="The file is not there or cannot be opened.",
        ),
    }
)
"""Code of ``errors.UnreadableDocument`` -> sentence. Codes are stored with dead letters: never rename one."""


def sentence(code: str, language: str) -> str:
    """Return the sentence that people see for an error code.

    Args:
        code: a key of ``FAULTS``; any other counts as ``"corrupt"``, so that old dead letters can always be shown.
        language: ``"ru"``, or anything else for English.
    """
    fault = FAULTS.get(code, FAULTS["corrupt"])
    return fault.ru if language == "ru" else fault.en
