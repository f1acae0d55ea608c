"""The code speaks the field's words: no private words in names, docstrings and comments."""

import ast
import csv
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
MECHANISMS = (
    "bury buried condemn condemned dawdler desk desks entomb errand errands killer killers last_words letters_of "
    "loose_ends porter put_clocks_right setting_aside stone_of turnstile wish_of"
)
ARCHAIC = "anew befall befalls befell lest likewise nobody somebody whichever whoever mend mended mends tell tells told"
PRIVATE_WORDS = [*MECHANISMS.split(), *ARCHAIC.split()]
"""Words that once named mechanisms here, or that no engineer uses of one; the glossary has the words to use."""
IN_NAMES = re.compile(rf"(?<![a-z])(?:{'|'.join(PRIVATE_WORDS)})(?![a-z])", re.IGNORECASE)
IN_PROSE = re.compile(
    rf"\b(?:{'|'.join(word for word in PRIVATE_WORDS if '_' not in word)}|once more|no more|of which|of whom|beside)\b",
    re.IGNORECASE,
)
KNOWN = Path(__file__).parent / "private_words.tsv"
"""Modules that still hold such words, and how many: only ever fewer."""
MODULES = [path for path in sorted((PROJECT / "chatai_assets").rglob("*.py")) if path.parent.name != "versions"]


def place(module: Path) -> str:
    return module.relative_to(PROJECT).as_posix()


def names(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.string


def prose(source: str) -> Iterator[str]:
    """Yield comments, docstrings and the strings that describe attributes."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def private_words(module: Path) -> list[str]:
    source = module.read_text(encoding="utf-8")
    in_prose = [found.group().lower() for text in prose(source) for found in IN_PROSE.finditer(text)]
    return sorted({name for name in names(source) if IN_NAMES.search(name)}) + in_prose


def known_counts() -> dict[str, int]:
    with KNOWN.open(encoding="utf-8", newline="") as file:
        return {name: int(count) for name, count in csv.reader(file, delimiter="\t")}


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_a_module_speaks_plainly(module: Path):
    found = private_words(module)
    assert len(found) <= known_counts().get(place(module), 0), found
