"""Resolves forms of names to entities: the node of the graph that they share, and the reasons.

The result depends only on the form and its kind, so that the graph does not depend on the order of its sources.
Precision comes first: kinds are separate (``"Вашингтон"`` may be a person), a surname alone is not resolved to its only
known bearer, patronymics count, and names with several meanings are not known names. People can override any result by
tenant, kind and form (``Overrides``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import NamedTuple, TypeVar

from chatai_assets.domain.entities.name_tables import full_names, given_names, known_entities, spellings
from chatai_assets.domain.text.language import word_set
from chatai_assets.domain.text.spelling import plain_form
from chatai_assets.domain.text.transliteration import is_cyrillic, name_spelling, person_spelling, unify_script

SCRIPT = "script"
"""Transliterated to Latin letters, or letters of another script replaced."""
SPELLING = "spelling"
"""Differs from the key only as spellings of one name differ."""
KNOWN = "known name"
GIVEN = "given name"
"""Another spelling or the short form of a given name that has a surname."""
ORDER = "surname first"
FEMALE = "female surname"
LEGAL = "legal form"
ARTICLE = "kind of place"
HAND = "by hand"
"""Set by an override."""

SEPARATE_PREFIX = "#"
"""First character of the key of a form that was split off; no plain form starts with it."""
CACHE_SIZE = 1 << 16
SHORT_LETTERS = 3
T = TypeVar("T")
EntityKey = tuple[str, str]
"""Kind and key of an entity, or kind and form of a mention."""

_LEGAL_FORMS = word_set(
    "ооо оао пао ао зао нао inc incorporated corp corporation ltd limited llc llp plc gmbh jsc pjsc ojsc"
)
_BEFORE_PLACES = word_set("г город the")
_ADJECTIVE = re.compile(r"(?<=\w{3})(?:ый|ой|ая|яя|ое|ее|ые|ие)(?=[ -]\w)")
_FEMALE_SURNAME = re.compile(r"(?<=\w\w)(?:(ov|ev|in)a|(sk|tsk)aia)$")
_PATRONYMIC = re.compile(r"(?:ich|[oei]vna|ichna)$")
_SLAVIC_SURNAME = re.compile(r"(?:[oe]va?|[iy]na?|ski|skaia|enko|uk|ich)$")


class Resolution(NamedTuple):
    """The entity that a form means.

    Attributes:
        kind: of the entity; differs from the requested kind only if that was ``other``.
        key: identifies the entity together with the kind; equal for all its forms.
        reasons: the steps that is_reversed the form into the key, in order; none if they are equal.
    """

    kind: str
    key: str
    reasons: tuple[str, ...] = ()


Overrides = Mapping[EntityKey, EntityKey]
"""Kind and form -> kind and key, as set by people."""


def resolve_with_overrides(kind: str, form: str, overrides: Overrides) -> Resolution:
    """Return the entity that a form means, given the overrides of a tenant."""
    if overrides and (set_by_hand := overrides.get((kind, form))):
        return Resolution(*set_by_hand, (HAND,))
    return resolve(kind, form)


def separate_entity_key(kind: str, form: str) -> EntityKey:
    """Return the key under which a form is a separate entity."""
    return kind, f"{SEPARATE_PREFIX}{form}"


@lru_cache(maxsize=CACHE_SIZE)
def resolve(kind: str, form: str) -> Resolution:
    """Return the entity that a form means without overrides.

    Args:
        kind: ``person organization place other``.
        form: from ``spelling.plain_form``; Russian names without case endings if these are known.
    """
    if kind == "other":
        return _resolve_other(form)
    if kind == "person":
        return _resolve_person(form)
    return _resolve_thing(kind, form)


def display_name(kind: str, key: str) -> str:
    """Return the name to show for an entity when only its key is known."""
    return _titles(kind).get(key) or (key if kind == "other" else key.removeprefix(SEPARATE_PREFIX).title()) or key


def is_known(kind: str, form: str) -> bool:
    """Return whether a form is a known name as it is, without any guess."""
    return _find_known(kind, form, _spelling_of(kind)(form)) is not None


def _resolve_other(form: str) -> Resolution:
    """Return a known place or organization, or a person with given name and surname; otherwise the form itself."""
    unified = unify_script(form)
    if known := _known_without_kind().get(unified):
        return Resolution(*known, (KNOWN,))
    first, _, last = unified.partition(" ")
    if last and " " not in last and person_spelling(first) in given_names() and _is_slavic(last):
        return _resolve_person(form)
    return Resolution("other", unified, (SCRIPT,) if unified != form else ())


def _is_slavic(surname: str) -> bool:
    return _SLAVIC_SURNAME.search(person_spelling(surname)) is not None


def _resolve_thing(kind: str, form: str) -> Resolution:
    reasons: dict[str, None] = {}
    bare = _apply_step(reasons, SCRIPT, unify_script(form), form)
    if kind == "organization":
        bare = _apply_step(reasons, LEGAL, _strip_words(bare, _LEGAL_FORMS, both_ends=True), bare)
    elif kind == "place":
        bare = _apply_step(reasons, ARTICLE, _strip_words(bare, _BEFORE_PLACES).removeprefix("city of "), bare)
    key = _apply_step(reasons, SCRIPT if is_cyrillic(bare) else SPELLING, _spelling(bare), bare) or form
    if known := _find_known(kind, bare, key):
        return Resolution(kind, known, (*reasons, KNOWN) if known != key else tuple(reasons))
    return Resolution(kind, key, tuple(reasons))


def _resolve_person(form: str) -> Resolution:
    reasons: dict[str, None] = {}
    unified = _apply_step(reasons, SCRIPT, unify_script(form), form)
    key = _apply_step(reasons, SCRIPT if is_cyrillic(unified) else SPELLING, person_spelling(unified), unified) or form
    words = key.split()
    if len(words) > 1:
        words = _apply_step(reasons, ORDER, _given_name_first(words), words)
        words = _apply_step(reasons, GIVEN, [_full_name(words[0]), *words[1:]], words)
        words = _apply_step(reasons, FEMALE, _male_surname(words), words)
        key = " ".join(words)
    if known := _find_known("person", unified, key):
        return Resolution("person", known, (*reasons, KNOWN) if known != key else tuple(reasons))
    return Resolution("person", key, tuple(reasons))


def _given_name_first(words: list[str]) -> list[str]:
    """Reorder ``petrov ivan`` and ``petrov ivan sergeevich``; for other words the order is unclear."""
    given = given_names()
    is_reversed = words[0] not in given and words[1] in given and _SLAVIC_SURNAME.search(words[0])
    if is_reversed and (len(words) == 2 or (len(words) == 3 and _PATRONYMIC.search(words[2]))):
        return [*words[1:], words[0]]
    return words


def _full_name(name: str) -> str:
    known = spellings().get(name, name)
    return full_names().get(known, known)


def _male_surname(words: list[str]) -> list[str]:
    """Return the words with a woman's surname in its male form; her given name keeps her apart."""
    if not words[0].endswith("a"):
        return words
    male = _FEMALE_SURNAME.sub(lambda end: end[1] or f"{end[2]}i", words[-1])
    return [*words[:-1], male]


