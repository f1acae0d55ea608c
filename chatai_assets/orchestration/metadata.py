"""Metadata of a stage for the UI: numbers to plot, and tables of source keys; never text of posts or documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from chatai_assets.domain.costs import NANO
from chatai_assets.domain.stages import STAGES, Stage, StageSpec
from chatai_assets.pipeline.engine import StageReport
from chatai_assets.storage.dead_letters import LISTED_COLUMNS, DeadLetterRow

FIRST_COLUMNS = {"id", "source"}
LETTER_COLUMNS = sorted(
    (column for column in LISTED_COLUMNS if column.ui_name), key=lambda column: column.name not in FIRST_COLUMNS
)
LETTER_SCHEMA = dg.TableSchema(
    [dg.TableColumn(column.ui_name, column.ui_type, column.description) for column in LETTER_COLUMNS]
)
HOURS_COLUMNS = dg.TableSchema([dg.TableColumn("hour", "string"), dg.TableColumn("open_items", "int")])
LISTED = 20


def materialization_metadata(report: StageReport, run_id: str, letters: Sequence[DeadLetterRow]) -> dict[str, Any]:
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


def sharing_stage_metadata(report: StageReport) -> dict[str, int]:
    """Return what a stage that shares the asset of another one adds to its metadata; nothing if it had no items."""
    if not report.taken:
        return {}
    figures = {STAGES[report.stage].taken_metric: report.taken, **report.counts}
    return {f"run_{name}": count for name, count in figures.items()}


def preview_schema(spec: StageSpec, *more: dg.TableColumn) -> dg.TableSchema:
    """Return the columns of the table that shows a few items of a stage."""
    columns = [dg.TableColumn(column.name, column.type, column.description) for column in spec.preview]
    return dg.TableSchema([*columns, *more])


def empty_hour_metadata(stage: Stage) -> dict[str, Any]:
    """Return the metadata of an hour in which nothing arrived."""
    return {"stage": stage, "run_done": 0, "hour_total": 0, "hour_done": 0, "hour_open": 0, "hour_failed": 0}


def dead_letters_table(letters: Sequence[DeadLetterRow]) -> dg.TableMetadataValue:
    """Return the first dead letters as a table."""
    rows = [{column.ui_name: _shown(letter, column.name) for column in LETTER_COLUMNS} for letter in letters[:LISTED]]
    return _table(rows, LETTER_SCHEMA)


def _shown(letter: Mapping[str, Any], name: str) -> Any:
    return (letter[name] or "")[:8] if name == "run_id" else letter[name]


def hours_table(open_hours: Mapping[str, int]) -> dg.TableMetadataValue:
    """Return the newest hours that are not finished as a table."""
    newest = sorted(open_hours, reverse=True)[:LISTED]
    return _table([{"hour": hour, "open_items": open_hours[hour]} for hour in newest], HOURS_COLUMNS)


def _run_figures(report: StageReport) -> dict[str, Any]:
    rate = report.taken / report.seconds if report.seconds > 0 else 0.0
    figures: dict[str, Any] = {
        f"run_{STAGES[report.stage].taken_metric}": report.taken,
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
    """Return the counts with money in the unit of the prices; without money if no price is known."""
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
    schema = preview_schema(STAGES[report.stage], dg.TableColumn("run", "string", "the run that did it"))
    return _table([{**row, "run": run_id[:8]} for row in report.preview], schema)


def _table(rows: Sequence[Mapping[str, Any]], schema: dg.TableSchema) -> dg.TableMetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema)
