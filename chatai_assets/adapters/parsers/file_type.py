"""What a file is, by its content; its name only decides between kinds of text."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePath

from chatai_assets.adapters.parsers.encodings import blocks_of, codec_of_bytes
from chatai_assets.domain.errors import UnreadableDocument

HEAD_BYTES = 2**16
PDF_MARK_WITHIN = 1024
CONTENT_TYPES_BYTES = 2**20
OLE2 = bytes.fromhex("d0cf11e0a1b11ae1")
OLE2_STREAMS = (
    ("EncryptedPackage", "encrypted"),
    ("WordDocument", "doc"),
    ("Workbook", "xls"),
    ("PowerPoint Document", "ppt"),
    ("__substg1.0_", "msg"),
)
SIGNATURES = (
    (b"{\\rtf", "rtf"),
    (b"GIF8", "gif"),
    (b"RIFF", "riff media"),
    (b"%!PS", "postscript"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "rar"),
    (b"AT&TFORM", "djvu"),
    (b"\x7fELF", "executable"),
    (b"SQLite format 3", "sqlite"),
    (b"ID3", "mp3"),
    (b"OggS", "ogg"),
    (b"PAR1", "parquet"),
)
IMAGES = (
    (re.compile(rb"\x89PNG"), "png"),
    (re.compile(rb"\xff\xd8\xff"), "jpeg"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "tiff"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp"),
)
OPEN_DOCUMENT = re.compile(r"application/(?:vnd\.oasis\.opendocument\.(\w+)|(epub)\+zip)")
OPEN_DOCUMENT_NAMES = {"text": "odt", "spreadsheet": "ods", "presentation": "odp"}
MAIN_PARTS = (
    ("wordprocessingml.document.main+xml", "docx"),
    ("wordprocessingml.template.main+xml", "docx"),
    ("ms-word.document.macroenabled.main+xml", "docx"),
    ("ms-word.template.macroenabledtemplate.main+xml", "docx"),
    ("spreadsheetml.sheet.main+xml", "xlsx"),
    ("spreadsheetml.template.main+xml", "xlsx"),
    ("ms-excel.sheet.macroenabled.main+xml", "xlsx"),
    ("ms-excel.sheet.binary", "xlsb"),
    ("presentationml", "pptx"),
)
READABLE_ARCHIVES = frozenset({"docx", "xlsx"})
TEXT_SUFFIXES = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".text": "text",
    ".log": "text",
}
HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})
BINARY_SUFFIXES = frozenset({".pdf", ".docx", ".xlsx"})
HTML_OPENING = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.DOTALL | re.IGNORECASE
)
HTML_TAG = re.compile(r"<(?:p|div|table|h[1-6]|ul|ol|meta|title|span|br|a)\b[^>]*>", re.IGNORECASE)
XML_OPENING = re.compile(r"\s*<\?xml\s")
MAIL_HEADER = re.compile(
    r"^(?:From|To|Subject|Date|Received|Return-Path|Message-ID|MIME-Version|Content-Type):\s",
    re.MULTILINE | re.IGNORECASE,
)
MARKDOWN_HEADING = re.compile(r"^#{1,6} \S", re.MULTILINE)
DELIMITERS = ",;\t|"


def detect_file_type(path: Path, name: str) -> str:
    """Return the format of a file, as in ``ParsedDocument.format``.

    Args:
        path: where its bytes are.
        name: what its owner called it, e.g. ``"Отчёт.docx"``; may lie.

    Raises:
        UnreadableDocument: ``empty_file``, ``unsupported_type``, ``encrypted``, ``corrupt``.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    suffix = PurePath(name).suffix.lower()
    if not head:
        raise UnreadableDocument("empty_file", "0 bytes")
    if b"%PDF-" in head[:PDF_MARK_WITHIN]:
        return "pdf"
    if head.startswith(b"PK"):
        return archive_format(path, suffix)
    if head.startswith(OLE2):
        raise ole2_fault(path)
    for opening, kind in IMAGES:
        if opening.match(head):
            return kind
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            raise UnreadableDocument("unsupported_type", kind)
    return text_format(head, suffix)


