"""The commands ``chatai entities``: show which names mean one entity, and override it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.output import as_json, print_json, tenant
from chatai_assets.domain.extraction import KINDS
from chatai_assets.operations.entities import merge, reset_override, show_entities, split
from chatai_assets.services import Services

of_kind = click.option("--kind", type=click.Choice(sorted(KINDS)), required=True, help="As what texts mention it.")
with_note = click.option("--note", default="", help="Why.")


@click.group("entities")
def entities_group() -> None:
    """Which names mean one person, organization or place in the graph, and why."""


@entities_group.command("show")
@click.argument("name")
@tenant
@as_json
@click.pass_obj
def show_command(services: Services, name: str, tenant: str | None, as_json: bool) -> None:
    """Show what a name may mean: each entity with all the forms that stand for it."""
    found = show_entities(services.records, tenant or services.settings.tenant_id, name)
    if as_json:
        print_json(found)
        return
    table = Table("entity", "kind", "form", "mentioned as", "by items", "why", "note")
    for entity in found:
        for form in entity["forms"]:
            why = ", ".join(form["reasons"])
            cells = (form["form"], form["kind"], str(form["items"]), why, form["note"] or "")
            table.add_row(entity["name"], entity["kind"], *cells)
    Console().print(table)


@entities_group.command("split")
@click.argument("form")
@of_kind
@with_note
@tenant
@as_json
@click.pass_obj
def split_command(services: Services, form: str, kind: str, note: str, tenant: str | None, as_json: bool) -> None:
    """Let a form be an entity of its own."""
    _change_override(
        services, tenant, as_json, lambda tenant_id: split(services.records, tenant_id, kind, form, note=note)
    )


@entities_group.command("merge")
@click.argument("form")
@click.argument("into")
@of_kind
@with_note
@tenant
@as_json
@click.pass_obj
def merge_command(
    services: Services, form: str, into: str, kind: str, note: str, tenant: str | None, as_json: bool
) -> None:
    """Let a form mean what another form means."""
    _change_override(
        services, tenant, as_json, lambda tenant_id: merge(services.records, tenant_id, kind, form, into, note=note)
    )


@entities_group.command("undo")
@click.argument("form")
@of_kind
@tenant
@as_json
@click.pass_obj
def undo_command(services: Services, form: str, kind: str, tenant: str | None, as_json: bool) -> None:
    """Take back what was set for a form: the rules decide again."""
    _change_override(
        services, tenant, as_json, lambda tenant_id: reset_override(services.records, tenant_id, kind, form)
    )


def _change_override(services: Services, tenant: str | None, as_json: bool, change: Callable[[str], Any]) -> None:
    items = change(tenant or services.settings.tenant_id)
    if as_json:
        print_json({"items": items})
    else:
        click.echo(f"Set. The next run draws what {items} posts and documents say of it again.")


COMMANDS = (entities_group,)
