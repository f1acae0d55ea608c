"""Hashes of parts and contents in a file, so that two sets of any size are compared in partitions.

The hashes are Python's hashes of strings: 64 bits, with a random key per process. The probability that a change among a
million parts is missed because of a collision is one in ten million million.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

PARTITIONS = 64
"""The first bits of a part's hash select its partition: of 100 million pairs each has 25 MB."""
BUFFERED_PAIRS = 1 << 16
"""Pairs in memory until they are written, sorted by partition."""
PAIR_BYTES = 16
ANYTHING = None
"""Content that matches any other."""
_FIRST_BITS = np.uint64(64 - PARTITIONS.bit_length() + 1)
_OF_EXPECTED, _OF_FOUND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
"""Odd, so that multiplication maps different contents to different numbers."""

Numbers = NDArray[np.uint64]


def digests(texts: Iterable[str | None]) -> Numbers:
    """Return the hash of each text; hashes of different processes cannot be compared."""
    return np.fromiter(map(hash, texts), np.int64).view(np.uint64)


def is_member(numbers: Numbers, ordered: Numbers) -> NDArray[np.bool_]:
    """Return for each number whether it is in ``ordered``, which is sorted in ascending order."""
    if not len(ordered):
        return np.zeros(len(numbers), np.bool_)
    places = np.searchsorted(ordered, numbers)
    return np.equal(ordered[np.minimum(places, len(ordered) - 1)], numbers)


class Digests:
    """Pairs of hashes, part and content, in a file.

    Args:
        file: an empty file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer: list[Numbers] = []
        self._buffered = 0
        self._bounds: list[Sequence[int]] = []
        self._written = 0

    def add(self, parts: Numbers, contents: Numbers) -> None:
        """Add pairs."""
        self._buffer.append(np.column_stack((parts, contents)))
        self._buffered += len(parts)
        if self._buffered >= BUFFERED_PAIRS:
            self._write()

    def partition(self, number: int) -> Numbers:
        """Return the pairs of a partition, including duplicates."""
        if self._buffer:
            self._write()
        runs = [self._read(bounds[number], bounds[number + 1]) for bounds in self._bounds]
        return np.concatenate([np.empty((0, 2), np.uint64), *runs])

    def parts(self) -> int:
        """Return the number of distinct parts."""
        return sum(len(np.unique(self.partition(number)[:, 0])) for number in range(PARTITIONS))

    def _write(self) -> None:
        pairs = np.concatenate(self._buffer)
        pairs = pairs[np.argsort(pairs[:, 0])]
        bounds = np.searchsorted(pairs[:, 0] >> _FIRST_BITS, np.arange(PARTITIONS + 1, dtype=np.uint64))
        self._file.seek(self._written * PAIR_BYTES)
        self._file.write(pairs.tobytes())
        self._bounds.append((bounds + self._written).tolist())
        self._written += len(pairs)
        self._buffer, self._buffered = [], 0

    def _read(self, first: int, beyond: int) -> Numbers:
        self._file.seek(first * PAIR_BYTES)
        return np.frombuffer(self._file.read((beyond - first) * PAIR_BYTES), np.uint64).reshape(-1, 2)


def differing(expected: Digests, found: Digests) -> Numbers:
    """Return the parts that differ in ascending order, each with a number that identifies the difference.

    A part differs if a found pair is not expected, or if it is not found, unless any content is allowed. The numbers of
    two comparisons are equal if the same contents were expected and found both times.
    """
    return np.concatenate(
        [_differing(expected.partition(number), found.partition(number)) for number in range(PARTITIONS)]
    )


def same_rows(some: Numbers, others: Numbers) -> Numbers:
    """Return the rows that both arrays have; both have two columns and are sorted by the first, which is unique."""
    both: Numbers = some[is_member(some[:, 0], others[:, 0])]
    same: Numbers = both[both[:, 1] == others[np.searchsorted(others[:, 0], both[:, 0]), 1]]
    return same


def _differing(expected: Numbers, found: Numbers) -> Numbers:
    unexpected = found[~is_member(_pair_hashes(found), np.sort(_pair_hashes(expected))), 0]
    missing = expected[~is_member(expected[:, 0], np.sort(found[:, 0])), 0]
    free = expected[expected[:, 1] == digests([ANYTHING]), 0]
    parts = np.unique(np.concatenate((unexpected, missing)))
    parts = parts[~is_member(parts, np.sort(free))]
    return np.column_stack(
        (parts, _sum_contents(parts, expected) * _OF_EXPECTED + _sum_contents(parts, found) * _OF_FOUND)
    )


def _sum_contents(parts: Numbers, pairs: Numbers) -> Numbers:
    """Return the sum of the distinct contents of each part."""
    mine = np.unique(pairs[is_member(pairs[:, 0], parts)], axis=0)
    sums = np.zeros(len(parts), np.uint64)
    np.add.at(sums, np.searchsorted(parts, mine[:, 0]), mine[:, 1])
    return sums


def _pair_hashes(pairs: Numbers) -> Numbers:
    return pairs[:, 0] * _OF_EXPECTED + pairs[:, 1]
