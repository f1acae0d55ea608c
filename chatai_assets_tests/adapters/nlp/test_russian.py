"""Names as texts write them, through the normal form of the offline extractor, to entities; measured on a fixed set."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from chatai_assets.adapters.nlp.russian import name_form
from chatai_assets.domain.entities.name_tables import known_entities
from chatai_assets.domain.entities.resolution import EntityKey, resolve
from chatai_assets.domain.text.spelling import plain_form
from chatai_assets.domain.text.transliteration import is_cyrillic

SET = Path(__file__).parents[2] / "fixtures" / "named_entities.txt"


def mentions() -> list[tuple[str, str, str]]:
    """Return entity, kind and words of each mention."""
    lines = [line.split(" | ") for line in SET.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [(entity, kind, name) for entity, kind, *names in lines for name in names]


def form_of(name: str, kind: str) -> str:
    return name_form(name, kind) if is_cyrillic(name.lower()) else plain_form(name)


def figures(meant: list[tuple[str, EntityKey]]) -> tuple[float, float]:
    """Return precision and recall over pairs of mentions: said to be one entity, and truly one."""
    pairs = [(one[0] == other[0], one[1] == other[1]) for one, other in combinations(meant, 2)]
    both = sum(same and said for same, said in pairs)
    return both / sum(said for _, said in pairs), both / sum(same for same, _ in pairs)


def test_entities_of_the_set_are_told_apart_and_put_together(record_property):
    found = [(entity, resolve(kind, form_of(name, kind))[:2]) for entity, kind, name in mentions()]
    precision, recall = figures(found)
    by_form = [(entity, (kind, form_of(name, kind))) for entity, kind, name in mentions()]
    record_property("precision", round(precision, 4))
    record_property("recall", round(recall, 4))
    assert len(found) >= 200
    assert len({entity for entity, _ in found}) == 60
    assert precision >= 0.95
    assert recall >= 0.85
    assert recall > figures(by_form)[1] + 0.3, "resolution does more than normal forms do alone"


@pytest.mark.parametrize("kind", ["place", "organization", "person"], ids=["places", "organizations", "people"])
def test_known_names_are_known_in_the_form_that_extraction_gives_them(kind):
    strange = [
        name
        for _, first, *names in known_entities(kind)
        for name in names
        if is_cyrillic(name) and resolve(kind, form_of(name, kind)).key != resolve(kind, first).key
    ]
    assert strange == []
