import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.entities.name_tables import known_entities
from chatai_assets.domain.entities.resolution import (
    GIVEN,
    HAND,
    KNOWN,
    LEGAL,
    ORDER,
    SCRIPT,
    Resolution,
    display_name,
    resolve,
    resolve_with_overrides,
    separate_entity_key,
)
from chatai_assets.domain.extraction import KINDS

ONE = (
    ("person", "иван петров", "ivan petrov", "петров иван", "ваня петров", "petrov ivan"),
    ("person", "иван сергеевич петров", "петров иван сергеевич", "ivan sergeyevich petrov"),
    ("person", "анна петров", "анна петрова", "anna petrova"),
    ("person", "светлана тихановский", "svetlana tikhanovskaya"),
    ("person", "билл гейтс", "bill gates", "william gates"),
    ("place", "москва", "moscow", "г. москва", "мocква", "город москва"),
    ("place", "российский федерация", "российская федерация", "россия", "russia", "рф"),
    ("place", "соединить штат америка", "соединенные штаты америки", "сша", "u.s", "usa"),
    ("place", "северный корея", "северная корея", "north korea"),
    ("organization", "ооо ромашка", "ромашка", "romashka llc", "ооо «ромашка»"),
    ("organization", "организация объединить нация", "оон", "united nations"),
)
APART = (
    ("person", "иван петров", "петр иванов", "петров", "иван", "иван сергеевич петров", "и. петров"),
    ("person", "саша петров", "александр петров", "александра петров"),
    ("person", "elton john", "john elton"),
    ("place", "georgia", "грузия"),
    ("place", "южная корея", "северная корея", "korea"),
    ("place", "ростов-на-дону", "ростов великий", "ростов"),
    ("organization", "sysco", "cisco"),
    ("organization", "tsb", "цб"),
    ("organization", "es", "ес"),
    ("organization", "центральный банк", "банк россия"),
)


@pytest.mark.parametrize(("kind", "forms"), [(kind, forms) for kind, *forms in ONE], ids=str)
def test_forms_of_one_name_mean_one_entity(kind, forms):
    assert len({resolve(kind, form)[:2] for form in forms}) == 1


@pytest.mark.parametrize(("kind", "forms"), [(kind, forms) for kind, *forms in APART], ids=str)
def test_names_that_may_mean_different_entities_stay_apart(kind, forms):
    assert len({resolve(kind, form)[:2] for form in forms}) == len(forms)


def test_kinds_stay_apart():
    keys = {resolve(kind, "вашингтон")[:2] for kind in ("person", "place", "organization")}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("form", "meant"),
    [
        ("moscow", Resolution("place", "moskva", (KNOWN,))),
        ("yandex", Resolution("organization", "iandeks", (KNOWN,))),
        ("tatiana golikova", resolve("person", "татьяна голиков")._replace(reasons=("female surname",))),
        ("айфон", Resolution("other", "айфон")),
        ("мoлoтoк", Resolution("other", "молоток", (SCRIPT,))),
        ("elton john", Resolution("other", "elton john")),
    ],
)
def test_a_name_without_kind_gets_one_only_if_it_is_unambiguous(form, meant):
    assert resolve("other", form) == meant


@pytest.mark.parametrize(
    ("kind", "form", "reasons"),
    [
        ("person", "ivan petrov", ()),
        ("person", "иван петров", (SCRIPT,)),
        ("person", "петров ваня", (SCRIPT, ORDER, GIVEN)),
        ("place", "рф", (SCRIPT, KNOWN)),
        ("organization", "ооо ромашка", (LEGAL, SCRIPT)),
        ("other", "что угодно", ()),
    ],
)
def test_the_reasons_name_the_steps_that_changed_the_form(kind, form, reasons):
    assert resolve(kind, form).reasons == reasons


def test_overrides_come_first_and_affect_only_their_form():
    overrides = {
        ("place", "москва"): separate_entity_key("place", "москва"),
        ("person", "вова"): ("person", "vladimir putin"),
    }
    assert resolve_with_overrides("place", "москва", overrides) == Resolution("place", "#москва", (HAND,))
    assert resolve_with_overrides("person", "вова", overrides) == Resolution("person", "vladimir putin", (HAND,))
    assert resolve_with_overrides("place", "moscow", overrides) == resolve("place", "moscow")


def test_an_entity_is_displayed_by_its_known_name_or_its_key():
    assert display_name("place", resolve("place", "moscow").key) == "Москва"
    assert display_name("person", resolve("person", "иван петров").key) == "Ivan Petrov"
    assert display_name(*separate_entity_key("place", "москва")) == "Москва"
    assert display_name("other", "айфон") == "айфон"


LETTERS = st.sampled_from("аоВИvoаy-.,'«#|~ джкхcxq") | st.characters()


@given(st.sampled_from(sorted(KINDS)), st.text(LETTERS, max_size=12))
def test_every_form_resolves_and_always_to_the_same_entity(kind, form):
    meaning = resolve(kind, form)
    resolve.cache_clear()
    assert meaning == resolve(kind, form)
    assert meaning.kind in KINDS
    assert meaning.key or not form


@pytest.mark.parametrize("kind", ["place", "organization"], ids=["places", "organizations"])
def test_no_two_known_entities_share_a_name(kind):
    """Otherwise the later line would take the name from the earlier one."""
    keys: dict[str, set[str]] = {}
    for title, *names in known_entities(kind):
        keys.setdefault(title, set()).update(resolve(kind, name).key for name in names)
    assert {title for title, found in keys.items() if len(found) > 1} == set()
    assert len({key for found in keys.values() for key in found}) == len(keys)
