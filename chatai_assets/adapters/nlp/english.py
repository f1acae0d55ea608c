"""English: noun phrases between stop words, and names by capital letters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from chatai_assets.adapters.nlp.ner import Span
from chatai_assets.adapters.nlp.phrases import Phrase, Token, runs
from chatai_assets.domain.text.language import word_set
from chatai_assets.domain.text.sentences import sentence_starts

STOP_WORDS = word_set(
    "a an the and or but if then than so as at by for from in into of off on onto out over to up with without about"
    " after again against all also am any are around be became because become been before being below between both"
    " can could did do does doing down during each even ever every few get gets got had has have having he her here"
    " hers him his how i is it its itself just last let like made make makes many may me might more most much must"
    " my never new next no not now one only other our own per put said same say says saying see seen she should"
    " since some still such take taken takes that their them themselves there these they this those through told too"
    " took two three under until us very via want wants was we well went were what when where which while who whom"
    " whose why will would year years yes yet you your today yesterday tomorrow monday tuesday wednesday thursday"
    " friday saturday sunday january february march april june july august september october november december day"
    " days week weeks month months time times back ago according including first second amid among another ask asks"
    " asked call calls called come comes due early far find finds found four five give gives given go goes going"
    " good great help know knows late later left little live long look looks lot man men need needs old part people"
    " percent place point really right set show shows shown start starts thing things think use used uses using"
    " video watch way woman women work works world read full breaking report reports reported news follow join"
    " subscribe channel click link source image photo story update exclusive keep keeps run runs running hit hits"
    " kill kills killed die dies died face faces warn warns turn turns becomes near nearly dozen dozens hundreds"
    " thousands million millions billion ahead across despite however although whether behind toward towards within"
    " upon once else maybe already always often rather quite almost enough ever-growing release releases accuse"
    " accuses claim claims reveal reveals announce announces open opens close closes begin begins flash latest alert"
    " counter held led sent shot seeks seek working speed fast move moves plan plans vast drop drops raise don't"
    " can't won't isn't wasn't didn't doesn't aren't it's i'm you're they're we're he's she's that's there's"
)
_WORD = r"[A-Z](?:[\w&-]|\.(?=\w)|['’](?=\w)(?!s\b))*"
_NAME = re.compile(rf"\b{_WORD}(?:[ \u00a0](?:(?:of|the|de|la|von|van|bin|al|for)[ \u00a0]){{0,2}}{_WORD})*")
"""Ends before a possessive: "Jeff Bezos' Amazon" is two names."""
_CAPITAL_WORD = re.compile(rf"\b{_WORD}")
_MAX_NAME_WORDS = 6
_ORGANIZATIONS = word_set(
    "inc corp ltd llc plc group university college institute bank ministry party council committee department"
    " agency association union court commission company club federation foundation times post news army navy force"
    " forces police senate congress parliament house office service services fund authority board team media network"
    " school hospital"
)
_PLACES = word_set(
    "city county state island islands river mountain mountains sea ocean bay valley street road avenue park airport"
    " province district republic lake desert peninsula strait gulf coast square bridge"
)
_TITLES = word_set(
    "mr mrs ms dr president minister senator sen rep gov governor general king queen prince princess judge justice"
    " rabbi chancellor secretary mayor professor prof sir pope ceo chairman director spokesman spokeswoman actor"
    " singer"
)
_COUNTRIES = word_set(
    "afghanistan africa america argentina armenia asia australia austria azerbaijan bangladesh belarus belgium"
    " brazil britain bulgaria california cambodia canada chile china colombia crimea croatia cuba cyprus czechia"
    " denmark egypt england estonia ethiopia europe finland florida france gaza georgia germany greece hungary"
    " iceland india indonesia iran iraq ireland israel italy japan jordan kazakhstan kenya korea kosovo kuwait kyiv"
    " latvia lebanon libya lithuania london malaysia mexico moldova mongolia morocco moscow myanmar nepal"
    " netherlands nigeria norway pakistan palestine paris peru philippines poland portugal qatar romania russia"
    " scotland serbia singapore slovakia slovenia somalia spain sudan sweden switzerland syria taiwan thailand tokyo"
    " tunisia turkey uk ukraine us usa uae venezuela vietnam wales washington yemen beijing berlin brussels"
    " jerusalem tehran texas ohio dubai"
)
_NATIONALITIES = word_set(
    "afghan african american arab arabic argentine armenian asian australian austrian belarusian belgian brazilian"
    " british bulgarian canadian chilean chinese christian colombian croatian cuban czech danish dutch egyptian"
    " english estonian ethiopian european finnish french georgian german greek hungarian indian indonesian iranian"
    " iraqi irish islamic israeli italian japanese jewish korean kurdish latvian lebanese libyan lithuanian mexican"
    " moldovan moroccan muslim nigerian norwegian pakistani palestinian palestinians polish portuguese romanian"
    " russian russians saudi scottish serbian slovak somali spanish sudanese swedish swiss syrian taiwanese thai"
    " tunisian turkish ukrainian ukrainians venezuelan vietnamese israelis americans europeans chinese-made"
    " russian-born"
)
_FIRST_NAMES = word_set(
    "adam alan alex alexander alice amy andrew angela anna anne anthony antony arthur barack ben benjamin bill bob"
    " boris brian carl charles chris christopher daniel david diana donald dmitry ed edward elizabeth elon emily"
    " emma emmanuel eric frank gary george hillary henry ivan jack james jane jason jeff jennifer jeremy jerome jim"
    " joe john jonathan joseph justin kamala karen kate keir kevin larry laura lebron linda lisa mark maria mary"
    " matt michael michelle mike mohammed naftali nancy narendra nick nicolas nikki olaf oleg olga oliver patrick"
    " paul peter philip rachel richard rishi robert ron ronald ruth sam sarah scott sergei sergey simon stephen"
    " steve steven susan tim tom thomas tony vladimir volodymyr walter william xi yair yoav"
)
_MOST_SHOUTED_LETTERS = 5
_IN = word_set("in near across throughout")


def english_phrases(text: str, names: Sequence[Span]) -> Iterator[Phrase]:
    """Yield the last words of each run without stop words: in English the noun comes last."""
    name_ends = {name.end for name in names}
    for run in runs(text, names):
        words: list[Token] = []
        for token in [*run, None]:
            if token is not None and _may_be_noun(token, after_name=token.start - 1 in name_ends):
                words.append(token)
                continue
            if kept := _nouns(words):
                yield Phrase(kept[0].start, kept[-1].end, tuple(_singular(noun.word) for noun in kept))
            words = []


def _may_be_noun(token: Token, *, after_name: bool) -> bool:
    """Whether a word can stand in a phrase; after a name a word in -s is its verb: "Macron urges"."""
    if token.word in STOP_WORDS or len(token.word) < 3:
        return False
    return not (after_name and _singular(token.word) != token.word)


def _nouns(words: Sequence[Token]) -> Sequence[Token]:
    """Return at most three words, without what looks like a verb or an adverb at either end."""
    first, last = max(0, len(words) - 3), len(words)
    while first < last and words[first].word.endswith(("ed", "ly", "ing")):
        first += 1
    while first < last and words[last - 1].word.endswith(("ed", "ly")):
        last -= 1
    return words[first:last]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def english_names(text: str) -> list[Span]:
    """Return the stretches of capitalised words that are not just the first word of a sentence, in order.

    Headlines in capitals have none: there the rule knows nothing.
    """
    starts = {0, *sentence_starts(text)}
    inside = {match.group() for match in _NAME.finditer(text) if match.start() not in starts}
    lowered = set(re.findall(r"\b[a-z]{3,}\b", text))
    found = []
    for start, end in _candidates(text):
        name = text[start:end]
        alone = start in starts and " " not in name and not name.isupper()
        if not alone or (name in inside and name.lower() not in lowered):
            found.append(Span(start, end, _kind(text, start, end)))
    return found


def _candidates(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of capitalised words, cut where a stop word stands with a capital letter."""
    for match in _NAME.finditer(text):
        if _shouts(text, match.start()):
            continue
        words = _CAPITAL_WORD.finditer(text, match.start(), match.end())
        for empty, group in groupby(words, key=lambda word: _is_empty(word.group())):
            part = list(group)
            names = [word.group() for word in part]
            if not empty and len(part) <= _MAX_NAME_WORDS and len("".join(names)) > 1 and not _is_no_name(names):
                yield part[0].start(), part[-1].end()


