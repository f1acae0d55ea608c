"""Arrivals of posts, for tests of the record store."""

from __future__ import annotations

from collections.abc import Sequence

from chatai_assets.domain.ids import hour_of
from chatai_assets.domain.revisions import Arrival, ArrivalOutcome
from chatai_assets.storage.engine import Records
from chatai_assets.storage.inbox import receive

NOON = 1_790_000_000.0
HOUR = hour_of(NOON)


def arrival(
    number: int = 1, content: str = "a", date: int = 10, *, tenant: str = "t", has_words: bool = True
) -> Arrival:
    return Arrival(tenant, "file", "post", f"tg/1/{number}", "bot_api", {"n": number}, content, date, has_words)


def document(content: str, *, key: str = "doc/1", name: str = "a.txt", date: int = int(NOON)) -> Arrival:
    payload = {"sha256": content, "file_name": name, "size_bytes": 3}
    return Arrival("t", "file", "document", key, "file", payload, content, date)


def receive_arrivals(records: Records, *arrivals: Arrival, now: float = NOON) -> Sequence[ArrivalOutcome]:
    with records.begin() as connection:
        return receive(connection, arrivals[0].tenant_id, arrivals[0].kind, arrivals, now=now)