def _spelling(form: str) -> str:
    """Return the spelling of a name that is not a person's, with adjectives without gender and number."""
    return name_spelling(_ADJECTIVE.sub("ий", form) if is_cyrillic(form) else form)


def _strip_words(form: str, words: frozenset[str], *, both_ends: bool = False) -> str:
    """Return a form without such words at its start, and at its end if ``both_ends``; one word stays."""
    rest = form.split(" ")
    while len(rest) > 1 and rest[0].strip(".,") in words:
        rest = rest[1:]
    while both_ends and len(rest) > 1 and rest[-1].strip(".,") in words:
        rest = rest[:-1]
    return " ".join(rest).strip(" ,") if len(rest) < form.count(" ") + 1 else form


def _apply_step(reasons: dict[str, None], reason: str, after: T, before: T) -> T:
    """Return the value after a step, and record the reason if the step changed it."""
    if after != before:
        reasons[reason] = None
    return after


def _find_known(kind: str, name: str, key: str) -> str | None:
    """Return the key of the known entity that a name means, given the name and its spelling."""
    return _keys(kind).get(_lookup_key(name, key))


def _lookup_key(name: str, key: str) -> EntityKey:
    """Return the look-up key of a known name. Short names are abbreviations, which differ between scripts."""
    return key, "cyrillic" if len(key) <= SHORT_LETTERS and is_cyrillic(name) else ""


@cache
def _keys(kind: str) -> Mapping[EntityKey, str]:
    spelling = _spelling_of(kind)
    return {
        _lookup_key(name, spelling(name)): spelling(names[0]) for _, *names in known_entities(kind) for name in names
    }


@cache
def _known_without_kind() -> Mapping[str, EntityKey]:
    """Return form -> the place or organization that it means even without a kind, unless it is a name of both."""
    forms = {
        kind: {plain_form(name): _spelling(names[0]) for _, *names in known_entities(kind) for name in names}
        for kind in ("place", "organization")
    }
    places, organizations = forms["place"], forms["organization"]
    return {
        form: (kind, key)
        for kind, found in forms.items()
        for form, key in found.items()
        if not (form in places and form in organizations)
    }


@cache
def _titles(kind: str) -> Mapping[str, str]:
    """Return key -> title of the known entities of a kind."""
    return {_spelling_of(kind)(names[0]): title for title, *names in known_entities(kind)}


def _spelling_of(kind: str) -> Callable[[str], str]:
    return _person_spelling if kind == "person" else _spelling


def _person_spelling(form: str) -> str:
    words = person_spelling(form).split()
    return " ".join([_full_name(words[0]), *words[1:]])
