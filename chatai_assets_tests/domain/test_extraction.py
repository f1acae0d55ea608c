import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.extraction import MAX_ENTITIES, Entity, Extraction, Relation, check_extraction, co_occurrence
from chatai_assets.domain.text.spelling import plain_form

TEXT = "Вчера Владимира Путина видели в Москве, пишет «Газета.Ру»."
PUTIN = Entity("Владимира Путина", "владимир путин", "person")
MOSCOW = Entity("Москве", "москва", "place")


def test_what_the_chunk_says_stays_as_it_is():
    extraction = Extraction((PUTIN, MOSCOW), (co_occurrence("владимир путин", "москва"),))
    assert check_extraction(extraction, TEXT) == extraction


def test_an_invented_entity_goes_and_its_relations_with_it():
    invented = Entity("Лондон", "лондон", "place")
    extraction = Extraction((PUTIN, invented), (Relation("владимир путин", "лондон", "visited", weak=False),))
    assert check_extraction(extraction, TEXT) == Extraction((PUTIN,))


def test_one_form_is_one_entity_and_an_unknown_kind_is_other():
    again = Entity("ВЛАДИМИРА ПУТИНА", "Владимир  Путин", "king")
    assert check_extraction(Extraction((again, PUTIN)), TEXT).entities == (
        Entity("Владимира Путина", "владимир путин", "other"),
    )


def test_co_occurrence_has_no_direction():
    both = (
        Relation("москва", "владимир путин", "mentioned_with", weak=True),
        co_occurrence("москва", "владимир путин"),
    )
    assert len(check_extraction(Extraction((PUTIN, MOSCOW), both), TEXT).relations) == 1


@pytest.mark.parametrize(
    "relation",
    [Relation("москва", "москва", "is", weak=False), Relation("москва", "владимир путин", "  ", weak=False)],
    ids=["with itself", "without predicate"],
)
def test_a_relation_that_says_nothing_goes(relation: Relation):
    assert check_extraction(Extraction((PUTIN, MOSCOW), (relation,)), TEXT).relations == ()


def test_an_answer_without_end_is_bounded():
    text = " ".join(f"Имя{number}" for number in range(200))
    entities = tuple(Entity(f"Имя{number}", f"имя{number}", "person") for number in range(200))
    assert len(check_extraction(Extraction(entities), text).entities) == MAX_ENTITIES


WORDS = st.text(alphabet="аЁб -\u2011«»\n", max_size=12)


@given(text=WORDS, names=st.lists(st.tuples(WORDS, WORDS), max_size=6))
def test_checking_twice_changes_nothing(text: str, names: list[tuple[str, str]]):
    entities = tuple(Entity(name, form, "place") for name, form in names)
    relations = tuple(
        Relation(subject.form, object_.form, "near", weak=False) for subject in entities for object_ in entities
    )
    once = check_extraction(Extraction(entities, relations), text)
    assert check_extraction(once, text) == once
    assert all(entity.name in text for entity in once.entities)


def test_spellings_of_a_name_share_a_plain_form():
    assert plain_form("«Алёна  Королёва»") == plain_form("алена\u00a0КОРОЛЕВА") == "алена королева"
