"""Russian: noun phrases by part of speech, and names in their normal form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from chatai_assets.adapters.nlp.morphology import Form, forms_of
from chatai_assets.adapters.nlp.ner import Span
from chatai_assets.adapters.nlp.phrases import Phrase, Token, runs, tokens_of
from chatai_assets.domain.entities.resolution import is_known
from chatai_assets.domain.text.language import word_set
from chatai_assets.domain.text.spelling import plain_form

MAX_WORDS = 4
"""Words of a noun phrase: longer ones are clauses, no tags."""

LONGEST_ABBREVIATION = 5
"""Letters; the dictionary takes "БПЛА" for a verb, so what is this short and in capitals stays as it is."""

EMPTY_NOUNS = word_set(
    "год день неделя месяц час минута секунда время раз слово дело часть число случай место момент сторона вопрос"
    " итог ряд ход образ вид рамка течение очередь частность связь человек люди мнение пример вещь способ вариант"
    " тема суть причина результат пара смысл качество количество уровень процент тысяча миллион миллиард тыс млн"
    " млрд руб рубль доллар евро понедельник вторник среда четверг пятница суббота воскресенье январь февраль март"
    " апрель май июнь июль август сентябрь октябрь ноябрь декабрь утро вечер ночь канал пост ссылка комментарий"
    " подписка подписчик чат бот сообщение источник материал новость фото видео конец начало половина большинство"
    " основа счёт помощь отношение сутки век период срок том друг автор штука возможность цель лицо порядок тип"
    " версия шаг имя читатель запись текст подробность деталь около рад долг соответствие отличие наличие вместо"
    " статья"
)
_KIND_PARTS = {
    "person": frozenset({"Name", "Surn", "Patr"}),
    "place": frozenset({"Geox"}),
    "organization": frozenset({"Orgn", "Trad"}),
}


def russian_phrases(text: str, names: Sequence[Span]) -> Iterator[Phrase]:
    """Yield the noun phrases between the names: adjectives, a noun, and a noun in the genitive that follows."""
    for run in runs(text, names):
        at = 0
        while at < len(run):
            head = _head(run, at)
            if head is None:
                at += 1
                continue
            end = _genitive_end(run, at, head) or head + 1
            yield _phrase(run[at:end], head - at)
            at = end


def _head(run: Sequence[Token], at: int) -> int | None:
    """Return where the noun of a phrase stands that begins here; None if none does."""
    if not forms_of(run[at].word):
        return _foreign_end(run, at)
    agreeing: set[tuple[str | None, str]] | None = None
    for index in range(at, min(at + MAX_WORDS, len(run))):
        forms = forms_of(run[index].word)
        if _is_noun(run[index], forms):
            return index if agreeing is None or agreeing & _agreements(forms, "noun") else None
        described = _agreements(forms, "adjective") if forms and forms[0].pos == "adjective" else set()
        agreeing = described if agreeing is None else agreeing & described
        if not agreeing:
            return None
    return None


def _foreign_end(run: Sequence[Token], at: int) -> int | None:
    """Return the last of the words in Latin letters that begin here: "Storm Shadow"."""
    last = at
    while last + 1 < min(at + MAX_WORDS, len(run)) and not forms_of(run[last + 1].word):
        last += 1
    return last if last > at or len(run[at].word) > 1 else None


def _is_noun(token: Token, forms: Sequence[Form]) -> bool:
    return bool(forms) and forms[0].pos == "noun" and len(token.word) > 2


def _agreements(forms: Sequence[Form], pos: str) -> set[tuple[str | None, str]]:
    return {(form.case, form.agreement) for form in forms if form.pos == pos}


def _genitive_end(run: Sequence[Token], at: int, head: int) -> int | None:
    """Return the end of a phrase whose noun is followed by another in the genitive: "министр обороны"."""
    if head + 1 >= len(run) or not forms_of(run[head].word):
        return None
    second = _head(run, head + 1)
    if second is None or second + 1 - at > MAX_WORDS:
        return None
    forms = forms_of(run[second].word)
    return second + 1 if forms and forms[0].case == "gent" else None


def _phrase(tokens: Sequence[Token], head: int) -> Phrase:
    forms = [forms_of(token.word) for token in tokens]
    lemmas = tuple(options[0].lemma if options else token.word for token, options in zip(tokens, forms, strict=True))
    plain = not forms[head] or any(form.case == "nomn" for form in forms[head])
    return Phrase(tokens[0].start, tokens[-1].end, lemmas, plain=plain)


def name_form(name: str, kind: str) -> str:
    """Return the form that the cases of a name share: ``"Владимира Путина"`` -> ``"владимир путин"``.

    A key, not good Russian: each word stands in its own normal form, "российский федерация", unless the name is a known
    one as it stands.

    Args:
        name: as it stands in the text.
        kind: ``person organization place other``; says which reading of an ambiguous word is meant.
    """
    if is_known(kind, plain := plain_form(name)):
        return plain
    words = [name[token.start : token.end] for token in tokens_of(name)]
    options = [_readings(word, _KIND_PARTS.get(kind, frozenset())) for word in words]
    return plain_form(" ".join(_agreed(options) if kind == "person" else [forms[0].lemma for forms in options]))


def _readings(word: str, parts: frozenset[str]) -> list[Form]:
    """Return the readings of a word of a name, those of its kind only where there are some."""
    lowered = word.lower()
    forms = () if word.isupper() and len(word) <= LONGEST_ABBREVIATION else forms_of(lowered)
    forms = forms or (Form("other", lowered, None, "", frozenset()),)
    return [form for form in forms if form.parts & parts] or list(forms[:1])


def _agreed(options: Sequence[Sequence[Form]]) -> list[str]:
    """Return the lemmas of the first readings that stand in one case and gender; else of the likeliest ones."""
    for reading in product(*(forms[:4] for forms in options[:3])):
        if len({(form.case, form.agreement) for form in reading}) == 1:
            return [form.lemma for form in reading] + [forms[0].lemma for forms in options[3:]]
    return [forms[0].lemma for forms in options]
