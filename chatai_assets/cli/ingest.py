"""``chatai ingest``: take in Telegram exports, files and folders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from chatai_assets.cli.output import as_json, print_json, progress, tenant
from chatai_assets.services import Services


@click.command("ingest")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@tenant
@as_json
@click.pass_obj
def ingest_command(services: Services, paths: tuple[Path, ...], tenant: str | None, as_json: bool) -> None:
    """Take in posts from Telegram exports and documents from files and folders."""
    from chatai_assets.pipeline.ingest import Intake, ingest

    settings = services.settings
    intake = Intake(
        services.records, services.blobs, tenant or settings.tenant_id, "file", settings.parser.max_file_bytes
    )
    with progress("Ingesting") as show:
        report = ingest(paths, intake, on_file=(lambda path: show(path.name)) if show else None)
    if as_json:
        print_json(asdict(report))
    else:
        click.echo(
            f"{report.posts} posts, {report.documents} documents, {report.duplicates} duplicates, "
            f"{report.skipped} skipped, {len(report.rejected)} rejected{_deleted_note(report.deleted)}."
        )
        for rejected in report.rejected:
            click.echo(f"  {rejected.path}: {rejected.reason}", err=True)
    if report.rejected and not (report.posts or report.documents or report.duplicates):
        raise click.exceptions.Exit(1)


def _deleted_note(posts: int) -> str:
    return f", {posts} posts deleted" if posts else ""


COMMANDS = (ingest_command,)
