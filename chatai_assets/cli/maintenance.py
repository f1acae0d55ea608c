"""``chatai audit`` and ``chatai cleanup``: compare the stores, and delete what has expired."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.output import as_json, log_level, print_json, progress
from chatai_assets.operations.audit.audit import AuditReport, audit
from chatai_assets.services import Services


@click.command("audit")
@click.option("--repair", is_flag=True, help="Write again what differs, and remove what belongs to nothing.")
@as_json
@click.pass_obj
def audit_command(services: Services, repair: bool, as_json: bool) -> None:
    """Compare vector index and graph with the record store; exit code 1 when they differ."""
    gc.freeze()  # objects of loaded modules stay, and need not be scanned at each collection
    with progress("Auditing") as show:
        reports = [
            audit(services.records, each, repair=repair, on_progress=show or _ignore) for each in services.audited
        ]
        after = (
            _repair_now(services, show or _ignore)
            if repair and not all(report.agrees for report in reports)
            else reports
        )
    if as_json:
        print_json([_report_as_json(report, last) for report, last in zip(reports, after, strict=True)])
    else:
        _print_reports(reports)
    if differing := [report.projection for report in after if not report.agrees]:
        advice = "it differs again: is somebody else writing to it?" if repair else "`chatai audit --repair` mends it."
        raise click.ClickException(f"Not as the record store has it: {' and '.join(differing)}; {advice}")


def _report_as_json(report: AuditReport, after: AuditReport) -> dict[str, Any]:
    # ``asdict`` makes nonsense of a Counter.
    return {**asdict(report), "differences": report.differences, "agrees": after.agrees}


def _ignore(_text: str) -> None:
    """Show no progress."""


def _repair_now(services: Services, on_progress: Callable[[str], None]) -> list[AuditReport]:
    """Process what is pending now, as the next runs would, and audit again."""
    from chatai_assets.orchestration.build import build_defs
    from chatai_assets.orchestration.local_runner import run_pending, with_larger_runs

    settings, level = with_larger_runs(services.settings), log_level(services.settings)
    outcome = run_pending(
        services,
        lambda: build_defs(settings, services=services, log_level=level),
        lambda left: on_progress(f"{left.items} items left"),
    )
    if outcome.failures:
        raise click.ClickException(" ".join(outcome.failures))
    return [audit(services.records, each, on_progress=on_progress) for each in services.audited]


def _print_reports(reports: list[AuditReport]) -> None:
    table = Table("", "expected", "found", "missing", "extra", "changed", "seconds")
    for report in reports:
        kinds = (str(report.differences[kind]) for kind in ("missing", "extra", "changed"))
        table.add_row(report.projection, str(report.expected), str(report.found), *kinds, f"{report.seconds:.1f}")
    Console().print(table)
    for report in reports:
        for example in report.examples:
            click.echo("  {difference}: {part} of {source}".format(**example))
        if report.reopened or report.removed:
            click.echo(f"{report.projection}: {report.reopened} items written again, {report.removed} strays removed.")


@click.command("cleanup")
@as_json
@click.pass_obj
def cleanup_command(services: Services, as_json: bool) -> None:
    """Remove what has expired from all stores, and roll up or drop what is kept for a while only."""
    from chatai_assets.operations.expiry import expire
    from chatai_assets.operations.retention import apply_retention
    from chatai_assets.orchestration.instance import home_instance
    from chatai_assets.orchestration.jobs.erasure import erasure_stores
    from chatai_assets.orchestration.run_retention import delete_old_runs

    with progress("Cleaning up"):
        sweep = expire(erasure_stores(services))
        deleted = apply_retention(services.records, services.settings.retention)
        if services.settings.retention.runs_s is not None:
            with home_instance(services.settings) as instance:
                deleted["dagster_runs"] = delete_old_runs(instance, time.time() - services.settings.retention.runs_s)
    figures = {"expired": sweep.items, "gone": dict(sweep.counts), "dropped": dict(deleted)}
    if as_json:
        print_json(figures)
        return
    dropped = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in deleted.items() if count)
    click.echo(f"{sweep.items} items had expired and are gone; dropped or rolled up: {dropped or 'nothing'}.")


COMMANDS = (audit_command, cleanup_command)
