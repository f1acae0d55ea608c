"""Rows of tables become lines that can be read without the table."""

import pytest

from chatai_assets.adapters.parsers.document_builder import DocumentBuilder
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.tables import CUT, find_header, write_rows
from chatai_assets.domain.errors import UnreadableDocument


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([["Имя", "Город"], ["Анна", "Уфа"]], 0),
        ([["Отчёт", "", ""], ["Имя", "Город", "Год"], ["Анна", "Уфа", "2024"]], 1),
        ([["1", "2"], ["3", "4"]], None),
        ([["Имя", "Имя"], ["Анна", "Уфа"]], None),
        ([["Имя", "Город"]], None),
        ([], None),
    ],
    ids=["first row", "below a title", "numbers", "repeated names", "nothing below", "empty"],
)
def test_the_header_is_the_first_full_row_of_distinct_names(rows, header):
    assert find_header(rows) == header


def test_cells_and_columns_are_limited_and_empty_rows_dropped():
    limits = ParserLimits(max_columns=2, max_cell_chars=3)
    document = DocumentBuilder(limits)
    assert write_rows(document, [["a", "b", "c"], ["", ""], ["long text", "x", "y"]], limits) == 2
    assert document.finish("csv").text == f"a; b\n\na: lon{CUT}; b: x"


def test_too_many_rows_are_refused():
    limits = ParserLimits(max_rows=1)
    with pytest.raises(UnreadableDocument, match="more than 1 rows"):
        write_rows(DocumentBuilder(limits), [["a"], ["b"]], limits)
