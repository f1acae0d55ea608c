"""Asset checks of a whole stream: whether items are open, and whether any have dead letters.

A stored check result has no partition, so the next one replaces it: a check of one hour would hide the others.
"""

import time
from datetime import UTC, datetime

import dagster as dg

from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.operations.outages import describe_outages
from chatai_assets.orchestration.assets.streams import asset_key
from chatai_assets.orchestration.metadata import LISTED, dead_letters_table, hours_table
from chatai_assets.services import Services
from chatai_assets.storage import dead_letters, outages
from chatai_assets.storage import work_queue as work
from chatai_assets.storage.dead_letters import DeadLetterFilter
from chatai_assets.storage.engine import Records

NAMED = 3
REPLAY = "chatai dead-letters replay"
AFTER_ALL_STAGES = {"dagster/priority": "-10"}


def checks() -> list[dg.AssetChecksDefinition]:
    """Return the checks of both streams; they warn and stop nothing."""
    return [check for stream in STREAMS for check in (hour_complete(stream), no_dead_letters(stream))]


def hour_complete(stream: Stream) -> dg.AssetChecksDefinition:
    """Return the check that no item of a stream is open."""

    @dg.asset_check(
        asset=asset_key(stream, "index"),
        name="hour_complete",
        description=f"Whether anything of the {stream} still waits, in whichever hour. A run does a bounded share of "
        "its hour; the sensor asks for the rest.",
        op_tags=AFTER_ALL_STAGES,
    )
    def check(parts: dg.ResourceParam[Services]) -> dg.AssetCheckResult:
        with parts.records.reading() as connection:
            open_hours, downs = work.open_hours(connection, stream), outages.open_outages(connection)
        return hour_complete_result(open_hours, stream, describe_outages(parts.records, downs, stream))

    return check


def hour_complete_result(open_hours: dict[str, int], stream: Stream, down: str = "") -> dg.AssetCheckResult:
    """Return the result for ``hour -> items that are not finished``.

    Args:
        down: sentences that describe the outages that they wait for.
    """
    items = sum(open_hours.values())
    if not items:
        return dg.AssetCheckResult(
            passed=True, description=f"Nothing of the {stream} waits.", metadata={"open_items": 0, "open_hours": 0}
        )
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{items:,} {stream} wait in {len(open_hours):,} hours, the oldest of them {min(open_hours)}."
        + (down and f" {down}"),
        metadata={"open_items": items, "open_hours": len(open_hours), "hours": hours_table(open_hours)},
    )


def no_dead_letters(stream: Stream) -> dg.AssetChecksDefinition:
    """Return the check that no item of a stream has an open dead letter."""

    @dg.asset_check(
        asset=asset_key(stream, "parse"),
        name="no_dead_letters",
        description=f"Whether any of the {stream} was given up for good: by cause, with names. "
        "`chatai dead-letters list` shows them all, `chatai dead-letters replay` does them again.",
        op_tags=AFTER_ALL_STAGES,
    )
    def check(parts: dg.ResourceParam[Services]) -> dg.AssetCheckResult:
        return dead_letters_result(parts.records, stream)

    return check


def dead_letters_result(records: Records, stream: Stream) -> dg.AssetCheckResult:
    """Return the result for the open dead letters of a stream."""
    with records.reading() as connection:
        classes = dead_letters.open_classes(connection, stream)
        stages = dead_letters.open_stages(connection, stream)
        newest = dead_letters.list_dead_letters(connection, DeadLetterFilter(stream=stream), limit=LISTED)
    if not classes:
        return dg.AssetCheckResult(
            passed=True, description=f"None of the {stream} was given up.", metadata={"dead_letters": 0}
        )
    count = sum(number for number, _ in classes.values())
    oldest = datetime.fromtimestamp(min(first for _, first in classes.values()), UTC)
    causes = ", ".join(f"{name}: {number:,}" for name, (number, _) in classes.items())
    names = ", ".join(dict.fromkeys(letter["source"] for letter in newest[:NAMED]))
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count:,} of the {stream} were given up ({causes}), the first on {oldest:%Y-%m-%d %H:%M} UTC, "
        f"{format_age(time.time() - oldest.timestamp())} ago. The newest: {names}. Once the cause is mended, "
        f"`{REPLAY} --stream {stream} --all` or the job replay_dead_letters does them again.",
        metadata={
            "dead_letters": count,
            "by_class": {name: number for name, (number, _) in classes.items()},
            "by_stage": stages,
            "oldest_age_s": round(time.time() - oldest.timestamp()),
            "replay": f"{REPLAY} --stream {stream} --all",
            "oldest": dg.MetadataValue.timestamp(oldest),
            "newest": dead_letters_table(newest),
        },
    )


def format_age(seconds: float) -> str:
    """Return a duration in the largest unit that it has at least two of: ``"3 days"``, ``"90 minutes"``."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
