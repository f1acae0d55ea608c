"""Asset checks: what is open and what was given up, of the whole stream and not of the last run.

A stored check result carries no partition, so the next one replaces it: a check of one hour would hide the others.
"""

from datetime import UTC, datetime

import dagster as dg

from chatai_assets.adapters.records import dead_letters, work
from chatai_assets.adapters.records.store import Records
from chatai_assets.domain.keys import STREAMS, Stream
from chatai_assets.orchestration.assets.stages import asset_key
from chatai_assets.orchestration.metadata import LISTED, hours_table, letters_table
from chatai_assets.orchestration.resources import Part

AFTER_ALL_STAGES = {"dagster/priority": "-10"}


def checks() -> list[dg.AssetChecksDefinition]:
    """Return the checks of both streams; they warn and stop nothing."""
    return [check for stream in STREAMS for check in (hour_complete(stream), no_dead_letters(stream))]


def hour_complete(stream: Stream) -> dg.AssetChecksDefinition:
    """Return the check that nothing of a stream waits to be done."""

    @dg.asset_check(
        asset=asset_key(stream, "index"),
        name="hour_complete",
        description=f"Whether anything of the {stream} still waits, in whichever hour. A run does a bounded share of "
        "its hour; the sensor asks for the rest.",
        op_tags=AFTER_ALL_STAGES,
    )
    def check(records: dg.ResourceParam[Part[Records]]) -> dg.AssetCheckResult:
        with records().reading() as connection:
            return open_work(work.open_hours(connection, stream), stream)

    return check


def open_work(open_hours: dict[str, int], stream: Stream) -> dg.AssetCheckResult:
    """Return the result for ``hour -> items that are not finished``."""
    items = sum(open_hours.values())
    if not items:
        return dg.AssetCheckResult(
            passed=True, description=f"Nothing of the {stream} waits.", metadata={"open_items": 0, "open_hours": 0}
        )
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{items:,} {stream} wait in {len(open_hours):,} hours, the oldest of them {min(open_hours)}.",
        metadata={"open_items": items, "open_hours": len(open_hours), "hours": hours_table(open_hours)},
    )


def no_dead_letters(stream: Stream) -> dg.AssetChecksDefinition:
    """Return the check that nothing of a stream was given up."""

    @dg.asset_check(
        asset=asset_key(stream, "parse"),
        name="no_dead_letters",
        description=f"Whether any of the {stream} was given up for good: by cause, with names. "
        "`chatai dead-letters list` shows them all, `chatai redo` does one again.",
        op_tags=AFTER_ALL_STAGES,
    )
    def check(records: dg.ResourceParam[Part[Records]]) -> dg.AssetCheckResult:
        return given_up(records(), stream)

    return check


def given_up(records: Records, stream: Stream) -> dg.AssetCheckResult:
    """Return the result for the open dead letters of a stream."""
    with records.reading() as connection:
        classes = dead_letters.open_classes(connection, stream)
        newest = dead_letters.list_letters(connection, stream=stream, limit=LISTED)
    if not classes:
        return dg.AssetCheckResult(
            passed=True, description=f"None of the {stream} was given up.", metadata={"dead_letters": 0}
        )
    count = sum(number for number, _ in classes.values())
    oldest = datetime.fromtimestamp(min(first for _, first in classes.values()), UTC)
    causes = ", ".join(f"{name}: {number:,}" for name, (number, _) in classes.items())
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count:,} of the {stream} were given up ({causes}), the first on {oldest:%Y-%m-%d %H:%M} UTC.",
        metadata={
            "dead_letters": count,
            "by_class": {name: number for name, (number, _) in classes.items()},
            "oldest": dg.MetadataValue.timestamp(oldest),
            "newest": letters_table(newest),
        },
    )
