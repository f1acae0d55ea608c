"""Telling people of new dead letters: a summary now and then, never one message per item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from chatai_assets.adapters.notifier import Announcer
from chatai_assets.storage import dead_letters
from chatai_assets.storage.engine import Records
from chatai_assets.storage.key_values import read_checkpoint, write_checkpoint

TOLD = "dead letters told"
PAUSE_S = 600
"""Between two summaries: an import of ten thousand bad files is told of in a few."""
GIVE_UP_S = 3_600
"""A channel that does not take a summary is asked again for so long."""
LETTERS_A_SUMMARY = 10_000
GROUPS_SHOWN = 10
NEWEST_SHOWN = 5


def tell_of_letters(records: Records, announcer: Announcer, now: float) -> str | None:
    """Tell of the dead letters that nobody was told of yet; return what was said, or None.

    Killed between telling and noting it, the next one tells it again: that people hear of it comes first.

    Args:
        now: epoch seconds.
    """
    with records.reading() as connection:
        last: dict[str, Any] = read_checkpoint(connection, TOLD) or {"at": 0.0, "left": []}
    if last["left"] and now < last["at"] + GIVE_UP_S:
        last["left"] = list(announcer.announce(last["title"], last["body"], only=last["left"]))
        with records.begin() as connection:
            write_checkpoint(connection, TOLD, last)
    if last["at"] <= now < last["at"] + PAUSE_S:  # a clock that was ahead must not silence us
        return None
    with records.reading() as connection:
        fresh = dead_letters.unannounced(connection, LETTERS_A_SUMMARY)
    if not fresh:
        return None
    title, body = summary(fresh)
    left = announcer.announce(title, body)
    with records.begin() as connection:
        dead_letters.mark_announced(connection, fresh)
        write_checkpoint(connection, TOLD, {"at": now, "left": list(left), "title": title, "body": body})
    return body


def summary(letters: Sequence[RowMapping]) -> tuple[str, str]:
    """Return title and text for some letters, the newest first: counts by class and stage, and a few source keys."""
    groups = Counter((letter["error_class"], letter["stage"], letter["stream"]) for letter in letters)
    told = [
        f"{count:,} {name} at {stage} of {stream}" for (name, stage, stream), count in groups.most_common(GROUPS_SHOWN)
    ]
    if len(groups) > GROUPS_SHOWN:
        told.append(f"{len(groups) - GROUPS_SHOWN} further kinds")
    newest = ", ".join(dict.fromkeys(letter["source"] for letter in letters[:NEWEST_SHOWN]))
    given_up = "item was" if len(letters) == 1 else "items were"
    return f"chatai_assets: {len(letters):,} new dead letters", (
        f"{len(letters):,} {given_up} given up: {', '.join(told)}. The newest: {newest}. `chatai dead-letters list` "
        "shows them; once the cause is mended, `chatai dead-letters replay --class CLASS` does them again."
    )
