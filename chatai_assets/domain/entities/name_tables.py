"""Tables of names that resolution looks up: well-known entities, and given names with their other forms.

The data is in ``data/*.tsv``: one group of names a line, columns separated by tabs, the first column
saying which table the line belongs to. It is read on first use and cached.

- ``known_entities.tsv``: ``place | organization | person``, then the names of one entity that no spelling rule makes
  equal. The first name is the entity's title. General knowledge, kept small on purpose: countries, capitals and large
  cities, organizations known in both languages, a few people known worldwide. A name with two meanings of one kind
  (``"Georgia"``, ``"Congo"``, ``"Америка"``, ``"Cambridge"``) is left out. Some lines also hold what lemmatizing each
  word by itself makes of a name: ``"соединить штат америка"``.
- ``given_names.tsv``: ``spelling``, then the spellings of one name in several languages; ``short``, then a full name,
  then its short forms; ``other``, then one name that has no other form here. Short forms of several names (``"Саша"``,
  ``"Женя"``, ``"Alex"``, ``"Chris"``) are left out: the form does not say which name is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from chatai_assets.domain.text.transliteration import person_spelling

_DATA = files("chatai_assets.domain.entities") / "data"


@cache
def known_entities(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the known entities of a kind: title, then every name in lower case with ``е`` for ``ё``.

    Args:
        kind: ``place organization person``; any other has none.
    """
    return tuple((names[0], *map(_lower, names)) for names in _lines("known_entities.tsv", kind))


@cache
def spellings() -> Mapping[str, str]:
    """Return spelling -> the main spelling of that name, both folded by ``person_spelling``."""
    return _by_first_name("spelling")


@cache
def full_names() -> Mapping[str, str]:
    """Return short form -> full name, both folded by ``person_spelling`` and mapped by ``spellings``."""
    main = spellings()
    return {main.get(short, short): main.get(full, full) for short, full in _by_first_name("short").items()}


@cache
def given_names() -> frozenset[str]:
    """Return all given names of the table, folded by ``person_spelling``."""
    groups = ("spelling", "short", "other")
    return frozenset(_folded(name) for group in groups for names in _lines("given_names.tsv", group) for name in names)


def _by_first_name(group: str) -> dict[str, str]:
    """Return name -> first name of its line, for all names of a group of lines."""
    lines = [[_folded(name) for name in names] for names in _lines("given_names.tsv", group)]
    return {name: line[0] for line in lines for name in line[1:] if name != line[0]}


def _lines(file: str, group: str) -> Iterator[list[str]]:
    """Yield the names of each line that belongs to a group."""
    for line in (_DATA / file).read_text(encoding="utf-8").splitlines():
        name, *names = line.split("\t")
        if name == group:
            yield names


def _lower(name: str) -> str:
    return name.casefold().replace("ё", "е")


def _folded(name: str) -> str:
    return person_spelling(_lower(name))