def archive_format(path: Path, suffix: str) -> str:
    """Return which office format a zip archive holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            kind = archive_kind(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UnreadableDocument("corrupt", f"damaged zip archive ({type(error).__name__})") from error
    if kind in READABLE_ARCHIVES:
        return kind
    if kind == "zip" and suffix in BINARY_SUFFIXES:
        raise UnreadableDocument("corrupt", f"a zip archive without the parts of a {suffix[1:]}")
    raise UnreadableDocument("unsupported_type", kind)


def archive_kind(archive: zipfile.ZipFile) -> str:
    """Return the kind of an archive by its own declarations, ``"zip"`` where it makes none."""
    names = set(archive.namelist())
    if "mimetype" in names:
        with archive.open("mimetype") as stream:
            declared = OPEN_DOCUMENT.match(stream.read(200).decode("ascii", "replace"))
        if declared:
            return declared[2] or OPEN_DOCUMENT_NAMES.get(declared[1], declared[1])
    if "[Content_Types].xml" in names:
        with archive.open("[Content_Types].xml") as stream:
            types = stream.read(CONTENT_TYPES_BYTES).decode("utf-8", "replace").lower()
        for part, kind in MAIN_PARTS:
            if part in types:
                return kind
    if "word/document.xml" in names:
        return "docx"
    return "xlsx" if "xl/workbook.xml" in names else "zip"


def ole2_fault(path: Path) -> UnreadableDocument:
    """Return what to say of an OLE2 file: an old Office format, or a new one under a password."""
    tail = b""
    found: set[str] = set()
    for block in blocks_of(path):
        window = tail + block
        found.update(kind for stream, kind in OLE2_STREAMS if stream.encode("utf-16-le") in window)
        tail = window[-64:]
    if "encrypted" in found:
        return UnreadableDocument("encrypted", "an Office document under a password")
    kind = next((kind for _, kind in OLE2_STREAMS if kind in found), "unknown content")
    return UnreadableDocument("unsupported_type", f"OLE2: {kind}")


def text_format(head: bytes, suffix: str) -> str:
    """Return which kind of text a file is."""
    codec = codec_of_bytes(trimmed(head))
    text = head.decode(codec.name, "replace")
    if binary(text):
        raise UnreadableDocument("corrupt" if suffix in BINARY_SUFFIXES else "unsupported_type", "binary data")
    if suffix in BINARY_SUFFIXES and not HTML_OPENING.match(text):
        raise UnreadableDocument("corrupt", f"plain text named {suffix}")
    if HTML_OPENING.match(text.lstrip("\ufeff")) or (suffix in HTML_SUFFIXES and HTML_TAG.search(text)):
        return "html"
    if XML_OPENING.match(text):
        raise UnreadableDocument("unsupported_type", "xml")
    if suffix == ".eml" or (suffix not in TEXT_SUFFIXES and is_mail(text)):
        raise UnreadableDocument("unsupported_type", "eml")
    return TEXT_SUFFIXES.get(suffix) or ("text" if suffix in HTML_SUFFIXES else unnamed_text_format(text))


def trimmed(head: bytes) -> bytes:
    """Return ``head`` without a last character that the reading cut in two, as far as UTF-8 goes."""
    return head if len(head) < HEAD_BYTES else head[: head.rfind(b"\n") + 1 or len(head) - 3]


def binary(text: str) -> bool:
    """Return whether decoded bytes are no text: more than a tenth control characters, NUL aside."""
    controls = sum(sign < " " and sign not in "\t\n\r\f\x00\x1b" for sign in text)
    return controls > (len(text) - text.count("\x00")) / 10


def is_mail(text: str) -> bool:
    """Return whether a text begins with the header of a mail."""
    return len(MAIL_HEADER.findall(text[:2000].partition("\n\n")[0])) >= 3


def unnamed_text_format(text: str) -> str:
    """Return the kind of a text whose name says nothing."""
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    for delimiter in DELIMITERS:
        counts = {line.count(delimiter) for line in lines[:-1]}
        if len(lines) > 3 and len(counts) == 1 and 0 not in counts:
            return "csv"
    return "markdown" if len(MARKDOWN_HEADING.findall(text)) >= 2 else "text"
