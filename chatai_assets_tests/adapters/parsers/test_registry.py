"""Every format becomes text with exact offsets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.file_type import OLE2
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.registry import read_document
from chatai_assets.domain.documents import FAULTS, ParsedDocument, sentence
from chatai_assets.domain.errors import UnreadableDocument
from chatai_assets.domain.text.normalize import normalise
from chatai_assets_tests.support.files import docx, pdf, word_paragraph, xlsx

LIMITS = ParserLimits()


def read(path: Path, limits: ParserLimits = LIMITS) -> ParsedDocument:
    return read_document(path, path.name, limits)


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fault_of(path: Path, limits: ParserLimits = LIMITS) -> str:
    with pytest.raises(UnreadableDocument) as caught:
        read(path, limits)
    assert caught.value.reason in FAULTS
    return caught.value.reason


@given(st.lists(st.tuples(st.sampled_from(["paragraph", "heading", "page"]), st.text(max_size=40)), max_size=8))
def test_offsets_slice_back_to_what_was_written(blocks: list[tuple[str, str]]) -> None:
    document = DocumentBuilder(LIMITS)
    document.paragraph("начало")
    for number, (kind, text) in enumerate(blocks):
        if kind == "paragraph":
            document.paragraph(text)
        elif kind == "heading":
            document.heading(1, text)
        else:
            document.page(number, text)
    parsed = document.finish("text")
    assert normalise(parsed.text) == parsed.text
    assert all(parsed.text[section.start :].startswith(section.title) for section in parsed.sections)
    assert all(
        normalise(blocks[page.number][1]).split() == parsed.text[page.start : page.end].split() for page in parsed.pages
    )


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    parsed = read(pdf(tmp_path / "report.pdf", ["First page", "", "Third page"]))
    assert [parsed.text[page.start : page.end] for page in parsed.pages] == ["First page", "", "Third page"]
    assert parsed.text == "First page\n\nThird page"


def test_a_pdf_without_text_layer_is_a_failure_not_an_empty_success(tmp_path: Path) -> None:
    assert fault_of(pdf(tmp_path / "scan.pdf", ["", ""])) == "no_text_layer"


def test_a_pdf_with_too_many_pages_is_refused(tmp_path: Path) -> None:
    assert fault_of(pdf(tmp_path / "long.pdf", ["page"] * 3), ParserLimits(max_pages=2)) == "too_many_pages"


def test_word_headings_are_sections_and_table_rows_are_lines(tmp_path: Path) -> None:
    row = "<w:tr>" + "".join(f"<w:tc>{word_paragraph(text)}</w:tc>" for text in ("Имя", "Город")) + "</w:tr>"
    body = word_paragraph("Отчёт", "Heading1") + word_paragraph("Итоги года.") + f"<w:tbl>{row}{row}</w:tbl>"
    parsed = read(docx(tmp_path / "отчёт.docx", body))
    assert parsed.text == "Отчёт\n\nИтоги года.\n\nИмя | Город\nИмя | Город"
    assert [(section.title, section.start) for section in parsed.sections] == [("Отчёт", 0)]


@pytest.mark.parametrize(
    "prolog",
    [
        pytest.param('<!DOCTYPE d [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]>', id="entities"),
        pytest.param('<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]>', id="external entity"),
    ],
)
def test_a_word_document_with_a_document_type_is_refused(tmp_path: Path, prolog: str) -> None:
    assert fault_of(docx(tmp_path / "bomb.docx", word_paragraph("text"), prolog)) == "forbidden_xml"


def test_an_archive_that_inflates_too_much_is_not_opened(tmp_path: Path) -> None:
    assert fault_of(docx(tmp_path / "bomb.docx", word_paragraph(" " * 3_000_000 + "text"))) == "archive_bomb"


def test_a_file_is_read_whatever_its_bytes_are_called_on_disk(tmp_path: Path) -> None:
    workbook = xlsx(tmp_path / "book.xlsx", {"Склад": [["Товар"], ["=A1"], ["мёд"]]}).rename(tmp_path / "0f3a")
    letter = docx(tmp_path / "letter.docx", word_paragraph("Уважаемые коллеги")).rename(tmp_path / "7be1")
    assert "мёд" in read_document(workbook, "book.xlsx", LIMITS).text
    assert "коллеги" in read_document(letter, "letter.docx", LIMITS).text


def test_sheets_are_sections_and_rows_name_their_columns(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Имя", "Сумма"], ["Анна", 3.0], ["Пётр", "=1+1"]]
    parsed = read(xlsx(tmp_path / "book.xlsx", {"Продажи": rows, "Пусто": []}))
    assert parsed.text == "Продажи\n\nИмя; Сумма\n\nИмя: Анна; Сумма: 3\n\nИмя: Пётр; Сумма: =1+1"
    assert [section.title for section in parsed.sections] == ["Продажи"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param("a,b\n1,2\n", "a; b\n\na: 1; b: 2", id="commas"),
        pytest.param("имя;город\nАнна;Уфа, Россия\n", "имя; город\n\nимя: Анна; город: Уфа, Россия", id="semicolons"),
        pytest.param("a,b\n1,2,3\n4\n", "a; b\n\na: 1; b: 2; 3\n\na: 4", id="uneven rows"),
        pytest.param('a,b\n"x\ny",2\n', "a; b\n\na: x y; b: 2", id="line end in quotes"),
        pytest.param('a,b\n1,"2\n3,4\n', 'a; b\n\na: 1; b: "2\n\na: 3; b: 4', id="open quote"),
        pytest.param("k,v\n=1+1,@SUM(1)\n", "k; v\n\nk: =1+1; v: @SUM(1)", id="formulas"),
        pytest.param("1,2\n3,4\n", "1; 2\n\n3; 4", id="no header"),
    ],
)
def test_rows_of_a_csv_become_lines(tmp_path: Path, content: str, text: str) -> None:
    assert read(written(tmp_path, "table.csv", content)).text == text


def test_a_csv_of_many_chunks_keeps_every_row(tmp_path: Path) -> None:
    content = "имя,число\n" + "".join(f"строка{n},{n}\n" for n in range(12_000))
    parsed = read(written(tmp_path, "table.csv", content.encode("cp1251")))
    assert parsed.text.count("\n\n") == 12_000
    assert parsed.text.endswith("имя: строка11999; число: 11999")


def test_html_keeps_the_words_and_drops_the_rest(tmp_path: Path) -> None:
    page = (
        "<!doctype html><title>Заголовок</title><nav>Меню</nav><script>x=1</script><h1>Тема</h1>"
        "<p>Текст <b>жирный</b>."
        "<ul><li>раз<li>два</ul><table><tr><td>a<td>b</table>"
        '<a href="https://example.com/a">тут</a><a href="/b">там</a>'
    )
    parsed = read(written(tmp_path, "page.html", page))
    assert parsed.text == "Тема\n\nТекст жирный.\n\n- раз\n- два\n\na | b\n\nтуттам"
    assert parsed.title == "Заголовок"
    assert parsed.links == ("https://example.com/a",)


def test_a_page_that_is_all_navigation_keeps_it(tmp_path: Path) -> None:
    assert read(written(tmp_path, "page.html", "<html><nav>Меню</nav></html>")).text == "Меню"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "koi8-r", "utf-16"])
@pytest.mark.parametrize("declared", ["", "windows-1251", "utf-8", "nonsense"], ids=lambda name: name or "undeclared")
def test_html_is_decoded_by_its_bytes_where_its_declaration_lies(tmp_path: Path, encoding: str, declared: str) -> None:
    if declared == "windows-1251" and encoding == "koi8-r":
        pytest.skip("a single-byte declaration is believed")
    page = f'<html><meta charset="{declared}"><p>Постановление правительства о погоде</html>'
    assert read(written(tmp_path, "p.html", page.encode(encoding))).text == "Постановление правительства о погоде"


def test_markdown_loses_its_marks_and_keeps_its_structure(tmp_path: Path) -> None:
    text = (
        "---\ntitle: Имя\n---\n# Тема {#id}\n\nЭто **важно**,\nсм. [тут](https://example.com/x).\n\n"
        "- раз\n- два\n  1. три\n\n```python\n# не заголовок\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    parsed = read(written(tmp_path, "doc.md", text))
    assert parsed.text == "Тема\n\nЭто важно, см. тут.\n\n- раз\n- два\n  1. три\n\n# не заголовок\n\na | b\n1 | 2"
    assert (parsed.title, parsed.links) == ("Имя", ("https://example.com/x",))
    assert [section.title for section in parsed.sections] == ["Тема"]


def test_plain_text_loses_nul_and_keeps_paragraphs(tmp_path: Path) -> None:
    assert read(written(tmp_path, "a.txt", "один\x00\r\n\r\n\r\nдва\n")).text == "один\n\nдва"


def test_too_much_text_is_refused_before_it_is_read(tmp_path: Path) -> None:
    assert fault_of(written(tmp_path, "a.txt", "слово " * 1000), ParserLimits(max_text_chars=1000)) == "too_much_text"


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
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    assert fault_of(written(tmp_path, name, content)) == code


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
def test_the_type_is_told_by_the_content(tmp_path: Path, name: str, content: str, expected: str) -> None:
    assert read(written(tmp_path, name, content)).format == expected


def test_every_fault_has_a_sentence_in_both_languages() -> None:
    for code, fault in FAULTS.items():
        assert sentence(code, "ru") == fault.ru != sentence(code, "en") == fault.en
        assert fault.ru.endswith(".")
        assert fault.en.endswith(".")
