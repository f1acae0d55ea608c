"""Leaving no trace of what was forgotten in any file of the home."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chatai_assets.operations.erasing import Stores
from chatai_assets.operations.erasure import finish
from chatai_assets.operations.originals import remove_originals
from chatai_assets.pipeline.blob_cleanup import remove_all_spare
from chatai_assets.storage import tombstones
from chatai_assets.storage.engine import Records
from chatai_assets.storage.erasure import erase_orphans
from chatai_assets.storage.leases import nobody_works
from chatai_assets.storage.vacuum import vacuum as vacuum_records

HALF_WRITTEN_S = 86_400.0


@dataclass(slots=True)
class Vacuumed:
    """What was done.

    Attributes:
        erased: kind of thing -> how many went before the files were written anew.
        busy: whether stages were at work, which keep what they paid for: a later vacuum finds it.
        rewritten: stores whose files were written anew.
        left_to_servers: stores whose own upkeep must do that.
    """

    erased: Counter[str] = field(default_factory=Counter)
    busy: bool = False
    rewritten: list[str] = field(default_factory=list)
    left_to_servers: list[str] = field(default_factory=list)


def vacuum(stores: Stores, inbox_folder: Path, tenant_id: str) -> Vacuumed:
    """Have the stores let go of all that is leaving, erase what nobody has, and write the files of all stores anew.

    Args:
        tenant_id: whose files are dropped into the inbox folder.

    Raises:
        StoreUnavailable: a store cannot be reached, or others do not let go of it.
    """
    done = Vacuumed(erased=finish(stores))
    done.busy = not _erase_orphans(stores.records, done.erased)
    done.erased["blobs"] += remove_all_spare(stores.records, stores.blobs)
    stores.blobs.clear_incoming(HALF_WRITTEN_S)
    done.erased["originals"] = remove_originals(stores.records, inbox_folder, tenant_id)
    vacuum_records(stores.records)
    done.rewritten.append("records")
    scrubbed = [index.vectors.scrub() for index in stores.indexes.all()]
    for name, is_anew in (("vectors", all(scrubbed)), ("graph", stores.graph.scrub())):
        (done.rewritten if is_anew else done.left_to_servers).append(name)
    return done


def _erase_orphans(records: Records, erased: Counter[str]) -> bool:
    """Erase what tenants that forgot anything keep for nobody; return whether nothing can come after."""
    with records.begin() as connection:
        idle = nobody_works(connection)
        for tenant_id in tombstones.forgotten_tenants(connection) if idle else ():
            erased.update(erase_orphans(connection, tenant_id, now=time.time()))
    return idle
