"""Parts of a store and their contents as numbers in a file: two sets of any size, compared by portions.

The numbers are Python's hashes of texts: 64 bits, under a key that each process draws. That something altered stays
unseen among a million parts, because it has the number of another, comes once in ten million million times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

PORTIONS = 64
"""The first bits of a part's number tell its portion: of 100 million pairs one has 25 MB."""
BUFFERED_PAIRS = 1 << 16
"""Pairs that are held until they are written, in the order of portions."""
PAIR_BYTES = 16
ANYTHING = None
"""The content of what may be as it likes."""
_FIRST_BITS = np.uint64(64 - PORTIONS.bit_length() + 1)
_OF_EXPECTED, _OF_FOUND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
"""Odd, so that no two contents become one."""

Numbers = NDArray[np.uint64]


def digests(texts: Iterable[str | None]) -> Numbers:
    """Return the number of each text; those of another process do not compare."""
    return np.fromiter(map(hash, texts), np.int64).view(np.uint64)


def is_member(numbers: Numbers, ordered: Numbers) -> NDArray[np.bool_]:
    """Return of each number whether it is one of others, which ascend."""
    if not len(ordered):
        return np.zeros(len(numbers), np.bool_)
    places = np.searchsorted(ordered, numbers)
    return np.equal(ordered[np.minimum(places, len(ordered) - 1)], numbers)


class Digests:
    """Pairs of numbers, part and content, in a file: one row each.

    Args:
        file: empty.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._held: list[Numbers] = []
        self._holds = 0
        self._bounds: list[Sequence[int]] = []
        self._written = 0

    def add(self, parts: Numbers, contents: Numbers) -> None:
        """Take pairs."""
        self._held.append(np.column_stack((parts, contents)))
        self._holds += len(parts)
        if self._holds >= BUFFERED_PAIRS:
            self._write()

    def portion(self, number: int) -> Numbers:
        """Return the pairs of a portion, as often as they were taken."""
        if self._held:
            self._write()
        runs = [self._read(bounds[number], bounds[number + 1]) for bounds in self._bounds]
        return np.concatenate([np.empty((0, 2), np.uint64), *runs])

    def parts(self) -> int:
        """Return of how many parts pairs were taken."""
        return sum(len(np.unique(self.portion(number)[:, 0])) for number in range(PORTIONS))

    def _write(self) -> None:
        pairs = np.concatenate(self._held)
        pairs = pairs[np.argsort(pairs[:, 0])]
        bounds = np.searchsorted(pairs[:, 0] >> _FIRST_BITS, np.arange(PORTIONS + 1, dtype=np.uint64))
        self._file.seek(self._written * PAIR_BYTES)
        self._file.write(pairs.tobytes())
        self._bounds.append((bounds + self._written).tolist())
        self._written += len(pairs)
        self._held, self._holds = [], 0

    def _read(self, first: int, beyond: int) -> Numbers:
        self._file.seek(first * PAIR_BYTES)
        return np.frombuffer(self._file.read((beyond - first) * PAIR_BYTES), np.uint64).reshape(-1, 2)


def differing(expected: Digests, found: Digests) -> Numbers:
    """Return the parts that differ, ascending, each with a number that says how.

    One differs whose pair is not expected, or of which nothing is found; none differs that may be as it likes.
    The numbers of two looks are equal if both times the same contents were expected and found of a part.
    """
    return np.concatenate([_differing(expected.portion(number), found.portion(number)) for number in range(PORTIONS)])


def same_rows(some: Numbers, others: Numbers) -> Numbers:
    """Return the rows of two columns that stand in both; all ascend by the first, which names a row once."""
    both: Numbers = some[is_member(some[:, 0], others[:, 0])]
    same: Numbers = both[both[:, 1] == others[np.searchsorted(others[:, 0], both[:, 0]), 1]]
    return same


def _differing(expected: Numbers, found: Numbers) -> Numbers:
    strange = found[~is_member(_pair_hashes(found), np.sort(_pair_hashes(expected))), 0]
    missing = expected[~is_member(expected[:, 0], np.sort(found[:, 0])), 0]
    free = expected[expected[:, 1] == digests([ANYTHING]), 0]
    parts = np.unique(np.concatenate((strange, missing)))
    parts = parts[~is_member(parts, np.sort(free))]
    return np.column_stack(
        (parts, _sum_contents(parts, expected) * _OF_EXPECTED + _sum_contents(parts, found) * _OF_FOUND)
    )


def _sum_contents(parts: Numbers, pairs: Numbers) -> Numbers:
    """Return the sum of the different contents of each part."""
    mine = np.unique(pairs[is_member(pairs[:, 0], parts)], axis=0)
    told = np.zeros(len(parts), np.uint64)
    np.add.at(told, np.searchsorted(parts, mine[:, 0]), mine[:, 1])
    return told


def _pair_hashes(pairs: Numbers) -> Numbers:
    return pairs[:, 0] * _OF_EXPECTED + pairs[:, 1]
