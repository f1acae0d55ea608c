"""Error codes of documents have sentences for people."""

from __future__ import annotations

from chatai_assets.domain.documents import FAULTS, sentence


def test_every_error_code_has_a_sentence_in_both_languages() -> None:
    for code, fault in FAULTS.items():
        assert sentence(code, "ru") == fault.ru != sentence(code, "en") == fault.en
        assert fault.ru.endswith(".")
        assert fault.en.endswith(".")


def test_an_unknown_code_can_still_be_shown() -> None:
    assert sentence("a code of an old version", "en") == FAULTS["corrupt"].en
