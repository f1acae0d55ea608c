"""The table of settings is made from the settings classes, and the committed page holds that table."""

from pydantic import BaseModel

from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.reference import GROUPS, PAGE, table, variables, with_table


def all_groups(base: type[BaseModel] = SettingsGroup) -> set[type[BaseModel]]:
    return {group for child in base.__subclasses__() for group in {child, *all_groups(child)}}


def test_the_committed_table_is_the_generated_one():
    page = PAGE.read_text(encoding="utf-8")
    assert table() in page
    assert with_table(page) == page, "run `make docs`"


def test_a_page_without_the_current_table_gets_it():
    page = PAGE.read_text(encoding="utf-8")
    changed = page.replace(table(), table().replace("| 60 s |", "| 61 s |"))
    assert changed != page
    assert with_table(changed) == page


def test_every_variable_of_every_group_is_in_the_table():
    described = {name for name, _ in variables()}
    aliases = {field.validation_alias for group in all_groups() for field in group.model_fields.values()}
    assert described == aliases - {None}


def test_every_setting_has_a_meaning_and_one_default():
    for name, field in variables():
        assert field.description, name
    assert len([name for name, _ in variables()]) == len({name for name, _ in variables()})
    defaults: dict[object, set[object]] = {}
    for group in GROUPS:
        for field in group.model_fields.values():
            defaults.setdefault(field.validation_alias, set()).add(repr(field.default))
    assert {name: found for name, found in defaults.items() if name and len(found) > 1} == {}


def test_numbers_are_shown_with_their_units():
    lines = table().splitlines()
    assert "| `CHATAI_LEASE_S` | 60 s |" in "".join(lines)
    assert any(line.startswith("| `CHATAI_MAX_FILE_MB` | 512 MiB |") for line in lines)
    assert any(line.startswith("| `CHATAI_KEEP_TOMBSTONES_DAYS` | 365 days |") for line in lines)
