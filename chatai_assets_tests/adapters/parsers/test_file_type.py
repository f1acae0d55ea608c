"""The format of a file is detected from its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatai_assets.adapters.parsers.file_type import OLE2
from chatai_assets_tests.support.files import parse_error, parse_file, write_file


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        pytest.param("a.txt", b"", "empty_file", id="empty"),
        pytest.param("a.txt", b" \n - \n", "no_text", id="no letter"),
        pytest.param("a.docx", b"this is not docx", "corrupt", id="text named docx"),
        pytest.param("a.docx", b"PK\x03\x04garbage", "corrupt", id="bad zip"),
        pytest.param("a.pdf", b"%PDF-1.4\n1 0 obj", "corrupt", id="half a pdf"),
        pytest.param("a.doc", OLE2 + "WordDocument".encode("utf-16-le"), "unsupported_type", id="doc"),
        pytest.param("a.docx", OLE2 + "EncryptedPackage".encode("utf-16-le"), "encrypted", id="locked"),
        pytest.param("a.txt", rb"{\rtf1 text}", "unsupported_type", id="rtf"),
        pytest.param("a.eml", b"From: a\nTo: b\nSubject: c\n\ntext", "unsupported_type", id="eml"),
        pytest.param("a.txt", bytes(range(1, 32)) * 9, "unsupported_type", id="binary"),
        pytest.param("a.xml", b"<?xml version='1.0'?><a/>", "unsupported_type", id="xml"),
    ],
)
def test_unreadable_files_have_an_error_code(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    assert parse_error(write_file(tmp_path, name, content)) == code


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("a.txt", "<!DOCTYPE html><p>text", "html", id="html named txt"),
        pytest.param("a.xls", "<html><table><tr><td>x</table>", "html", id="html named xls"),
        pytest.param("a.txt", "a,b\n1,2\n3,4\n5,6\n", "text", id="the name decides between texts"),
        pytest.param("a", "a,b\n1,2\n3,4\n5,6\n", "csv", id="nameless table"),
        pytest.param("a", "# A\n\ntext\n\n## B\n\ntext", "markdown", id="nameless markdown"),
        pytest.param("a", "просто текст", "text", id="nameless text"),
    ],
)
def test_the_type_is_detected_from_the_content(tmp_path: Path, name: str, content: str, expected: str) -> None:
    assert parse_file(write_file(tmp_path, name, content)).format == expected
