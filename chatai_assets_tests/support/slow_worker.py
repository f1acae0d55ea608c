"""A slow worker process that works on a home on request and reports what it does, to be frozen and continued.

``python -m chatai_assets_tests.support.slow_worker HOME [--server NAME VALUE]``: each line on stdin is a round; prints
``stage STREAM STAGE`` when a stage starts, ``lost STREAM STAGE N`` when N claims were lost, ``idle`` at the end.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.domain.ids import STREAMS
from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.observability import configure_logging
from chatai_assets.services import Services
from chatai_assets_tests.support.crash_injection import CrashPlan, inject_crashes
from chatai_assets_tests.support.pipeline import Limits, due_hours, free_settings, run, stage_run_config

LONGEST_DELAY_S = 0.15


class SlowModel:
    """A free model that sleeps before and after each call."""

    def __init__(self, model: Any) -> None:
        self._asked = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asked, name)

    def _slowly(self, ask: Any, questions: Sequence[ModelInput]) -> Any:
        time.sleep(random.uniform(0, LONGEST_DELAY_S))
        answer = ask(questions)
        time.sleep(random.uniform(0, LONGEST_DELAY_S))
        return answer

    def embed(self, questions: Sequence[ModelInput]) -> Any:
        return self._slowly(self._asked.embed, questions)

    def tag(self, questions: Sequence[ModelInput]) -> Any:
        return self._slowly(self._asked.tag, questions)

    def extract(self, questions: Sequence[ModelInput]) -> Any:
        return self._slowly(self._asked.extract, questions)


def worker_command(home: Path, servers: Sequence[tuple[str, str]], lease_s: float) -> list[str]:
    """Return the command that runs this module on a home."""
    chosen = [part for name, value in servers for part in ("--server", name, value)]
    return [sys.executable, "-m", __name__, str(home), "--lease", str(lease_s), *chosen]


@click.command()
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--server", "servers", type=(str, str), multiple=True, help="A variable that selects a server.")
@click.option("--lease", default=60.0, help="Seconds.")
def main(home: Path, servers: tuple[tuple[str, str], ...], lease: float) -> None:
    """Run one round per line of stdin."""
    configure_logging("ERROR")
    with Services(free_settings(home, dict(servers))) as services:
        inject_crashes(services, CrashPlan(None, 1), LONGEST_DELAY_S)
        for name in ("tagger", "embedder", "extractor"):
            services.__dict__[name] = SlowModel(getattr(services, name))
        _report("idle")
        for _ in sys.stdin:
            _round(services, Limits(batch_items=40, projection_items=40, lease_s=lease))
            _report("idle")


def _round(services: Services, limits: Limits) -> None:
    while due := [(stream, hour) for stream in STREAMS for hour in due_hours(services, stream)]:
        for stream, hour in due:
            for stage in ITEM_STAGES:
                _report(f"stage {stream} {stage}")
                if lost := run(stage, stage_run_config(stream, hour, limits), services).lost:
                    _report(f"lost {stream} {stage} {lost}")


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
