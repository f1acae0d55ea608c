"""Nearly free models (setting value ``free``): for tests and benchmarks of the pipeline, not for real searches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, pairwise

import numpy as np

from chatai_assets.adapters.models.base import ModelInput, Vector
from chatai_assets.domain.embedding_model import FREE_DIMENSIONS
from chatai_assets.domain.extraction import Entity, Extraction, co_occurrence
from chatai_assets.domain.tagging import usable_words
from chatai_assets.domain.text.spelling import plain_form

_READ_CHARS = 2_000
"""Characters of a text that a free model reads."""


class FirstWordsTagger:
    """The first three words of letters are the tags."""

    model = "free-first-words-1"

    def tag(self, questions: Sequence[ModelInput]) -> list[list[str]]:
        """Return up to three distinct words per text, in order."""
        return [self._first_words(text[:_READ_CHARS]) or self._first_words(text) for _, text, _ in questions]

    @staticmethod
    def _first_words(text: str) -> list[str]:
        distinct: dict[str, str] = {}
        for word in islice(usable_words(text), 20):
            distinct.setdefault(word.casefold(), word)
            if len(distinct) == 3:
                break
        return list(distinct.values())


class HashedEmbedder:
    """Counts of hashed runs of four bytes, squashed and scaled to length 1.

    Equal texts have equal vectors, and texts that share words have close ones; more dimensions separate texts better.

    Args:
        dimensions: a power of two.
    """

    _MIXER = np.uint32(2_654_435_761)  # Knuth's multiplicative hash: its high bits depend on all bits of the run

    def __init__(self, dimensions: int = FREE_DIMENSIONS) -> None:
        self.model = f"free-hashed-{dimensions}-1"
        self.dimensions = dimensions
        self._low_bits = np.uint32(32 - (dimensions.bit_length() - 1))

    def embed(self, questions: Sequence[ModelInput]) -> list[Vector]:
        """Return one unit-length vector per text; an empty text has one as well."""
        return [self._vector(text[:_READ_CHARS]) for _, text, _ in questions]

    def _vector(self, text: str) -> Vector:
        encoded = np.frombuffer(f" {text} ".lower().encode("utf-8", "surrogatepass").ljust(4), dtype=np.uint8)
        letters = encoded.astype(np.uint32)
        runs = letters[:-3] | letters[1:-2] << 8 | letters[2:-1] << 16 | letters[3:] << 24
        counts = np.bincount(runs * self._MIXER >> self._low_bits, minlength=self.dimensions)
        vector = np.sqrt(counts.astype(np.float32))
        return np.divide(vector, np.linalg.norm(vector), dtype=np.float32)


class CapitalisedExtractor:
    """The first few words with a capital letter inside a sentence are entities; neighbours are related."""

    model = "free-capitalised-1"
    _NAME = re.compile(r"(?<=[^\W_] )[A-ZА-ЯЁ][a-zа-яё]{2,30}(?!\w)")
    _MAX_ENTITIES = 5

    def extract(self, questions: Sequence[ModelInput]) -> list[Extraction]:
        """Return up to five entities of kind ``other`` per chunk and the weak relations of neighbours."""
        return [self._extraction(text[:_READ_CHARS]) for _, text, _ in questions]

    def _extraction(self, chunk: str) -> Extraction:
        entities: dict[str, Entity] = {}
        for match in islice(self._NAME.finditer(chunk), self._MAX_ENTITIES):
            form = plain_form(match.group())
            entities.setdefault(form, Entity(match.group(), form, "other"))
        relations = tuple(co_occurrence(first, second) for first, second in pairwise(entities))
        return Extraction(tuple(entities.values()), relations)
