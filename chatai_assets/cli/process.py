"""``chatai process``: do all pending work in this process, without a daemon."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from chatai_assets.cli.output import as_json, log_level, print_json, progress_bar
from chatai_assets.services import Services

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@click.command("process")
@click.option(
    "--log",
    "level",
    type=click.Choice(LEVELS),
    is_flag=False,
    flag_value="INFO",
    envvar="CHATAI_LOG_LEVEL",
    help="Write JSON log lines to stderr also at a terminal; INFO and above unless a level is named.",
)
@as_json
@click.pass_obj
def process_command(services: Services, level: str | None, as_json: bool) -> None:
    """Materialize every hour with pending work, here and now, without a daemon."""
    with _loading():
        from chatai_assets.orchestration.build import build_defs
        from chatai_assets.orchestration.local_runner import run_pending, with_larger_runs

    settings, level = with_larger_runs(services.settings), level or log_level(services.settings)
    with progress_bar("Processing") as show:
        outcome = run_pending(
            services,
            lambda: build_defs(settings, services=services, log_level=level),
            (lambda left: show(left.steps, f"{left.items} items left")) if show else None,
        )
    if as_json:
        print_json(outcome.figures)
    else:
        _print_summary(outcome.figures)
    if outcome.failures:
        raise click.ClickException(" ".join(outcome.failures))


def _print_summary(figures: Mapping[str, Any]) -> None:
    """Print what was done, and at a terminal where to look for what was not."""
    click.echo(
        "{processed} items processed in {runs} runs, {failed} failed, {pending} pending, {seconds:.1f} s.".format(
            **figures
        )
    )
    if not sys.stdout.isatty():
        return
    if figures["failed"]:
        click.echo("`chatai dead-letters list` says what failed and why.")
    if figures["pending"]:
        click.echo("`chatai status` says what is pending and what it waits for.")


@contextmanager
def _loading() -> Iterator[None]:
    """Switch garbage collection off while modules load: Dagster makes a quarter of a million objects that all stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


COMMANDS = (process_command,)
