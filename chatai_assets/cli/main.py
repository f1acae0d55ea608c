"""The command ``chatai``: parse arguments, call a stage or a store, print.

One JSON document on stdout with ``--json``, else text for people; errors are one sentence on stderr,
and the exit code is 0 only on success. The JSON keys are an interface.
"""

from __future__ import annotations

import gc
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.dead_letters import letters_group
from chatai_assets.cli.entities import entities_group
from chatai_assets.cli.erasure import forget_command, vacuum_command
from chatai_assets.cli.maintenance import audit_command, cleanup_command
from chatai_assets.cli.output import as_json, print_json, progress, tenant
from chatai_assets.cli.reindexing import reindex_command, stale_command
from chatai_assets.domain.errors import ChatAIError
from chatai_assets.domain.revisions import Kind
from chatai_assets.domain.stages import ITEM_STAGES, PIPELINE_STAGES, Stage
from chatai_assets.observability import configure_logging
from chatai_assets.operations.dead_letters import DeadLetterNotFound
from chatai_assets.operations.entities import EntityNotFound
from chatai_assets.operations.status import ItemNotFound, cost_report, describe_item, redo, status
from chatai_assets.pipeline.search import Found, search
from chatai_assets.services import Services, open_services
from chatai_assets.settings import read_settings
from chatai_assets.settings.values import InvalidSetting

EXCERPT_CHARS = 300


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """Telegram posts and documents as searchable knowledge."""
    settings = read_settings()
    configure_logging("WARNING" if settings.log_level == "INFO" else settings.log_level)
    context.obj = context.with_resource(open_services(settings))


def main() -> None:
    """Run the command line; every foreseen failure ends in one sentence and exit code 1, SIGTERM as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(cli.main(standalone_mode=False))
    except (ChatAIError, ItemNotFound, DeadLetterNotFound, EntityNotFound, InvalidSetting) as error:
        _end(str(error), 1)
    except click.ClickException as error:
        _end(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _end("Stopped; what was finished is kept, the rest is still pending.", 130)


@contextmanager
def _loading() -> Iterator[None]:
    """Look for no garbage while modules load: Dagster's make a quarter of a million objects, and all of them stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _end(sentence: str, code: int) -> None:
    click.echo(sentence, err=True)
    sys.exit(code)


@cli.command("ingest")
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
    with progress("Ingesting") as tell:
        report = ingest(paths, intake, on_file=(lambda path: tell(path.name)) if tell else None)
    if as_json:
        print_json(asdict(report))
    else:
        click.echo(
            f"{report.posts} posts, {report.documents} documents, {report.duplicates} duplicates, "
            f"{report.skipped} skipped, {len(report.rejected)} rejected{_deleted(report.deleted)}."
        )
        for rejected in report.rejected:
            click.echo(f"  {rejected.path}: {rejected.reason}", err=True)
    if report.rejected and not (report.posts or report.documents or report.duplicates):
        raise click.exceptions.Exit(1)


def _deleted(posts: int) -> str:
    return f", {posts} posts deleted" if posts else ""


@cli.command("process")
@as_json
@click.pass_obj
def process_command(services: Services, as_json: bool) -> None:
    """Materialize every hour with pending work, here and now, without a daemon."""
    with _loading():
        from chatai_assets.orchestration.build import build_defs
        from chatai_assets.orchestration.local_runner import run_pending, with_larger_runs

    with progress("Processing") as tell:
        outcome = run_pending(
            services, lambda: build_defs(with_larger_runs(services.settings), services=services), tell
        )
    if as_json:
        print_json(outcome.figures)
    else:
        click.echo(
            "{processed} items processed in {runs} runs, {failed} failed, {pending} pending, {seconds:.1f} s.".format(
                **outcome.figures
            )
        )
    if outcome.failures:
        raise click.ClickException(" ".join(outcome.failures))


@cli.command("search")
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


def _print_hit(hit: Found) -> None:
    place = f"page {hit.page}, " if hit.page else ""
    click.secho(f"{hit.score:.4f}  {hit.title or hit.source}", bold=True)
    click.echo(f"        {hit.url or hit.channel or ''}  [{hit.source}, {place}characters {hit.start}-{hit.end}]")
    excerpt = " ".join(hit.text[:EXCERPT_CHARS].split())
    click.echo(f"        {excerpt}{'…' if len(hit.text) > EXCERPT_CHARS else ''}\n")


@cli.command("status")
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
    today = figures["costs_today"]
    if today["calls"]:
        click.echo(f"Today: {_paid(today)}. `chatai costs` says for what.")
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


def _paid(row: dict[str, Any]) -> str:
    money = "price unknown" if row["money"] is None else f"{row['money']:,.4f} in money"
    return f"{row['calls']:,} calls, {row['tokens']:,} tokens, {money}"


@cli.command("costs")
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
    click.echo(f"Together: {_paid(found['total'])}; {found['kept_answers']:,} answers are kept.")


@cli.command("doctor")
@as_json
@click.pass_obj
def doctor_command(services: Services, as_json: bool) -> None:
    """Say of each part which implementation is in use, whether it answers, and what to do if not."""
    from chatai_assets.orchestration.doctor import examine

    logging.disable(logging.WARNING)  # Dagster tells each of its own retries
    findings = examine(services.settings)
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


@cli.command("show")
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


@cli.command("redo")
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


for command in (
    audit_command,
    cleanup_command,
    letters_group,
    entities_group,
    forget_command,
    reindex_command,
    stale_command,
    vacuum_command,
):
    cli.add_command(command)
