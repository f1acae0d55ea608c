"""The table of formats is complete and consistent."""

from __future__ import annotations

from collections import Counter

import pytest

from chatai_assets.adapters.parsers.formats import FORMATS, FORMATS_BY_NAME, FormatSpec
from chatai_assets.adapters.parsers.registry import find_reader
from chatai_assets.domain.documents import FAULTS


@pytest.mark.parametrize("spec", FORMATS, ids=lambda spec: spec.name)
def test_every_format_has_a_reader(spec: FormatSpec) -> None:
    assert callable(find_reader(spec.name))


@pytest.mark.parametrize("spec", FORMATS, ids=lambda spec: spec.name)
def test_every_format_but_text_is_recognised_by_its_content(spec: FormatSpec) -> None:
    assert spec.kind == "text" or spec.signature or spec.content_types


def test_names_and_suffixes_are_unique() -> None:
    suffixes = Counter(suffix for spec in FORMATS for suffix in spec.suffixes)
    assert len(FORMATS_BY_NAME) == len(FORMATS)
    assert set(suffixes.values()) == {1}


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_upload_error_names_every_format_that_has_a_suffix(language: str) -> None:
    sentence = getattr(FAULTS["unsupported_type"], language)
    assert all(spec.suffixes[0][1:].upper() in sentence for spec in FORMATS if spec.suffixes)
