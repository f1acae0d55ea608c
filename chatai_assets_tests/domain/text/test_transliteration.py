import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.text.transliteration import name_spelling, person_spelling, to_latin, unify_script

PEOPLE = (
    ("дмитрий", "dmitry", "dmitri", "dmitriy", "dmitrii"),
    ("федор соловьев", "fyodor solovyov", "fedor soloviev", "fyodor solov'ev"),
    ("татьяна", "tatyana", "tatiana", "tatjana"),
    ("щербаков", "shcherbakov", "scherbakov"),
    ("ксения", "ksenia", "xenia", "kseniya"),
    ("барак", "barack"),
    ("джон смит", "john smith"),
    ("анджелина", "andzhelina"),
)
NAMES = (
    ("яндекс", "yandex"),
    ("лукойл", "lukoil", "lukoyl"),
    ("екатеринбург", "yekaterinburg", "ekaterinburg"),
    ("нижний новгород", "nizhny novgorod", "nizhniy novgorod", "nizhny-novgorod"),
    ("тюмень", "tyumen", "tiumen"),
    ("são paulo", "sao paulo"),
)
APART = (("sysco", "cisco"), ("lyft", "lift"), ("крым", "крим"), ("vizz", "viz"), ("volf", "wolf"))


@pytest.mark.parametrize("spellings", PEOPLE, ids=lambda names: names[0])
def test_romanizations_of_a_persons_name_are_equal(spellings):
    assert len({person_spelling(name) for name in spellings}) == 1


@pytest.mark.parametrize("spellings", NAMES, ids=lambda names: names[0])
def test_romanizations_of_other_names_are_equal(spellings):
    assert len({name_spelling(name) for name in spellings}) == 1


@pytest.mark.parametrize("names", APART, ids=lambda names: names[0])
def test_folds_for_people_do_not_apply_to_firms_and_places(names):
    assert len({name_spelling(name) for name in names}) == len(names)


def test_a_pronounced_h_stays_and_a_silent_one_is_dropped():
    assert person_spelling("ахматов") == person_spelling("akhmatov") != person_spelling("аматов")
    assert person_spelling("john") == person_spelling("jon")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("мocква", "москва"), ("gооgle", "google"), ("iphone-ом", "iphone-ом"), ("xбокс", "хбокс"), ("zов", "zов")],
)
def test_look_alike_letters_get_the_script_around_them(written, meant):
    assert unify_script(written) == meant


@given(st.text(st.sampled_from("абвгдежзийклмнопрстуфхцчшщъыьэюяіїєґabcxyz -'.йе"), max_size=20))
def test_text_in_latin_letters_is_unchanged(text):
    once = to_latin(text)
    assert once.isascii()
    assert to_latin(once) == once
