"""Giving back what nobody works on any more, so that no claim and no status outlives whoever set it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from chatai_assets.adapters.records import claims, content
from chatai_assets.adapters.records.store import Records
from chatai_assets.observability import CLAIMS_FREED, log
from chatai_assets.stages.batches import free_lost_claims
from chatai_assets.stages.owners import is_running


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What was given back.

    Attributes:
        claims: owners of this machine whose process is gone.
        lapsed: rows of work whose lease ran out, of whichever machine.
        documents: documents that were said to be processed, by nobody.
    """

    claims: int
    lapsed: int
    documents: int

    def __str__(self) -> str:
        return (
            f"Gave back the claims of {self.claims} processes that are gone, {self.lapsed} rows of work whose lease "
            f"ran out, {self.documents} documents that nobody processed."
        )


def rest_documents(records: Records) -> int:
    """Show as pending what nobody works on at the moment; return how many documents that were."""
    with records.begin() as connection:
        return content.rest_documents(connection)


def give_back(records: Records) -> GivenBack:
    """Free the claims of processes that are gone or were not heard of for a lease, and the documents they had."""
    owners = free_lost_claims(records)
    with records.begin() as connection:
        lapsed = claims.free_lapsed(connection, time.time(), is_running)
        documents = content.rest_documents(connection)
    if lapsed or documents:
        log.info(CLAIMS_FREED, lapsed=lapsed, documents=documents)
    return GivenBack(owners, lapsed, documents)
