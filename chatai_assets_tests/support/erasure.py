"""Shared by tests of erasure: items with unique words, and a search for these words in files and tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from chatai_assets.operations.erasure import Stores
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.support.pipeline import CHAT, NOON, ingest_files, ingest_posts, message, process_all, rows

POST = f"tg/{CHAT}/1"
KEPT = "Вчера Мария видела Байкал рядом."
SECRETS = ("Зюзюкин", "Кржижановград", "quuxbridge", "Ъмчетверг")
"""Words of the erased items: a person, a place, a word of a link, the name of a file."""


def erasure_stores(services: Services) -> Stores:
    """Return all stores that may hold data of an item."""
    return Stores(services.records, services.blobs, services.indexes, services.graph)


def secret_post(number: int = 1, *, edited: int | None = None, more: str = "") -> Any:
    """Return a post that will be erased."""
    text = f"Вчера Иван Зюзюкин видел Кржижановград рядом. {more} https://quuxbridge.example/page"
    return message(number, text, edited=edited)


def secret_document(folder: Path, name: str = "Ъмчетверг.txt", more: str = "") -> Path:
    """Write a document that will be erased."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"Договор. Вчера Иван Зюзюкин видел Кржижановград. {more}", encoding="utf-8")
    return path


def ingest_all(services: Services, folder: Path, *, tenant: str = "default", now: float = NOON) -> str:
    """Ingest and process two posts and two documents; return the key of the document to erase."""
    ingest_posts(services, [secret_post(), message(2, KEPT)], tenant=tenant, now=now)
    other = folder / "b.txt"
    path = secret_document(folder)
    other.write_text("Цена и срок. Вчера Мария видела Париж.", encoding="utf-8")
    ingest_files(services, [path, other], tenant=tenant, now=now)
    process_all(services)
    found = rows(services, schema.documents, schema.documents.c.file_name == path.name)
    return str(next(row["source_key"] for row in found if row["tenant_id"] == tenant))


def find_traces(folder: Path, words: Iterable[str] = SECRETS) -> list[str]:
    """Return which files below a folder contain any of the words, in any encoding that stores use."""
    needles = {
        word: [
            word.encode(code)
            for code in ("utf-8", "utf-16-le", "utf-16-be", "cp1251", "unicode-escape")
            if _can_encode(word, code)
        ]
        for word in _word_forms(words)
    }
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # a server removed a cached file
            continue
        found += [
            f"{file.relative_to(folder)}: {word}"
            for word, encoded in needles.items()
            if any(needle in content for needle in encoded)
        ]
    return found


def find_traces_in_tables(services: Services, words: Iterable[str] = SECRETS) -> list[str]:
    """Return which tables of the record store contain any of the words."""
    found = []
    for table in schema.metadata.sorted_tables:
        for row in rows(services, table):
            text = repr(row)
            found += [f"{table.name}: {word}" for word in _word_forms(words) if word in text]
    return found


def find_traces_in_projections(services: Services, words: Iterable[str] = SECRETS) -> list[str]:
    """Return which of the words the index and the graph return."""
    told = [
        *map(repr, services.vectors.points()),
        *map(repr, services.graph.nodes()),
        *map(repr, services.graph.edges()),
    ]
    return [word for word in _word_forms(words) if any(word in text for text in told)]


def dump_tables(services: Services) -> dict[str, list[str]]:
    """Return all rows of the record store, table by table."""
    with services.records.reading() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)))) for table in schema.metadata.sorted_tables
        }


def _word_forms(words: Iterable[str]) -> set[str]:
    return {form for word in words for form in (word, word.lower())}


def _can_encode(word: str, code: str) -> bool:
    try:
        word.encode(code)
    except UnicodeEncodeError:
        return False
    return True
