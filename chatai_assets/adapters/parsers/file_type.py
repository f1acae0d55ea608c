"""Detects the format of a file from its content; the name only decides between text formats."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePath

from chatai_assets.adapters.parsers.encodings import detect_codec_of_bytes, read_blocks
from chatai_assets.adapters.parsers.formats import BINARY_SUFFIXES, FORMATS, HTML_SUFFIXES, TEXT_SUFFIXES
from chatai_assets.domain.errors import UnreadableDocument

HEAD_BYTES = 2**16
CONTENT_TYPES_BYTES = 2**20
OLE2 = bytes.fromhex("d0cf11e0a1b11ae1")
OLE2_STREAMS = (
    ("EncryptedPackage", "encrypted"),
    ("WordDocument", "doc"),
    ("Workbook", "xls"),
    ("PowerPoint Document", "ppt"),
    ("__substg1.0_", "msg"),
)
UNREADABLE_SIGNATURES = (
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
OPEN_DOCUMENT = re.compile(r"application/(?:vnd\.oasis\.opendocument\.(\w+)|(epub)\+zip)")
OPEN_DOCUMENT_NAMES = {"text": "odt", "spreadsheet": "ods", "presentation": "odp"}
UNREADABLE_CONTENT_TYPES = (("ms-excel.sheet.binary", "xlsb"), ("presentationml", "pptx"))
"""Office formats without a reader, named in the error; the content types of ``formats`` are tried first."""
OFFICE_FORMATS = tuple(spec for spec in FORMATS if spec.content_types)
CONTENT_TYPES = (
    *((content_type, spec.name) for spec in OFFICE_FORMATS for content_type in spec.content_types),
    *UNREADABLE_CONTENT_TYPES,
)
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
    for spec in FORMATS:
        if spec.signature is not None and spec.signature.match(head):
            return spec.name
    if head.startswith(b"PK"):
        return detect_archive_format(path, suffix)
    if head.startswith(OLE2):
        raise ole2_error(path)
    for signature, kind in UNREADABLE_SIGNATURES:
        if head.startswith(signature):
            raise UnreadableDocument("unsupported_type", kind)
    return detect_text_format(head, suffix)


def detect_archive_format(path: Path, suffix: str) -> str:
    """Return which Office format a zip archive holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            kind = find_archive_kind(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UnreadableDocument("corrupt", f"damaged zip archive ({type(error).__name__})") from error
    if any(spec.name == kind for spec in OFFICE_FORMATS):
        return kind
    if kind == "zip" and suffix in BINARY_SUFFIXES:
        raise UnreadableDocument("corrupt", f"a zip archive without the parts of a {suffix[1:]}")
    raise UnreadableDocument("unsupported_type", kind)


def find_archive_kind(archive: zipfile.ZipFile) -> str:
    """Return the kind of an archive as it declares it, ``"zip"`` if it declares none."""
    names = set(archive.namelist())
    if "mimetype" in names:
        with archive.open("mimetype") as stream:
            declared = OPEN_DOCUMENT.match(stream.read(200).decode("ascii", "replace"))
        if declared:
            return declared[2] or OPEN_DOCUMENT_NAMES.get(declared[1], declared[1])
    if "[Content_Types].xml" in names:
        with archive.open("[Content_Types].xml") as stream:
            types = stream.read(CONTENT_TYPES_BYTES).decode("utf-8", "replace").lower()
        for content_type, kind in CONTENT_TYPES:
            if content_type in types:
                return kind
    return next((spec.name for spec in OFFICE_FORMATS if spec.main_part in names), "zip")


def ole2_error(path: Path) -> UnreadableDocument:
    """Return the error for an OLE2 file: an old Office format, or an encrypted new one."""
    tail = b""
    found: set[str] = set()
    for block in read_blocks(path):
        window = tail + block
        found.update(kind for stream, kind in OLE2_STREAMS if stream.encode("utf-16-le") in window)
        tail = window[-64:]
    if "encrypted" in found:
        return UnreadableDocument("encrypted", "an Office document under a password")
    kind = next((kind for _, kind in OLE2_STREAMS if kind in found), "unknown content")
    return UnreadableDocument("unsupported_type", f"OLE2: {kind}")


def detect_text_format(head: bytes, suffix: str) -> str:
    """Return the text format of a file."""
    codec = detect_codec_of_bytes(trim_partial_character(head))
    text = head.decode(codec.name, "replace")
    if is_binary(text):
        raise UnreadableDocument("corrupt" if suffix in BINARY_SUFFIXES else "unsupported_type", "binary data")
    if suffix in BINARY_SUFFIXES and not HTML_OPENING.match(text):
        raise UnreadableDocument("corrupt", f"plain text named {suffix}")
    if HTML_OPENING.match(text.lstrip("\ufeff")) or (suffix in HTML_SUFFIXES and HTML_TAG.search(text)):
        return "html"
    if XML_OPENING.match(text):
        raise UnreadableDocument("unsupported_type", "xml")
    if suffix == ".eml" or (suffix not in TEXT_SUFFIXES and is_mail(text)):
        raise UnreadableDocument("unsupported_type", "eml")
    return TEXT_SUFFIXES.get(suffix) or ("text" if suffix in HTML_SUFFIXES else guess_text_format(text))


def trim_partial_character(head: bytes) -> bytes:
    """Return ``head`` up to its last line end, so that no multi-byte character is cut in two."""
    return head if len(head) < HEAD_BYTES else head[: head.rfind(b"\n") + 1 or len(head) - 3]


def is_binary(text: str) -> bool:
    """Return whether decoded bytes are not text: over a tenth are control characters, not counting NUL."""
    controls = sum(char < " " and char not in "\t\n\r\f\x00\x1b" for char in text)
    return controls > (len(text) - text.count("\x00")) / 10


def is_mail(text: str) -> bool:
    """Return whether a text begins with an e-mail header."""
    return len(MAIL_HEADER.findall(text[:2000].partition("\n\n")[0])) >= 3


def guess_text_format(text: str) -> str:
    """Return the format of a text whose suffix is unknown, from its content."""
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    for delimiter in DELIMITERS:
        counts = {line.count(delimiter) for line in lines[:-1]}
        if len(lines) > 3 and len(counts) == 1 and 0 not in counts:
            return "csv"
    return "markdown" if len(MARKDOWN_HEADING.findall(text)) >= 2 else "text"
