"""``chatai status``, ``chatai costs`` and ``chatai doctor``: the state of a home."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.output import as_json, print_json
from chatai_assets.operations.status import cost_report, status
from chatai_assets.services import Services


@click.command("status")
@as_json
@click.pass_obj
def status_command(services: Services, as_json: bool) -> None:
    """Say what there is, what is pending and what failed."""
    figures = status(services.records, services.indexes, services.graph, services.settings.probe_interval_s)
    if as_json:
        print_json(figures)
        return
    table = Table("", "received", "searchable", "pending", "failed")
    for stream in ("posts", "documents"):
        row = figures[stream]
        table.add_row(stream, *(str(row[name]) for name in ("received", "searchable", "pending", "failed")))
    Console().print(table)
    counts = {**figures["vectors"], **figures["graph"], "open dead letters": figures["dead_letters"]["open"]}
    click.echo(", ".join(f"{'?' if count is None else count} {name}" for name, count in counts.items()) + ".")
    for index in figures["indexes"] if len(figures["indexes"]) > 1 else ():
        click.echo(f"Vector index {index['number']}, by {index['embedder']}: {index['state']}.")
    for advice in (index["advice"] for index in figures["indexes"] if index["advice"]):
        click.echo(advice)
    today = figures["costs_today"]
    if today["calls"]:
        click.echo(f"Today: {_format_costs(today)}. `chatai costs` says for what.")
    if figures["lost"]:
        click.echo(f"Lost or replaced: {', '.join(figures['lost'])}. `chatai process` writes it again.")
    for down in figures["outages"]:
        click.echo(
            "Down: {part}, since {since} UTC: {reason} {waiting} items wait, the next probe is at {next_probe} UTC; "
            "`chatai process` probes now.".format(**down)
        )
    if figures["hours_behind"]:
        behind = ", ".join(figures["hours_behind"])
        click.echo(f"Behind: {behind}. `{figures['catch_up']}` catches up, or a backfill of them in the UI.")


def _format_costs(row: dict[str, Any]) -> str:
    money = "price unknown" if row["money"] is None else f"{row['money']:,.4f} in money"
    return f"{row['calls']:,} calls, {row['tokens']:,} tokens, {money}"


@click.command("costs")
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 1_000), help="Days of UTC.")
@click.option("--tenant", default=None, help="Only of this organization.")
@as_json
@click.pass_obj
def costs_command(services: Services, days: int, tenant: str | None, as_json: bool) -> None:
    """Say what was paid to providers, by day, tenant, stage and provider."""
    found = cost_report(services.records, days, tenant, time.time())
    if as_json:
        print_json(found)
        return
    names = ("day", "tenant_id", "stage", "provider", "calls", "tokens", "money", "hits", "misses")
    table = Table(*(name.removesuffix("_id") for name in names))
    for row in found["costs"]:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in names))
    Console().print(table)
    click.echo(f"Together: {_format_costs(found['total'])}; {found['kept_answers']:,} answers are kept.")


@click.command("doctor")
@as_json
@click.pass_obj
def doctor_command(services: Services, as_json: bool) -> None:
    """Say of each part which implementation is in use, whether it answers, and what to do if not."""
    from chatai_assets.orchestration.doctor import diagnose

    logging.disable(logging.WARNING)  # Dagster logs each of its own retries
    findings = diagnose(services.settings)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table("part", "in use", "answers", "what to do")
        for found in findings:
            answer = f"in {found.seconds:.1f} s" if found.answers else "no"
            table.add_row(found.part, found.implementation, answer, f"{found.said} {found.advice}".strip())
        Console().print(table)
    if silent := [found.part for found in findings if found.needed and not found.answers]:
        raise click.ClickException(f"No answer from: {', '.join(silent)}.")


COMMANDS = (status_command, costs_command, doctor_command)
