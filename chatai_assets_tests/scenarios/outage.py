"""A provider that answers 503 to everybody for a while, beneath the real daemon: nobody clicks, nothing is lost.

``python -m chatai_assets_tests.scenarios.outage --seconds 120``
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import dagster as dg
from sqlalchemy import select

from chatai_assets.observability import configure_logging
from chatai_assets.orchestration.instance import home_instance
from chatai_assets.orchestration.runs import OPEN
from chatai_assets.services import open_services
from chatai_assets.settings import read_settings
from chatai_assets.storage import schema
from chatai_assets_tests.support.daemon import Daemon, start_make_run
from chatai_assets_tests.support.pipeline import ingest_posts, message
from chatai_assets_tests.support.providers.home import AMPLE_QUOTAS
from chatai_assets_tests.support.providers.server import ProviderServer, provider_server

DOWN = {"503": 1.0}
STARTED_WITHIN_S = 60.0
RECOVERED_S = 300.0
"""From the provider's return to the end of all work: the longest pause after failed runs, and the work itself."""


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        seconds: how long the provider is down.
        latency_s: of a call while it is up.
    """

    seconds: float
    posts: int = 600
    latency_s: float = 0.25


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        tagged_before: posts that were tagged when the provider went down.
        attempts: attempts used up by all items together, as they stood while it was down.
        failed_runs: the sentences of the steps that failed, run by run, in the order of the runs.
        good_runs: runs that succeeded after the last failed one.
        others: runs that somebody clicked for, or that are in any other state.
        states: state -> rows of work in the end.
        letters: dead letters, resolved ones as well.
        recovered_s: from the provider's return to the end of the work.
    """

    tagged_before: int = 0
    attempts: int = 0
    failed_runs: list[list[str]] = field(default_factory=list)
    good_runs: int = 0
    others: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    letters: int = 0
    recovered_s: float = 0.0


def run(folder: Path, plan: Plan) -> Outcome:
    """Let a provider go down amid the work of a daemon, and wait until all is done."""
    home = folder / "home"
    with provider_server() as server:
        server.behave(latency_s=plan.latency_s)
        daemon = start_make_run(home, folder / "log.txt", _variables(server))
        try:
            outcome = _watch(daemon, server, plan)
            daemon.interrupt()
        finally:
            daemon.kill()
    return outcome


def _variables(server: ProviderServer) -> dict[str, str]:
    return {
        **server.environment(),
        **AMPLE_QUOTAS,
        "CHATAI_MODELS": "free",
        "CHATAI_TAGGER": "gigachat",
        "CHATAI_SAMPLES": "0",
        "CHATAI_BATCH_POSTS": "100",
    }


def _watch(daemon: Daemon, server: ProviderServer, plan: Plan) -> Outcome:
    outcome = Outcome()
    _ingest(daemon.home, plan.posts)
    daemon.until(lambda: _count_tagged(daemon) >= plan.posts // 4, STARTED_WITHIN_S, "a quarter of the posts is tagged")
    server.behave(shares=DOWN)
    time.sleep(plan.seconds)
    outcome.attempts = sum(row["attempts"] for row in _work(daemon.home))
    outcome.tagged_before = _count_tagged(daemon)
    server.behave(latency_s=plan.latency_s)
    outcome.recovered_s = daemon.until(
        lambda: daemon.is_settled(plan.posts) and _is_idle(daemon.home), RECOVERED_S, "all posts are done"
    )
    _read_history(daemon.home, outcome)
    return outcome


def _ingest(home: Path, count: int) -> None:
    texts = (f"Вчера поезд {number} видел город Казань и реку Волга близ моста." for number in range(1, count + 1))
    with open_services(read_settings({"CHATAI_HOME": str(home)})) as services:
        ingest_posts(services, (message(n, text) for n, text in enumerate(texts, start=1)), now=time.time())


def _count_tagged(daemon: Daemon) -> int:
    return sum(stage == "tag" and state == "done" for (_, stage), (state, _, _) in daemon.work_rows().items())


def _is_idle(home: Path) -> bool:
    with home_instance(read_settings({"CHATAI_HOME": str(home)})) as instance:
        return not instance.get_runs(dg.RunsFilter(statuses=list(OPEN)))


def _work(home: Path) -> list[dict[str, Any]]:
    with open_services(read_settings({"CHATAI_HOME": str(home)})) as services, services.records.reading() as connection:
        return [dict(row) for row in connection.execute(select(schema.work)).mappings()]


def _read_history(home: Path, outcome: Outcome) -> None:
    """Read what Dagster and the record store kept of it."""
    settings = read_settings({"CHATAI_HOME": str(home)})
    with open_services(settings) as services, services.records.reading() as connection:
        outcome.letters = len(connection.execute(select(schema.worker_dlq)).all())
        outcome.states.update(connection.execute(select(schema.work.c.state)).scalars())
    with home_instance(settings) as instance:
        for run_ in sorted(instance.get_run_records(), key=lambda record: record.create_timestamp):
            status, tags = run_.dagster_run.status, run_.dagster_run.tags
            if "dagster/schedule_name" in tags:
                continue
            if "dagster/sensor_name" not in tags:
                outcome.others.append(f"no sensor asked for {run_.dagster_run.run_id}")
            elif status is dg.DagsterRunStatus.FAILURE:
                outcome.failed_runs.append(_sentences(instance, run_.dagster_run.run_id))
                outcome.good_runs = 0
            elif status is dg.DagsterRunStatus.SUCCESS:
                outcome.good_runs += 1
            else:
                outcome.others.append(status.value)


def _sentences(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return what the UI shows as the failure of each step."""
    found = []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        data = entry.dagster_event.step_failure_data if entry.dagster_event else None
        found.append(data.user_failure_data.description or "" if data and data.user_failure_data else "")
    return found


@click.command()
@click.option("--seconds", default=120.0, show_default=True)
@click.option("--posts", default=600, show_default=True)
def main(seconds: float, posts: int) -> None:
    """Let the provider of a daemon go down for so many seconds, and tell what became of runs and posts."""
    configure_logging("ERROR")
    with tempfile.TemporaryDirectory(prefix="chatai-outage-") as folder:
        outcome = run(Path(folder), Plan(seconds=seconds, posts=posts))
    for name, value in vars(outcome).items():
        click.echo(f"{name}: {value}")


if __name__ == "__main__":
    main()
