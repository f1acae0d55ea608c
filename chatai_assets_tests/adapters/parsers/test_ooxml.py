"""Dangerous Office archives are refused before a library opens them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatai_assets_tests.support.files import docx, parse_error, word_paragraph


@pytest.mark.parametrize(
    "prolog",
    [
        pytest.param('<!DOCTYPE d [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]>', id="entities"),
        pytest.param('<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]>', id="external entity"),
    ],
)
def test_a_word_document_with_a_document_type_is_refused(tmp_path: Path, prolog: str) -> None:
    assert parse_error(docx(tmp_path / "bomb.docx", word_paragraph("text"), prolog)) == "forbidden_xml"


def test_an_archive_that_inflates_too_much_is_not_opened(tmp_path: Path) -> None:
    assert parse_error(docx(tmp_path / "bomb.docx", word_paragraph(" " * 3_000_000 + "text"))) == "archive_bomb"
