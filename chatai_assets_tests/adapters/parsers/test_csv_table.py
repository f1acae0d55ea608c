"""Delimited tables become lines of text."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatai_assets_tests.support.files import parse_file, write_file


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
    assert parse_file(write_file(tmp_path, "table.csv", content)).text == text


def test_a_csv_of_many_chunks_keeps_every_row(tmp_path: Path) -> None:
    content = "имя,число\n" + "".join(f"строка{n},{n}\n" for n in range(12_000))
    parsed = parse_file(write_file(tmp_path, "table.csv", content.encode("cp1251")))
    assert parsed.text.count("\n\n") == 12_000
    assert parsed.text.endswith("имя: строка11999; число: 11999")
