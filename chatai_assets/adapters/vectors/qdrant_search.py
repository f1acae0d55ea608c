"""A hybrid search (``hybrid``) as requests to a Qdrant server."""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_client import models

from chatai_assets.adapters.vectors.base import Query
from chatai_assets.adapters.vectors.collection import TENANT
from chatai_assets.adapters.vectors.hybrid import CANDIDATES, LANGUAGES


def build_requests(query: Query) -> list[models.QueryRequest]:
    """Return the requests: candidates scored by the dense vector and, if there are words, by the sparse vector.

    The IDF of a word is computed over the tenant's points.
    """
    wanted = max(CANDIDATES, query.limit)
    meaning = query.dense.tolist()
    candidates = [
        models.Prefetch(query=meaning, using="dense", filter=part, limit=wanted) for part in _languages(query.filters)
    ]
    if not query.sparse.indices:
        return [_scored(candidates, meaning, "dense", wanted)]
    words = models.SparseVector(indices=list(query.sparse.indices), values=list(query.sparse.values))
    rarity = _rarity(query.filters)
    mine = equal(query.filters)
    candidates.append(models.Prefetch(query=words, using="sparse", filter=mine, params=rarity, limit=wanted))
    return [_scored(candidates, meaning, "dense", wanted), _scored(candidates, words, "sparse", wanted, rarity)]


def equal(filters: Mapping[str, str]) -> models.Filter | None:
    """Return the filter for points whose payload holds all these values; None for no condition."""
    return models.Filter(must=_conditions(filters)) if filters else None


def _scored(
    candidates: list[models.Prefetch],
    by: list[float] | models.SparseVector,
    using: str,
    wanted: int,
    params: models.SearchParams | None = None,
) -> models.QueryRequest:
    return models.QueryRequest(
        prefetch=candidates,
        query=by,
        using=using,
        params=params,
        limit=wanted * len(candidates),
        with_payload=using == "dense",
    )


def _rarity(filters: Mapping[str, str]) -> models.SearchParams:
    tenant = equal({TENANT: filters[TENANT]})
    return models.SearchParams(idf=models.IdfCorpusParams(corpus=tenant or models.Filter()))


def _languages(filters: Mapping[str, str]) -> list[models.Filter]:
    common = _conditions(filters)
    known: list[models.Condition] = _conditions_of("language", LANGUAGES)
    rest = models.Filter(must=common, must_not=known)
    return [*(models.Filter(must=[*common, language]) for language in known), rest]


def _conditions(filters: Mapping[str, str]) -> list[models.Condition]:
    return [condition for name, value in filters.items() for condition in _conditions_of(name, (value,))]


def _conditions_of(name: str, values: tuple[str, ...]) -> list[models.Condition]:
    return [models.FieldCondition(key=name, match=models.MatchValue(value=value)) for value in values]
