"""The commands ``forget`` and ``vacuum``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

import click

from chatai_assets.cli.output import as_json, print_json, tenant
from chatai_assets.domain.ids import document_key
from chatai_assets.domain.revisions import Kind
from chatai_assets.services import Services

if TYPE_CHECKING:
    from chatai_assets.operations.erasure import Stores

STORES = {"records": "record store", "vectors": "vector index", "graph": "graph"}


@click.command("forget")
@click.argument("source", metavar="ID")
@click.option("--kind", type=click.Choice(get_args(Kind)), default=None, help="Then ID may be without tg/ or doc/.")
@click.option("--vacuum", "also_vacuum", is_flag=True, help="Then write the files of all stores anew: `chatai vacuum`.")
@tenant
@as_json
@click.pass_obj
def forget_command(
    services: Services, source: str, kind: Kind | None, also_vacuum: bool, tenant: str | None, as_json: bool
) -> None:
    """Erase one post or document from all stores, for good; a tombstone keeps the same content from coming back."""
    from chatai_assets.operations.erasure import forget

    result = forget(_erasure_stores(services), _source_key(source, kind), tenant_id=tenant)
    services.forget_answers(result.key.tenant_id)
    figures: dict[str, Any] = {
        "source": result.key.source_key,
        "tenant": result.key.tenant_id,
        "again": result.again,
        "erased": dict(result.erased),
        "waiting": result.waiting,
    }
    if as_json and not also_vacuum:
        print_json(figures)
    elif not as_json:
        click.echo(_summary(figures))
    if result.waiting:
        raise click.ClickException(
            f"{result.key.source_key} is erased from the record store, but not from all stores yet: "
            f"{result.waiting} The next run, or `chatai process`, has them let go of it."
        )
    if also_vacuum:
        _vacuum(services, figures, as_json=as_json)


@click.command("vacuum")
@as_json
@click.pass_obj
def vacuum_command(services: Services, as_json: bool) -> None:
    """Leave no trace of forgotten items in any file: all stores are written anew, and locked meanwhile."""
    _vacuum(services, {}, as_json=as_json)


def _source_key(source: str, kind: Kind | None) -> str:
    if kind is None or source.startswith(("tg/", "doc/")):
        return source
    return document_key(source) if kind == "document" else f"tg/{source}"


def _erasure_stores(services: Services) -> Stores:
    from chatai_assets.operations.erasure import Stores

    return Stores(services.records, services.blobs, services.indexes, services.graph)


def _summary(figures: dict[str, Any]) -> str:
    if figures["again"]:
        return f"{figures['source']} was forgotten or had expired before; only its tombstone is left."
    erased = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in figures["erased"].items() if count)
    return f"{figures['source']} is forgotten; gone are {erased}. Files keep deleted bytes until `chatai vacuum`."


def _vacuum(services: Services, figures: dict[str, Any], *, as_json: bool) -> None:
    from chatai_assets.operations.vacuum import vacuum

    done = vacuum(_erasure_stores(services), services.settings.inbox_folder, services.settings.tenant_id)
    if as_json:
        vacuumed = {**asdict(done), "erased": dict(done.erased)}
        print_json({**figures, "vacuumed": vacuumed} if figures else vacuumed)
    else:
        originals = done.erased["originals"]
        click.echo(f"Written anew: {', '.join(STORES[name] for name in done.rewritten)}.")
        click.echo(f"{originals} files with something forgotten were removed from the inbox folder.")
        for name in done.left_to_servers:
            click.echo(f"The {STORES[name]} is a server: only its own tools write its files anew.")
    if done.busy:
        raise click.ClickException(
            "Traces may be left: runs are at work, and keep what they paid for. Vacuum again when they have ended."
        )


COMMANDS = (forget_command, vacuum_command)
