"""Which revision of an item is the latest, and which arrival says nothing new."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from chatai_assets.domain.ids import digest

ArrivalOutcome = Literal["latest", "superseded", "unchanged", "skipped"]
Kind = Literal["post", "document"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One revision of one item as it arrived.

    Attributes:
        door: ``file``, ``folder``, ...: by which way it arrived.
        payload: the raw record of a post; of a document ``{"sha256", "file_name", "size_bytes"}``.
        content_hash: equal for revisions a reader would call the same.
        revised_at: epoch seconds by which revisions of a post are ordered; ties go to the later arrival.
        has_words: whether anything of it could ever be found.
    """

    tenant_id: str
    door: str
    kind: Kind
    source_key: str
    record_format: str
    payload: Mapping[str, Any]
    content_hash: str
    revised_at: int
    has_words: bool = True


@dataclass(frozen=True, slots=True)
class KnownRevision:
    """The latest revision of an item that the record store knows.

    Attributes:
        erased: whether the item expired or was forgotten; only these fields of it remain.
    """

    seq: int
    revised_at: int
    content_hash: str
    erased: bool = False


def classify_arrival(arrival: Arrival, known: KnownRevision | None) -> ArrivalOutcome:
    """Return whether an arrival is the item's latest revision.

    ``unchanged`` has the content of the latest revision; ``superseded`` is older than the latest, and is stored without
    making work; ``skipped`` has no words, and replaces no item that has. A file has no date of its own, so files are
    ordered by arrival, whatever the clock says. An erased item returns only with a revision newer than the erased one.
    """
    if known is None:
        return "latest" if arrival.has_words else "skipped"
    if arrival.content_hash == known.content_hash:
        return "unchanged"
    if known.erased and not arrival.has_words:
        return "skipped"
    older = arrival.revised_at < known.revised_at or (known.erased and arrival.revised_at == known.revised_at)
    return "superseded" if arrival.kind == "post" and older else "latest"


def known_after(arrival: Arrival, known: KnownRevision | None, outcome: ArrivalOutcome) -> KnownRevision | None:
    """Return the latest revision once an arrival was judged; one that is not stored yet has no ``seq`` of its own."""
    if outcome == "latest":
        return KnownRevision(known.seq if known else 0, arrival.revised_at, arrival.content_hash)
    if outcome == "unchanged" and known and arrival.content_hash == known.content_hash:
        # Only the date moved: a revision between the two dates must stay superseded.
        return replace(known, revised_at=max(known.revised_at, arrival.revised_at))
    return known


def idempotency_key(arrival: Arrival, known: KnownRevision | None) -> str:
    """Return what makes the same arrival brought twice one row of the inbox.

    A post carries its edit date, so that an edit back to old words is a new revision. A file has
    none: there the revision it replaces takes the date's place.
    """
    replaced = f"after {known.seq}" if known else "first"
    place = str(arrival.revised_at) if arrival.kind == "post" else replaced
    return digest(arrival.tenant_id, arrival.source_key, place, arrival.content_hash)


def same_chunks(before: Sequence[str], now: Sequence[str]) -> dict[int, int]:
    """Return ordinal before -> ordinal now of the chunks that a new revision says as well.

    Args:
        before: hashes of the texts of all chunks, in order; of equal ones the first stays the first.
        now: those of the new revision.
    """
    places = defaultdict[str, deque[int]](deque)
    for ordinal, text_hash in enumerate(now):
        places[text_hash].append(ordinal)
    return {ordinal: places[said].popleft() for ordinal, said in enumerate(before) if places[said]}
