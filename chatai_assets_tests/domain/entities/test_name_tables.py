"""The tables of names load completely and are consistent."""

from importlib.resources import files

import pytest

from chatai_assets.domain.entities.name_tables import full_names, given_names, known_entities, spellings

DATA = files("chatai_assets.domain.entities") / "data"


@pytest.mark.parametrize(
    ("file", "groups"),
    [("known_entities.tsv", {"place", "organization", "person"}), ("given_names.tsv", {"spelling", "short", "other"})],
)
def test_every_line_belongs_to_a_group_and_has_names(file, groups):
    for line in (DATA / file).read_text(encoding="utf-8").splitlines():
        group, *names = line.split("\t")
        assert group in groups
        assert names
        assert all(name and name == name.strip() for name in names)


@pytest.mark.parametrize("kind", ["place", "organization", "person"])
def test_known_entities_have_a_title_and_lower_case_names(kind):
    for title, first, *others in known_entities(kind):
        assert first == title.casefold().replace("ё", "е")
        assert all(name == name.casefold() and "ё" not in name for name in others)


def test_other_kinds_have_no_known_entities():
    assert known_entities("other") == ()


def test_the_main_form_of_a_given_name_maps_to_no_other_form():
    for forms in (spellings(), full_names()):
        assert not forms.keys() & set(forms.values())


def test_every_form_of_a_given_name_is_a_given_name():
    assert given_names() >= {*spellings(), *spellings().values(), *full_names()}
