"""HTML is reduced to its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatai_assets_tests.support.files import parse_file, write_file


def test_html_keeps_text_and_drops_everything_else(tmp_path: Path) -> None:
    page = (
        "<!doctype html><title>Заголовок</title><nav>Меню</nav><script>x=1</script><h1>Тема</h1>"
        "<p>Текст <b>жирный</b>."
        "<ul><li>раз<li>два</ul><table><tr><td>a<td>b</table>"
        '<a href="https://example.com/a">тут</a><a href="/b">там</a>'
    )
    parsed = parse_file(write_file(tmp_path, "page.html", page))
    assert parsed.text == "Тема\n\nТекст жирный.\n\n- раз\n- два\n\na | b\n\nтуттам"
    assert parsed.title == "Заголовок"
    assert parsed.links == ("https://example.com/a",)


def test_a_page_of_navigation_only_keeps_it(tmp_path: Path) -> None:
    assert parse_file(write_file(tmp_path, "page.html", "<html><nav>Меню</nav></html>")).text == "Меню"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "koi8-r", "utf-16"])
@pytest.mark.parametrize("declared", ["", "windows-1251", "utf-8", "nonsense"], ids=lambda name: name or "undeclared")
def test_html_is_decoded_by_its_bytes_if_it_declares_another(tmp_path: Path, encoding: str, declared: str) -> None:
    if declared == "windows-1251" and encoding == "koi8-r":
        pytest.skip("a single-byte declaration is believed")
    page = f'<html><meta charset="{declared}"><p>Постановление правительства о погоде</html>'
    assert (
        parse_file(write_file(tmp_path, "p.html", page.encode(encoding))).text == "Постановление правительства о погоде"
    )
