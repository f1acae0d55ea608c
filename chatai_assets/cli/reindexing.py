"""``chatai reindex`` and ``chatai stale``: switch to another embedding model or back, and redo stale results."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.output import as_json, print_json, progress
from chatai_assets.domain.embedding_model import SYNTAX
from chatai_assets.domain.stages import PIPELINE_STAGES, Stage
from chatai_assets.services import Services

RUN_ID = "chatai reindex"


@click.command("reindex")
@click.option("--to", default="", metavar="MODEL", help=f"Who shall embed: {SYNTAX}.")
@click.option("--rebuild", is_flag=True, help="The same model again, in an index of the newest layout.")
@click.option("--back", is_flag=True, help="Let the model serve again that did before.")
@click.option("--drop-old", is_flag=True, help="Drop the index that is kept for the way back.")
@click.option("--give-up", is_flag=True, help="Stop filling, and drop what was filled.")
@click.option("--even-if-worse", is_flag=True, help="Let it serve also where it finds less.")
@click.option(
    "--questions",
    type=click.Path(exists=True, dir_okay=False),
    help='What to compare by: JSONL of {"question": "...", "source": "tg/1/2"}; by default drawn from what is indexed.',
)
@click.option("--seed", default=1, show_default=True, help="Of the questions that are drawn.")
@as_json
@click.pass_obj
def reindex_command(services: Services, /, as_json: bool, questions: str | None, **request: Any) -> None:
    """Fill an index by another model beside the one that serves, compare them, and let it serve.

    Killed or stopped, `chatai reindex` goes on. Exit code 1: it does not serve.
    """
    from chatai_assets.orchestration.jobs.reindexing import ReindexRequest, execute, outcome_sentence, result_figures
    from chatai_assets.storage.vector_indexes import Index

    with progress("Reindexing") as show:
        done = execute(
            services, ReindexRequest(questions=questions or "", **request), RUN_ID, on_progress=show or (lambda _: None)
        )
    if isinstance(done, Index):
        if as_json:
            print_json({"dropped": done.number, "embedder": done.embedder})
        else:
            click.echo(f"The index of {done.embedder} is dropped.")
        return
    if as_json:
        print_json(result_figures(done))
    else:
        _print_figures(result_figures(done))
    if not done.serves:
        raise click.ClickException(outcome_sentence(done))
    if not as_json:
        click.echo(outcome_sentence(done))


def _print_figures(figures: dict[str, Any]) -> None:
    click.echo(
        "{items} items, {texts_embedded} texts embedded, {points_written} points written, {points_deleted} deleted, "
        "{seconds:.1f} s.".format(**figures)
    )
    if figures["retrieval"] is None:
        return
    table = Table(f"{figures['questions']} questions", "recall@10", "then", "reciprocal rank", "then")
    before, after = figures["retrieval"]["before"], figures["retrieval"]["after"]
    for mode, figure in before.items():
        pairs = ((figure[name], after[mode][name]) for name in ("recall_at_10", "reciprocal_rank"))
        table.add_row(f"by {mode}", *(f"{value:.3f}" for pair in pairs for value in pair))
    Console().print(table)


@click.command("stale")
@click.option("--redo", "stage", type=click.Choice(PIPELINE_STAGES), help="Do what is stale of this stage again.")
@click.option("--limit", default=1_000, show_default=True, type=click.IntRange(1), help="Items at most, with --redo.")
@as_json
@click.pass_obj
def stale_command(services: Services, stage: Stage | None, limit: int, as_json: bool) -> None:
    """Say what was made with another model, prompt or code than is in use, and what doing it again would cost.

    None of it is done by itself. With --redo items are pending again, and the next runs do them.
    """
    from chatai_assets.operations.staleness import active_versions, find_stale, redo_stale

    if stage:
        count = redo_stale(services.records, active_versions(services), stage, limit)
        if as_json:
            print_json({"stage": stage, "reopened": count})
        else:
            click.echo(f"{count:,} items are pending again from {stage!r} on.")
        return
    found = find_stale(services.records, active_versions(services), services.settings.costs.tariff)
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


COMMANDS = (reindex_command, stale_command)
