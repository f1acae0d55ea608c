"""Plain text keeps its paragraphs."""

from __future__ import annotations

from pathlib import Path

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets_tests.support.files import parse_error, parse_file, write_file


def test_plain_text_loses_nul_and_keeps_paragraphs(tmp_path: Path) -> None:
    assert parse_file(write_file(tmp_path, "a.txt", "один\x00\r\n\r\n\r\nдва\n")).text == "один\n\nдва"


def test_too_much_text_is_refused_before_it_is_read(tmp_path: Path) -> None:
    assert (
        parse_error(write_file(tmp_path, "a.txt", "слово " * 1000), ParserLimits(max_text_chars=1000))
        == "too_much_text"
    )
