"""``chatai stale``: what was made with another model, prompt or code than is in use now."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.output import as_json, print_json
from chatai_assets.domain.ids import EVERY_STAGE, Stage
from chatai_assets.services import Parts


@click.command("stale")
@click.option("--redo", "stage", type=click.Choice(EVERY_STAGE), help="Do what is stale of this stage again.")
@click.option("--limit", default=1_000, show_default=True, type=click.IntRange(1), help="Items at most, with --redo.")
@as_json
@click.pass_obj
def stale_command(parts: Parts, stage: Stage | None, limit: int, as_json: bool) -> None:
    """Say what was made with another model, prompt or code than is in use, and what doing it again would cost.

    None of it is done by itself. With --redo items are pending again, and the next runs do them.
    """
    from chatai_assets.operations.staleness import find_stale, redo_stale
    from chatai_assets.orchestration.jobs.staleness import in_use_of

    if stage:
        count = redo_stale(parts.records, in_use_of(parts), stage, limit)
        if as_json:
            print_json({"stage": stage, "reopened": count})
        else:
            click.echo(f"{count:,} items are pending again from {stage!r} on.")
        return
    found = find_stale(parts.records, in_use_of(parts), parts.settings.costs.tariff)
    if as_json:
        print_json([asdict(each) | {"items": each.items} for each in found])
        return
    table = Table("stage", "posts", "documents", "tokens", "money")
    for each in found:
        money = "price unknown" if each.money is None else f"{each.money:,.2f}"
        table.add_row(each.stage, f"{each.posts:,}", f"{each.documents:,}", f"{each.tokens:,}", money)
    Console().print(table)
    if any(each.items for each in found):
        click.echo("Nothing of it is done again by itself; `chatai stale --redo STAGE` does.")
