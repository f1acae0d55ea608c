"""Posts and documents with several revisions each, made from a seed."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from chatai_assets_tests.support.pipeline import message

NAMES = ("Москва", "Париж", "Байкал", "Казань", "Лондон", "Мария", "London", "Tolstoy", "Moscow", "Berlin", "Newton")
WORDS = (
    *("сегодня", "вчера", "поезд", "прибыл", "станция", "погода", "рынок", "новый", "старый", "договор", "совет"),
    *("report", "market", "bridge", "river", "today", "station", "council", "weather", "letter", "agreement"),
)
BASE = 1_700_000_000
DAMAGED = b"%PDF-1.4\nnot really\n"


def text(random: Random, number: int, words: int) -> str:
    """Return sentences that no other number has."""
    sentences, left = [f"Запись {number} изменена {random.getrandbits(32):08x} раз."], words
    while left > 0:
        length = random.randint(6, 14)
        chosen = [random.choice(NAMES if random.random() < 0.15 else WORDS) for _ in range(length)]
        sentences.append(f"Тогда {' '.join(chosen)}.")
        left -= length
    return " ".join(sentences)


def posts(seed: int, count: int) -> list[Any]:
    """Return posts of two channels; every seventh is long enough for several chunks."""
    random = Random(seed)
    return [
        message(n, text(random, n, 1_500 if n % 7 == 0 else 30), date=BASE + n, chat=-1_000_000_000_100 - n % 2)
        for n in range(1, count + 1)
    ]


def edits(seed: int, originals: list[Any], share: float) -> list[Any]:
    """Return later revisions of some posts, in the order in which they arrive.

    They are shorter, longer, without words, back to the old words, or followed by an older one that arrives late.
    """
    random = Random(seed + 1)
    chosen = random.sample(originals, round(len(originals) * share))
    found: list[Any] = []
    for position, update in enumerate(chosen):
        found += _revisions(random, position, update["channel_post"])
    return found


def _revisions(random: Random, position: int, post: dict[str, Any]) -> list[Any]:
    number, chat, date = post["message_id"], post["chat"]["id"], post["date"]

    def revision(words: str, after: int) -> Any:
        return message(number, words, date=date, edited=date + after, chat=chat)

    newer, older = text(random, number, 40), text(random, number, 700)
    return [
        [revision(newer, 10)],
        [revision(text(random, number, 1_600), 10)],
        [revision("", 10)],
        [revision(newer, 10), revision(post["text"], 20)],
        [revision(newer, 20), revision(older, 10)],
        [revision(f"Запись {number}.", 10)],
    ][position % 6]


def write_documents(seed: int, folder: Path, count: int) -> list[Path]:
    """Write text files, every tenth of them damaged; return their paths."""
    random = Random(seed + 2)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"document-{number:04}.txt" for number in range(count)]
    for number, path in enumerate(paths):
        _write(path, random, number, damaged=number % 10 == 9)
    return paths


def edit_documents(seed: int, paths: list[Path], share: float) -> list[Path]:
    """Rewrite some of the files: shorter, damaged, or whole if they were damaged; return their paths."""
    random = Random(seed + 3)
    chosen = sorted({*random.sample(paths, round(len(paths) * share)), *paths[9:10]})
    for position, path in enumerate(chosen):
        _write(path, random, position, damaged=position % 4 == 1 and path not in paths[9:10], words=100)
    return chosen


def edit_document(seed: int, path: Path, number: int) -> None:
    """Rewrite a file, always with the same words for the same number; every fifth becomes damaged."""
    _write(path, Random(seed * 1_000 + number), number, damaged=number % 5 == 4, words=100)


def _write(path: Path, random: Random, number: int, *, damaged: bool, words: int = 1_400) -> None:
    content = text(random, number, words).encode()
    path.write_bytes(DAMAGED + content if damaged else content)
