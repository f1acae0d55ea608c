"""Words of low confidence are not text."""

import pytest

from chatai_assets.domain.ocr import OcrPage, OcrResult, OcrWord, build_page


def test_confident_words_keep_their_lines_and_paragraphs():
    words = [
        OcrWord("Причал", 0, 1, 95.0),
        OcrWord("|~", 0, 1, 12.0),
        OcrWord("открыт", 0, 1, 90.0),
        OcrWord("с девяти", 0, 2, 90.0),
        OcrWord("Касса", 1, 1, 80.0),
    ]
    assert build_page(words).text == "Причал открыт\nс девяти\n\nКасса"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="none"),
        pytest.param([OcrWord("joaAMode.1sew", 0, 1, 49.0)], id="not sure"),
        pytest.param([OcrWord("—", 0, 1, 95.0), OcrWord("12", 0, 1, 95.0), OcrWord("ОУ", 0, 1, 95.0)], id="no letters"),
    ],
)
def test_noise_is_not_text(words):
    assert build_page(words).text == ""


def test_confidence_is_that_of_the_characters():
    assert build_page([OcrWord("a", 0, 1, 20.0), OcrWord("harbours!", 0, 1, 90.0)]) == OcrPage("harbours!", 83.0)


def test_the_summary_is_plain_json():
    told = OcrResult("engine", {2: 90.0, 4: 91.0}, {7: "timeout", 3: "left_out"}, ("print",)).summary
    assert told == {"engine": "engine", "pages": 2, "confidence": 90.5, "unread": {"3": "left_out", "7": "timeout"}}
