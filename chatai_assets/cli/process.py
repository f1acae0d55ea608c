"""``chatai process``: do all pending work in this process, without a daemon."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import click

from chatai_assets.cli.output import as_json, print_json, progress
from chatai_assets.services import Services


@click.command("process")
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


@contextmanager
def _loading() -> Iterator[None]:
    """Look for no garbage while modules load: Dagster's make a quarter of a million objects, and all of them stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


COMMANDS = (process_command,)