def _is_empty(word: str) -> bool:
    return word.lower() in STOP_WORDS and word not in {"US", "IT", "WHO"}


def _is_no_name(words: Sequence[str]) -> bool:
    """Whether words are a nationality, or more than an abbreviation in capitals."""
    if len(words) == 1:
        return words[0].lower() in _NATIONALITIES or (words[0].isupper() and len(words[0]) > _MOST_SHOUTED_LETTERS)
    return all(word.isupper() for word in words)


def _shouts(text: str, at: int) -> bool:
    """Whether the line around an offset is written in capitals."""
    line = text[text.rfind("\n", 0, at) + 1 : at + 80].partition("\n")[0]
    letters = [character for character in line if character.isalpha()]
    return len(letters) > 12 and sum(character.isupper() for character in letters) > 0.7 * len(letters)


def _kind(text: str, start: int, end: int) -> str:
    """Guess what a name names from its words and the word before it."""
    words = text[start:end].split()
    lowered = [word.lower().rstrip(".") for word in words]
    before = text[max(0, start - 20) : start].lower().split()[-1:]
    if lowered[-1] in _ORGANIZATIONS or (words[0].isupper() and len(words) == 1 and lowered[0] not in _COUNTRIES):
        return "organization"
    if _is_person(lowered, before):
        return "person"
    if _ORGANIZATIONS.intersection(lowered):
        return "organization"
    return "place" if lowered[-1] in _COUNTRIES | _PLACES or _IN.intersection(before) else "other"


def _is_person(lowered: Sequence[str], before: Sequence[str]) -> bool:
    titled = [*before, *lowered[:-1]]
    return any(word.rstrip(".") in _TITLES for word in titled) or (len(lowered) > 1 and lowered[0] in _FIRST_NAMES)
