"""``chatai reindex``: let another model embed what is searched, and the way back."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from chatai_assets.cli.output import as_json, print_json, progress
from chatai_assets.domain.embedding_model import FORMS
from chatai_assets.services import Parts

RUN_ID = "chatai reindex"


@click.command("reindex")
@click.option("--to", default="", metavar="MODEL", help=f"Who shall embed: {FORMS}.")
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
def reindex_command(parts: Parts, /, as_json: bool, questions: str | None, **wishes: Any) -> None:
    """Fill an index by another model beside the one that serves, compare them, and let it serve.

    Killed or stopped, `chatai reindex` goes on. Exit code 1: it does not serve.
    """
    from chatai_assets.orchestration.jobs.reindexing import Wish, carry_out, figures_of, sentence_of
    from chatai_assets.storage.vector_indexes import Index

    with progress("Reindexing") as tell:
        done = carry_out(parts, Wish(questions=questions or "", **wishes), RUN_ID, tell=tell or (lambda _: None))
    if isinstance(done, Index):
        if as_json:
            print_json({"dropped": done.number, "embedder": done.embedder})
        else:
            click.echo(f"The index of {done.embedder} is dropped.")
        return
    if as_json:
        print_json(figures_of(done))
    else:
        _print(figures_of(done))
    if not done.serves:
        raise click.ClickException(sentence_of(done))
    if not as_json:
        click.echo(sentence_of(done))


def _print(figures: dict[str, Any]) -> None:
    click.echo(
        "{items} items, {texts_embedded} texts embedded, {points_written} points written, {points_deleted} deleted, "
        "{seconds:.1f} s.".format(**figures)
    )
    if figures["retrieval"] is None:
        return
    table = Table(f"{figures['questions']} questions", "recall@10", "then", "reciprocal rank", "then")
    before, after = figures["retrieval"]["before"], figures["retrieval"]["after"]
    for way, was in before.items():
        pairs = ((was[name], after[way][name]) for name in ("recall_at_10", "reciprocal_rank"))
        table.add_row(f"by {way}", *(f"{value:.3f}" for pair in pairs for value in pair))
    Console().print(table)
