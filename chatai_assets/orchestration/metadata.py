"""What the UI shows of a stage: numbers that plot, and tables of source keys; never text of posts or documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from chatai_assets.domain.costs import NANO
from chatai_assets.domain.stages import Stage
from chatai_assets.pipeline.engine import StageReport
from chatai_assets.storage.engine import StoredRow

PREVIEW_COLUMNS: dict[Stage, dg.TableSchema] = {
    "parse": dg.TableSchema(
        [
            dg.TableColumn("source", "string", "source key: tg/<chat>/<message> or doc/<id>"),
            dg.TableColumn("language", "string", "ru, en, ..."),
            dg.TableColumn("characters", "int", "length of the parsed text"),
            dg.TableColumn("chunks", "int", "pieces of at most 600 words that are searched"),
        ]
    ),
    "tag": dg.TableSchema(
        [
            dg.TableColumn("source", "string", "source key"),
            dg.TableColumn("tags", "int", "1-8 topics; `chatai show` names them, for they are words of the text"),
        ]
    ),
    "enrich": dg.TableSchema(
        [
            dg.TableColumn("source", "string", "source key"),
            dg.TableColumn("entities", "int", "names of people, places and organizations found in it"),
        ]
    ),
    "embed": dg.TableSchema(
        [
            dg.TableColumn("source", "string", "source key"),
            dg.TableColumn("embedded", "bool", "whether it had a text that was never embedded before"),
        ]
    ),
    "index": dg.TableSchema(
        [
            dg.TableColumn("source", "string", "source key"),
            dg.TableColumn("points", "int", "points the vector index holds of it, one per chunk"),
            dg.TableColumn("written", "bool", "whether any of them had changed"),
        ]
    ),
    "link": dg.TableSchema(
        [
            dg.TableColumn("source", "string", "source key"),
            dg.TableColumn("nodes_and_edges", "int", "what the graph holds on its word"),
            dg.TableColumn("written", "bool", "whether any of it had changed"),
        ]
    ),
    "crawl": dg.TableSchema(
        [
            dg.TableColumn("source", "string", "source key"),
            dg.TableColumn("links", "int", "pages it links to"),
            dg.TableColumn("page_chunks", "int", "pieces of their text that are found as the post's"),
        ]
    ),
}
"""Stage -> columns of its preview."""

LETTER_COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("id", "int", "for `chatai dead-letters show` and the job replay_dead_letters"),
        dg.TableColumn("source", "string", "source key; `chatai show` says all about it"),
        dg.TableColumn("stage", "string", "the stage that gave up"),
        dg.TableColumn("error_class", "string", "the cause in one word"),
        dg.TableColumn("error", "string", "the cause in one sentence"),
        dg.TableColumn("attempts", "int", "how often it was tried"),
        dg.TableColumn("run", "string", "the run it was seen by last"),
    ]
)
HOURS_COLUMNS = dg.TableSchema([dg.TableColumn("hour", "string"), dg.TableColumn("open_items", "int")])
LISTED = 20


def materialization_metadata(report: StageReport, run_id: str, letters: Sequence[StoredRow]) -> dict[str, Any]:
    """Return the metadata of one materialization: this run's figures, the hour's totals, and a few of its items.

    An hour is materialized many times, and its totals shrink as its items are edited and move to a later one.

    Args:
        letters: the dead letters that this run wrote.
    """
    shown: dict[str, Any] = {**_run_figures(report), **_hour_figures(report)}
    if report.failed:
        shown["run_failed_by_class"] = dict(report.failed)
    if report.retried:
        shown["run_retried_by_class"] = dict(report.retried)
    if report.preview:
        shown["preview"] = _preview(report, run_id)
    if letters:
        shown["dead_letters"] = dead_letters_table(letters)
    return shown


def crawl_metadata(report: StageReport) -> dict[str, int]:
    """Return what reading pages adds to the metadata of a materialization; nothing where no post had links."""
    if not report.taken:
        return {}
    return {"run_posts_with_links": report.taken} | {f"run_{name}": count for name, count in report.counts.items()}


def empty_hour_metadata(stage: Stage) -> dict[str, Any]:
    """Return the metadata of an hour in which nothing arrived."""
    return {"stage": stage, "run_done": 0, "hour_total": 0, "hour_done": 0, "hour_open": 0, "hour_failed": 0}


def dead_letters_table(letters: Sequence[StoredRow]) -> dg.TableMetadataValue:
    """Return the first dead letters as a table."""
    rows = [
        {
            "id": letter["id"],
            "source": letter["source"],
            "stage": letter["stage"],
            "error_class": letter["error_class"],
            "error": letter["error_message"],
            "attempts": letter["attempts"],
            "run": (letter["run_id"] or "")[:8],
        }
        for letter in letters[:LISTED]
    ]
    return _table(rows, LETTER_COLUMNS)


def hours_table(open_hours: Mapping[str, int]) -> dg.TableMetadataValue:
    """Return the newest hours that are not finished as a table."""
    newest = sorted(open_hours, reverse=True)[:LISTED]
    return _table([{"hour": hour, "open_items": open_hours[hour]} for hour in newest], HOURS_COLUMNS)


def _run_figures(report: StageReport) -> dict[str, Any]:
    rate = report.taken / report.seconds if report.seconds > 0 else 0.0
    figures: dict[str, Any] = {
        "run_in": report.taken,
        "run_done": report.done,
        "run_unchanged": report.unchanged,
        "run_failed": report.failed.total(),
        "run_retried": report.retried.total(),
        "run_lost": report.lost,
        "run_seconds": round(report.seconds, 3),
        "run_items_per_second": round(rate, 1),
    }
    counts = {name: int(count) for name, count in report.counts.items()}
    return figures | {f"run_{name}": count for name, count in _with_money(counts).items()}


def _with_money(counts: dict[str, int]) -> dict[str, Any]:
    """Return the counts with money in the prices' unit; without it where nobody knows a price."""
    nano, unpriced = counts.pop("provider_money_nano", 0), counts.get("provider_unpriced_tokens", 0)
    known = nano or unpriced < counts.get("provider_tokens", 0)
    return {**counts, "provider_money": nano / NANO} if known else dict(counts)


def _hour_figures(report: StageReport) -> dict[str, Any]:
    states = report.hour_states
    costs = {f"hour_{name}": count for name, count in report.hour_costs.items() if count is not None}
    return {
        **costs,
        "hour_total": sum(states.values()),
        "hour_done": states.get("done", 0),
        "hour_open": states.get("pending", 0) + states.get("working", 0),
        "hour_failed": states.get("failed", 0),
        **({"hour_gone": states["gone"]} if "gone" in states else {}),
    }


def _preview(report: StageReport, run_id: str) -> dg.TableMetadataValue:
    columns = PREVIEW_COLUMNS[report.stage].columns
    schema = dg.TableSchema([*columns, dg.TableColumn("run", "string", "the run that did it")])
    return _table([{**row, "run": run_id[:8]} for row in report.preview], schema)


def _table(rows: Sequence[Mapping[str, Any]], schema: dg.TableSchema) -> dg.TableMetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema)
