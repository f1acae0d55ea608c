"""The commands ``chatai dead-letters``: list, show, replay and resolve what failed permanently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.output import as_json, print_json
from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.domain.stages import PIPELINE_STAGES, Stage
from chatai_assets.operations.dead_letters import DeadLetterNotFound, replay, resolve
from chatai_assets.services import Services
from chatai_assets.storage import dead_letters
from chatai_assets.storage.dead_letters import LISTED_COLUMNS, DeadLetterFilter

DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select dead letters."""
    options = (
        click.option("--tenant", "tenant_id", help="Only of this organization."),
        click.option("--stream", type=click.Choice(STREAMS), help="Only posts, or only documents."),
        click.option("--stage", type=click.Choice(PIPELINE_STAGES), help="Only of this stage."),
        click.option("--class", "error_class", help="Only of this error class."),
        click.option("--since", type=click.DateTime(DATES), help="Only failed since then, in UTC."),
    )
    for option in options:
        command = option(command)
    return command


def build_filter(
    tenant_id: str | None,
    stream: Stream | None,
    stage: Stage | None,
    error_class: str | None,
    since: datetime | None,
    **further: Any,
) -> DeadLetterFilter:
    """Return the filter for the options."""
    since_s = since.replace(tzinfo=UTC).timestamp() if since else None
    return DeadLetterFilter(
        tenant_id=tenant_id, stream=stream, stage=stage, error_class=error_class, since=since_s, **further
    )


@click.group("dead-letters")
def dead_letters_group() -> None:
    """What failed for good, and why."""


@dead_letters_group.command("list")
@filter_options
@click.option("--all", "include_resolved", is_flag=True, help="Resolved ones too.")
@click.option("--resolved", "only_resolved", is_flag=True, help="Only resolved ones.")
@click.option("--limit", default=1_000, show_default=True, type=click.IntRange(1), help="Rows at most.")
@as_json
@click.pass_obj
def list_command(
    services: Services, /, include_resolved: bool, only_resolved: bool, limit: int, as_json: bool, **selected: Any
) -> None:
    """List dead letters, the newest failure first."""
    resolved = True if only_resolved else None if include_resolved else False
    with services.records.reading() as connection:
        rows = dead_letters.list_dead_letters(connection, build_filter(**selected, resolved=resolved), limit=limit)
    if as_json:
        print_json([dict(row) for row in rows])
        return
    columns = [column for column in LISTED_COLUMNS if column.heading]
    table = Table(*(column.heading for column in columns))
    for row in rows:
        values: Mapping[str, Any] = row
        table.add_row(*(_format(column.name, values[column.name]) for column in columns))
    Console().print(table)


@dead_letters_group.command("show")
@click.argument("letter_id", metavar="ID", type=int)
@as_json
@click.pass_obj
def show_command(services: Services, letter_id: int, as_json: bool) -> None:
    """Show all that is known of one dead letter."""
    with services.records.reading() as connection:
        found = dead_letters.find_dead_letter(connection, letter_id)
    if found is None:
        raise DeadLetterNotFound(letter_id)
    if as_json:
        print_json(dict(found))
        return
    for name, value in found.items():
        click.echo(f"{name}: {_format(name, value)}")


@dead_letters_group.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=int)
@filter_options
@click.option("--all", "everything", is_flag=True, help="All open ones that the other options leave.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@as_json
@click.pass_obj
def replay_command(
    services: Services, /, ids: tuple[int, ...], everything: bool, dry_run: bool, as_json: bool, **selected: Any
) -> None:
    """Make the items of open dead letters pending again; the next run does them."""
    if not (ids or everything or selected["error_class"]):
        raise click.UsageError("Name ids, a --class, or --all.")
    report = replay(services.records, build_filter(**selected, ids=ids), dry_run=dry_run)
    if as_json:
        print_json(asdict(report))
        return
    would = "would be" if dry_run else "are"
    click.echo(
        f"{report.replayed} items {would} pending again, {report.waiting} wait already, "
        f"{report.closed} letters {would} closed, for nothing is left to do."
    )


@dead_letters_group.command("resolve")
@click.argument("letter_id", metavar="ID", type=int)
@click.option("--note", required=True, help="What was done about it.")
@as_json
@click.pass_obj
def resolve_command(services: Services, letter_id: int, note: str, as_json: bool) -> None:
    """Close one dead letter by hand; its item stays as it is."""
    resolved = resolve(services.records, letter_id, note)
    if as_json:
        print_json({"id": letter_id, "resolved": resolved})
    else:
        click.echo(f"Closed {letter_id}." if resolved else f"{letter_id} was closed before; its note stays.")


def _format(name: str, value: Any) -> str:
    """Return a value of a dead letter for people; columns whose names end in ``_at`` are times."""
    if value is None:
        return ""
    return _format_time(value) if name.endswith("_at") else str(value)


def _format_time(epoch_s: float) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M:%S}"


COMMANDS = (dead_letters_group,)
