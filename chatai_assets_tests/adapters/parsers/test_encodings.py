"""Short texts are decoded as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatai_assets.adapters.parsers.encodings import detect_codec, detect_codec_of_bytes, open_text

RUSSIAN = [
    "Привет, мир!",
    "да",
    "Договор № 5 от 12 мая",
    "ПРИКАЗ",
    "Оплата до пятницы",
    "«Война и мир» — роман",
    "Счёт за ёлку",
    "Report: отчёт готов",
]


@pytest.mark.parametrize(
    "encoding",
    [
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "cp1251",
        "koi8-r",
        "cp866",
        "mac-cyrillic",
    ],
)
@pytest.mark.parametrize("text", RUSSIAN)
def test_a_few_russian_words_are_enough(text: str, encoding: str) -> None:
    data = text.encode(encoding, "ignore")
    if encoding in ("utf-16-le", "utf-16-be") and len(data) < 8:
        pytest.skip("two letters without a mark could be anything")
    codec = detect_codec_of_bytes(data)
    assert data.decode(codec.name) == data.decode(encoding)


def test_an_encoding_is_detected_however_late_its_first_letter_is(tmp_path: Path) -> None:
    path = tmp_path / "late.txt"
    path.write_bytes(b"x" * 3_000_000 + "\nпостановление".encode("koi8-r"))
    assert detect_codec(path).name == "koi8-r"


def test_one_broken_byte_does_not_rule_out_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "broken.txt"
    path.write_bytes("Первая строка\n".encode() + b"\xff\n" + "третья строка".encode())
    with open_text(path) as stream:
        assert stream.read() == "Первая строка\n\ufffd\nтретья строка"


@pytest.mark.parametrize(
    ("text", "encoding"), [("Le café est situé près de la forêt", "cp1252"), ("名前,年齢,住所 佐藤太郎 東京", "cp932")]
)
def test_other_languages_are_not_decoded_as_russian(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    assert data.decode(detect_codec_of_bytes(data).name) == text
