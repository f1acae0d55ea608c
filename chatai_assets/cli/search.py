"""``chatai search``: find chunks by meaning and by words."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

import click

from chatai_assets.cli.output import as_json, print_json, tenant
from chatai_assets.domain.revisions import Kind
from chatai_assets.pipeline.search import FoundChunk, search
from chatai_assets.services import Services

EXCERPT_CHARS = 300


@click.command("search")
@click.argument("query")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1_000), help="Hits at most.")
@click.option("--kind", type=click.Choice(get_args(Kind)), default=None, help="Only posts, or only documents.")
@tenant
@as_json
@click.pass_obj
def search_command(
    services: Services, query: str, limit: int, kind: Kind | None, tenant: str | None, as_json: bool
) -> None:
    """Find the chunks that answer a question, by meaning and by words."""
    found = search(
        query,
        limit=limit,
        tenant_id=tenant or services.settings.tenant_id,
        kind=kind,
        records=services.records,
        indexes=services.indexes,
        stems=services.stems,
    )
    if as_json:
        print_json([asdict(hit) for hit in found])
        return
    for hit in found:
        _print_hit(hit)
    if not found:
        click.echo("Nothing was found.", err=True)


def _print_hit(hit: FoundChunk) -> None:
    place = f"page {hit.page}, " if hit.page else ""
    click.secho(f"{hit.score:.4f}  {hit.title or hit.source}", bold=True)
    click.echo(f"        {hit.url or hit.channel or ''}  [{hit.source}, {place}characters {hit.start}-{hit.end}]")
    excerpt = " ".join(hit.text[:EXCERPT_CHARS].split())
    click.echo(f"        {excerpt}{'…' if len(hit.text) > EXCERPT_CHARS else ''}\n")


COMMANDS = (search_command,)
