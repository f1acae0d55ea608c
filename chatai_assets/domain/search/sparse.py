"""Sparse vectors from stems (BM25 without IDF, which the index adds), and windows of long texts.

The index multiplies each weight by the inverse document frequency of its own points (``modifier=Idf``), so a document's
vector depends on the document alone: it is computed once and stays valid as the index grows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

SATURATION = 1.2
"""BM25's k1: how quickly repetitions of a word stop counting."""
LENGTH_PENALTY = 0.5
"""BM25's b. Below the usual 0.75, because the average length is assumed and posts are far shorter than chunks."""
AVERAGE_STEMS = 120
"""BM25's average length. Constant, since a measured one would change the weights of every stored point."""

WINDOW_WORDS = 100
"""A sentence encoder loses detail in texts longer than about this."""
_WORD = re.compile(r"\S+")


@lru_cache(maxsize=1 << 16)
def term_id(stem: str) -> int:
    """Return the id of a stem in every sparse vector: its CRC-32.

    A vocabulary of 200,000 stems has about five collisions; the counts of colliding stems add up.
    """
    return crc32(stem.encode("utf-8", "surrogatepass"))


def sparse_terms(stems: Sequence[str]) -> tuple[list[int], list[float]]:
    """Return the term ids of a document, ascending uint32, and the BM25 weight of each without IDF.

    Args:
        stems: all stems of one chunk, including repetitions.
    """
    penalty = SATURATION * (1 - LENGTH_PENALTY + LENGTH_PENALTY * len(stems) / AVERAGE_STEMS)
    counts = Counter(map(term_id, stems))
    weights = {count: count * (SATURATION + 1) / (count + penalty) for count in set(counts.values())}
    ids = sorted(counts)
    return ids, [weights[counts[i]] for i in ids]


def query_terms(stems: Iterable[str]) -> tuple[list[int], list[float]]:
    """Return the term ids of a query, ascending uint32, each with weight 1 however often the word occurs."""
    ids = sorted({term_id(stem) for stem in stems})
    return ids, [1.0] * len(ids)


def windows(text: str, words: int = WINDOW_WORDS) -> list[str]:
    """Return a text as windows with equal numbers of words, about ``words`` each; joined they are the text.

    A text of up to 1.5 times ``words`` is one window. The mean of the vectors of its windows finds a long chunk better
    than one vector of the whole: with five unrelated passages in a chunk, XQuAD's questions rank the right chunk first
    in 49 % (ru) and 51 % (en) of cases instead of 41 % and 48 %.
    """
    starts = [match.start() for match in _WORD.finditer(text)]
    if len(starts) <= words * 1.5:
        return [text]
    count = -(-len(starts) // words)
    cuts = [0, *(starts[len(starts) * n // count] for n in range(1, count)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]
