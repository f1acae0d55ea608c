"""Reads DOCX through mammoth's document model.

mammoth's HTML is not used: building and parsing it takes six times as long as the model, and pictures would be unpacked
into it (8 MB for one file of our corpus). In the model a picture is a reference that is never opened.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from mammoth import documents
from mammoth.docx import read as read_model

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.ooxml import check_archive
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument

HEADING_STYLE = re.compile(r"^(?:heading|заголовок)\s*(\d)", re.IGNORECASE)
TITLE_STYLES = frozenset({"title", "название", "заглавие"})
CELL_GAP = " | "


def read_docx(path: Path, limits: ParserLimits) -> ParsedDocument:
    """Return the body of a Word document, then its notes; headings become sections, a table row one line.

    Raises:
        UnreadableDocument: ``archive_bomb``, ``encrypted``, ``forbidden_xml``, ``corrupt``, ``no_text``,
            ``too_much_text``.
    """
    check_archive(path, limits)
    try:
        with path.open("rb") as stream:
            model = read_model(stream).value
    except RecursionError as error:
        raise UnreadableDocument("corrupt", "nested too deeply") from error
    except (zipfile.BadZipFile, ExpatError, OSError, LookupError, AttributeError, TypeError, ValueError) as error:
        raise UnreadableDocument("corrupt", f"not a Word document inside ({type(error).__name__})") from error
    document = DocumentBuilder(limits)
    write_blocks(document, model.children)
    for note in collect_notes(model):
        write_blocks(document, note.body)
    return document.finish("docx")


def collect_notes(model: Any) -> list[Any]:
    """Return footnotes and endnotes in the order of their first reference, each once."""
    notes = {}
    for element in iter_elements(model.children):
        if isinstance(element, documents.NoteReference):
            try:
                notes[element.note_type, element.note_id] = model.notes.resolve(element)
            except KeyError:
                continue  # a reference to a missing note
    return list(notes.values())


def iter_elements(elements: Iterable[Any]) -> Iterator[Any]:
    """Yield all elements of a tree in document order, parents first."""
    pending = list(elements)[::-1]
    while pending:
        element = pending.pop()
        yield element
        pending.extend(reversed(getattr(element, "children", ())))


def write_blocks(document: DocumentBuilder, elements: Iterable[Any]) -> None:
    """Write paragraphs, list items and tables, one block each; a list is one block."""
    items: list[str] = []
    for element in elements:
        item = list_item_text(element, document)
        if item is not None:
            items.append(item)
            continue
        document.paragraph("\n".join(items))
        items.clear()
        write_block(document, element)
    document.paragraph("\n".join(items))


def list_item_text(element: Any, document: DocumentBuilder) -> str | None:
    """Return a list item as a line indented by its level; None for any other element."""
    if not isinstance(element, documents.Paragraph) or element.numbering is None or heading_level(element):
        return None
    text = element_text(element, document).strip()
    return f"{'  ' * int(element.numbering.level_index)}- {text}" if text else ""


def write_block(document: DocumentBuilder, element: Any) -> None:
    """Write one element of the body."""
    if isinstance(element, documents.Table):
        document.paragraph("\n".join(row_line(row, document) for row in element.children))
    elif isinstance(element, documents.Paragraph) and (level := heading_level(element)):
        document.heading(level, element_text(element, document))
    else:
        document.paragraph(element_text(element, document))


def heading_level(paragraph: Any) -> int | None:
    """Return the level of a heading by its style; None for other paragraphs."""
    for style in (paragraph.style_name, paragraph.style_id):
        match = HEADING_STYLE.match(style or "")
        if match:
            return max(1, int(match[1]))
        if (style or "").lower() in TITLE_STYLES:
            return 1
    return None


def row_line(row: Any, document: DocumentBuilder) -> str:
    """Return the cells of a row in one line, nested tables included."""
    cells = (" ".join(element_text(cell, document).split()) for cell in getattr(row, "children", ()))
    return CELL_GAP.join(cells).strip()


def element_text(element: Any, document: DocumentBuilder) -> str:
    """Return the text of an element and its descendants, and add its links to ``document``."""
    parts: list[str] = []
    for node in iter_elements([element]):
        if isinstance(node, documents.Text):
            parts.append(node.value)
        elif isinstance(node, documents.Tab):
            parts.append("\t")
        elif isinstance(node, documents.Break | documents.Paragraph | documents.TableCell):
            parts.append("\n")
        elif isinstance(node, documents.Hyperlink) and node.href:
            document.link(node.href)
    return "".join(parts)
