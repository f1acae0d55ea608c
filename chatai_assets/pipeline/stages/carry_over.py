"""What models said of an item before -> what of it holds of the item's new text.

Until models have answered for a new revision, which may take long in an outage, index and graph show what is carried
over here: tags that are substrings of the new text as well, and facts of chunks that the new text still has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.revisions import same_chunks
from chatai_assets.domain.tagging import TAGGED_CHARS, check_tags
from chatai_assets.storage import enrichment
from chatai_assets.storage import items as content
from chatai_assets.storage.engine import Transaction
from chatai_assets.storage.enrichment import EntityRow, RelationRow
from chatai_assets.storage.items import ChunkRow

Fact = TypeVar("Fact", EntityRow, RelationRow)


def carry_over_valid_results(
    connection: Transaction, owner: str, texts: Mapping[ItemKey, str], chunks: Sequence[ChunkRow]
) -> None:
    """Forget the tags and facts that do not hold of the items of a claim now; before their chunks are replaced.

    Args:
        texts: of the items.
        chunks: of the items, as they will be.
    """
    _keep_tags(connection, owner, texts)
    _keep_facts(connection, owner, chunks)


def _keep_tags(connection: Transaction, owner: str, texts: Mapping[ItemKey, str]) -> None:
    said = {key: tags for key, (_, tags) in enrichment.tags_of_owner(connection, owner).items() if key in texts}
    kept = {key: check_tags(tags, texts[key][:TAGGED_CHARS]) for key, tags in said.items()}
    enrichment.change_tags(connection, {key: tags for key, tags in kept.items() if tags != said[key]})


def _keep_facts(connection: Transaction, owner: str, chunks: Sequence[ChunkRow]) -> None:
    before = content.claimed_chunks(connection, owner, pages=False)
    if not before:
        return
    places = _places(before, chunks)
    entities, relations = enrichment.facts_of_owner(connection, owner)
    said = [EntityRow(**row) for row in entities], [RelationRow(**row) for row in relations]
    kept = list(_moved(said[0], places)), list(_moved(said[1], places))
    if kept != said:
        enrichment.replace_facts(connection, owner, *kept)


def _places(before: Sequence[ChunkRow], now: Sequence[ChunkRow]) -> dict[ItemKey, dict[int, int]]:
    """Return item -> ordinal of a chunk before -> its ordinal now, of the chunks that there still are."""
    hashes, hashes_now = _hashes(before), _hashes(now)
    return {key: same_chunks(mine, hashes_now[key]) for key, mine in hashes.items() if key in hashes_now}


def _hashes(chunks: Sequence[ChunkRow]) -> dict[ItemKey, list[str]]:
    hashes: defaultdict[ItemKey, list[str]] = defaultdict(list)
    for chunk in chunks:
        hashes[ItemKey.of(chunk)].append(chunk["text_hash"])
    return hashes


def _moved(facts: Sequence[Fact], places: Mapping[ItemKey, Mapping[int, int]]) -> Iterator[Fact]:
    for fact in facts:
        now = places.get(ItemKey.of(fact), {}).get(fact["ordinal"])
        if now is not None:
            yield {**fact, "ordinal": now}
