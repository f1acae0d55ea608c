"""``chatai show`` and ``chatai redo``: one post or document."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.output import as_json, print_json, tenant
from chatai_assets.domain.stages import ITEM_STAGES, PIPELINE_STAGES, Stage
from chatai_assets.operations.status import describe_item, redo
from chatai_assets.services import Services


@click.command("show")
@click.argument("source", metavar="ID")
@tenant
@as_json
@click.pass_obj
def show_command(services: Services, source: str, tenant: str | None, as_json: bool) -> None:
    """Show all that is known of one post or document, stage by stage."""
    found = describe_item(services.records, source, tenant)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if not isinstance(value, dict | list):
            click.echo(f"{name}: {'' if value is None else value}")
    table = Table("stage", "state", "attempts", "error", "run")
    for name in PIPELINE_STAGES:
        row = found["stages"].get(name)
        if row:
            table.add_row(name, row["state"], str(row["attempts"]), row["error_class"] or "", row["run_id"] or "")
    Console().print(table)
    click.echo(f"tags: {', '.join(found['tags'])}")
    click.echo(f"entities: {', '.join(dict.fromkeys(entity['name'] for entity in found['entities']))}")
    if recognised := found["recognised"]:
        of_pages = f"{recognised['pages']} pages, confidence {recognised['confidence']} %"
        click.echo(f"text recognised by {recognised['engine']}: {of_pages}, not read: {len(recognised['unread'])}")
    for page in found["linked_pages"]:
        click.echo(f"page {page['url']}: {page['fault'] or page['title'] or 'read'}")
    for letter in found["dead_letters"]:
        click.echo(f"dead letter {letter['id']}, {letter['stage']}: {letter['error_message']}")


@click.command("redo")
@click.argument("source", metavar="ID")
@click.option(
    "--from", "stage", type=click.Choice(ITEM_STAGES), default="parse", show_default=True, help="First stage."
)
@tenant
@as_json
@click.pass_obj
def redo_command(services: Services, source: str, stage: Stage, tenant: str | None, as_json: bool) -> None:
    """Do one post or document again; the next run does it."""
    _, key, hour = redo(services.records, source, tenant_id=tenant, stage=stage)
    if as_json:
        print_json({"source": key.source_key, "tenant": key.tenant_id, "stage": stage, "hour": hour})
    else:
        click.echo(f"{key.source_key} is pending again from {stage!r} on, in hour {hour}.")


COMMANDS = (show_command, redo_command)
