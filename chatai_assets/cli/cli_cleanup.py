"""The command ``cleanup``: what schedules do every hour and each night, where no daemon runs."""

from __future__ import annotations

import time

import click

from chatai_assets.cli.output import as_json, print_json, progress
from chatai_assets.services import Parts


@click.command("cleanup")
@as_json
@click.pass_obj
def cleanup_command(parts: Parts, as_json: bool) -> None:
    """Remove what has expired from all stores, and roll up or drop what is kept for a while only."""
    from chatai_assets.operations.expiry import expire
    from chatai_assets.operations.retention import retain
    from chatai_assets.orchestration.instance import home_instance
    from chatai_assets.orchestration.jobs.erasure import stores_of
    from chatai_assets.orchestration.run_retention import delete_old_runs

    with progress("Cleaning up"):
        sweep = expire(stores_of(parts))
        gone = retain(parts.records, parts.settings.retention)
        if parts.settings.retention.runs_s is not None:
            with home_instance(parts.settings) as instance:
                gone["dagster_runs"] = delete_old_runs(instance, time.time() - parts.settings.retention.runs_s)
    told = {"expired": sweep.items, "gone": dict(sweep.counts), "dropped": dict(gone)}
    if as_json:
        print_json(told)
        return
    dropped = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in gone.items() if count)
    click.echo(f"{sweep.items} items had expired and are gone; dropped or rolled up: {dropped or 'nothing'}.")
