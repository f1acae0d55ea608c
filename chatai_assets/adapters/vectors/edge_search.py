"""A hybrid search (``hybrid``) as queries to an open Qdrant Edge shard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qdrant_edge as edge

from chatai_assets.adapters.vectors.base import Hit, Query
from chatai_assets.adapters.vectors.hybrid import CANDIDATES, LANGUAGES, fuse_hits


def search(shard: edge.EdgeShard, query: Query) -> list[Hit]:
    """Return the hits of a hybrid search, best first; the IDF of a word is computed over the tenant's points."""
    wanted = max(CANDIDATES, query.limit)
    meaning = edge.Query.Nearest(query.dense.tolist(), using="dense")
    prefetches = [edge.Prefetch(limit=wanted, query=meaning, filter=part) for part in _languages(query.filters)]
    scoring = [(meaning, edge.SearchParams())]
    if query.sparse.indices:
        words, rarity = _words(query), edge.SearchParams(idf=edge.IdfParams(corpus=_tenant(query.filters)))
        prefetches.append(edge.Prefetch(limit=wanted, query=words, filter=equal(query.filters), params=rarity))
        scoring.append((words, rarity))
    answers = shard.query_batch(
        edge.QueryBatchRequest(
            [
                edge.QueryRequest(
                    limit=wanted * len(prefetches),
                    query=scored_by,
                    prefetches=prefetches,
                    params=params,
                    with_payload=scored_by is meaning,
                )
                for scored_by, params in scoring
            ]
        )
    )
    return fuse_hits(*answers, query=query)


def equal(filters: Mapping[str, str]) -> edge.Filter | None:
    """Return the filter for points whose payload holds all these values; None for no condition."""
    conditions = _conditions(filters)
    return edge.Filter(must=[*conditions]) if conditions else None


def _words(query: Query) -> Any:
    vector = edge.SparseVector(indices=list(query.sparse.indices), values=list(query.sparse.values))
    return edge.Query.Nearest(vector, using="sparse")


def _languages(filters: Mapping[str, str]) -> list[edge.Filter]:
    common = _conditions(filters)
    known = [edge.FieldCondition(key="language", match=edge.MatchValue(language)) for language in LANGUAGES]
    return [*(edge.Filter(must=[*common, one]) for one in known), edge.Filter(must=[*common], must_not=[*known])]


def _tenant(filters: Mapping[str, str]) -> edge.Filter | None:
    return equal({key: value for key, value in filters.items() if key == "tenant_id"})


def _conditions(filters: Mapping[str, str]) -> list[edge.FieldCondition]:
    return [edge.FieldCondition(key=key, match=edge.MatchValue(value)) for key, value in filters.items()]
