"""Thousands of operations in any order, with crashes in the middle, held against a simple model of the truth.

``python -m chatai_assets_tests.scenarios.machine --operations 50000 --seed 1``

Hypothesis draws the operations, and where the stores and the model differ, it looks for the shortest way there.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from shutil import copytree, rmtree

import click
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from chatai_assets.observability import configure_logging
from chatai_assets.services import Services
from chatai_assets_tests.support.forked_workers import WorkerForks
from chatai_assets_tests.support.pipeline import free_settings
from chatai_assets_tests.support.pipeline_model import TENANTS, TEXTS
from chatai_assets_tests.support.snapshot import KILL_POINTS, SimulatedHome

STEPS = 100
"""Operations on one home, which then comes to rest and is thrown away."""
BATCH = 10
"""Homes after which Hypothesis begins anew, with another seed."""
WEIGHTS = {
    "arrive": 41,
    "parse": 10,
    "tag": 7,
    "enrich": 6,
    "embed": 7,
    "index": 3,
    "link": 3,
    "process": 1,
    "crash": 6,
    "redo": 7,
    "replay": 2,
    "mood": 2,
    "clock": 3,
    "settle": 1,
    "restart": 1,
}
"""In percent."""
POSTS = 4
DATES = 6


@dataclass(frozen=True)
class Operation:
    """One thing that happens; most kinds look at some of the numbers only."""

    kind: str
    tenant: str
    number: int
    words: int
    date: int
    detail: int


OPERATIONS = st.builds(
    Operation,
    kind=st.sampled_from([kind for kind, weight in WEIGHTS.items() for _ in range(weight)]),
    tenant=st.sampled_from(TENANTS),
    number=st.integers(1, POSTS),
    words=st.integers(0, len(TEXTS) - 1),
    date=st.integers(0, DATES - 1),
    detail=st.integers(0, 59),
)


class Setup:
    """Where homes are made for a machine: copies of an empty one.

    Attributes:
        done: kind -> operations so far.
    """

    def __init__(self, folder: Path) -> None:
        self.done: Counter[str] = Counter()
        self.forks = WorkerForks()
        self._empty = folder / "empty"
        self._homes = folder / "homes"
        with Services(free_settings(self._empty)) as services:
            assert services.records
            with services.vectors.writing(), services.graph.writing():
                pass

    def new_home(self) -> Path:
        """Return the folder of a new, empty home; the one before goes."""
        rmtree(self._homes, ignore_errors=True)
        home = self._homes / f"{time.monotonic_ns()}"
        copytree(self._empty, home)
        return home


class Machine(RuleBasedStateMachine):
    """A home and its model."""

    def __init__(self, stand: Setup) -> None:
        super().__init__()
        self._stand = stand
        self._world = SimulatedHome(stand.new_home(), stand.forks)
        self._diverged = False

    @rule(operation=OPERATIONS)
    def operate(self, operation: Operation) -> None:
        """Do one operation and compare."""
        self._stand.done[operation.kind] += 1
        self._diverged = True
        self._perform(operation)
        _assert_no_differences(self._world.differences())
        self._diverged = False

    def _perform(self, operation: Operation) -> None:
        world = self._world
        match operation.kind:
            case "arrive":
                crash = operation.detail if operation.detail < len(("before", "after")) else None
                world.arrive(operation.tenant, operation.number, TEXTS[operation.words], operation.date, crash)
            case "crash":
                world.crash(operation.detail, by_lease=operation.date % 2 == 0)
            case "process":
                world.process()
            case "redo":
                world.redo(operation.tenant, operation.number, operation.detail)
            case "replay":
                world.replay()
            case "mood":
                world.poisoned = not world.poisoned
            case "clock":
                world.now += (-7_200.0, 3_600.0, 61.0, 1.0)[operation.detail % 4]
            case "settle":
                world.settle()
                _assert_no_differences(world.differences_at_rest())
            case "restart":
                world.restart(KILL_POINTS[operation.detail] if operation.detail < len(KILL_POINTS) else None)
            case stage:
                world.run_stage(stage)

    def teardown(self) -> None:
        """Come to rest and compare all."""
        try:
            if not self._diverged:
                self._world.settle()
                _assert_no_differences(self._world.differences_at_rest())
        finally:
            self._world.close()


def _assert_no_differences(differences: Sequence[str]) -> None:
    if differences:
        raise AssertionError("; ".join(differences))


def run(
    folder: Path,
    operations: int,
    seed: int,
    *,
    longest_s: float = math.inf,
    on_batch: Callable[[int], None] = lambda _done: None,
) -> Counter[str]:
    """Do at least so many operations; return how many of each kind.

    Args:
        longest_s: after which no further batch of homes is begun.
        on_batch: called with the operations so far, for progress.

    Raises:
        AssertionError: a divergence, with the shortest way to it that was found.
    """
    stand = Setup(folder)

    class OnStand(Machine):
        def __init__(self) -> None:
            super().__init__(stand)

    examples = settings(
        max_examples=min(BATCH, math.ceil(operations / STEPS)),
        stateful_step_count=min(STEPS, operations),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    until = time.monotonic() + longest_s
    while stand.done.total() < operations and time.monotonic() < until:
        begun = seed * 1_000_000 + stand.done.total()
        run_state_machine_as_test(seeded(begun)(OnStand), settings=examples)
        on_batch(stand.done.total())
    return stand.done


@click.command()
@click.option("--operations", default=50_000, show_default=True)
@click.option("--seed", type=int, help="Drawn by default, and printed.")
@click.option("--minutes", default=60, show_default=True, help="After which no further batch is begun.")
def main(operations: int, seed: int | None, minutes: int) -> None:
    """Do operations in any order until stores and model differ."""
    configure_logging("ERROR")
    seed = SystemRandom().randrange(10_000) if seed is None else seed
    click.echo(f"seed {seed}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done = run(Path(folder), operations, seed, longest_s=60.0 * minutes, on_batch=click.echo)
    click.echo(f"{done.total()} operations, {time.monotonic() - started:.0f} s, no divergence")
    click.echo(", ".join(f"{count} {kind}" for kind, count in done.most_common()))


if __name__ == "__main__":
    main()
