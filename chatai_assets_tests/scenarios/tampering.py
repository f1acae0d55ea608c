"""One point and one edge in a hundred removed or altered by hand: an audit finds exactly these and repairs them.

``python -m chatai_assets_tests.scenarios.tampering --posts 100000 --share 0.01 --seed 1``
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random, SystemRandom
from subprocess import DEVNULL, PIPE, Popen

import click

from chatai_assets.domain.graph.changes import EdgeRef, GraphChange
from chatai_assets.observability import configure_logging
from chatai_assets.operations.audit.audit import AuditReport, audit
from chatai_assets.operations.audit.comparison import Difference
from chatai_assets.services import Services
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.pipeline import Limits, free_settings, ingest_posts, message, process_all

BATCH = 5_000
AUDIT = """
import atexit, re, sys
from pathlib import Path
from chatai_assets.cli.main import main
status = Path("/proc/self/status")
atexit.register(lambda: print(*re.findall(r"VmHWM:\\s+(\\d+)", status.read_text()), file=sys.stderr))
main()
"""
"""Prints its peak memory in KiB itself: the system counts the parent's memory at the start as the child's own."""
LIMITS = Limits(run_items=200_000, batch_items=2_000, projection_items=10_000)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        tampered: (kind, part) -> of what was done.
        found: the same, of what the audit said.
        reports: vectors and graph, as the audit found them.
        after: whether they agreed after the repair.
        clean_s: seconds of ``chatai audit``, a process of its own, before anything was altered.
        clean_cpu_s: seconds of a core that it took, whatever else the machine did.
        clean_mib: its memory at most.
        seconds: of the audit that found the differences.
    """

    tampered: set[tuple[str, str]] = field(default_factory=set)
    found: set[tuple[str, str]] = field(default_factory=set)
    reports: Sequence[AuditReport] = ()
    after: Sequence[AuditReport] = ()
    clean_s: float = 0.0
    clean_cpu_s: float = 0.0
    clean_mib: float = 0.0
    clean_code: int = -1
    seconds: float = 0.0


def run(folder: Path, posts: int, share: float, seed: int) -> Outcome:
    """Fill a home, alter some of it, audit, repair, audit."""
    outcome, dice = Outcome(), Random(seed)
    settings = free_settings(folder)
    with Services(settings) as services:
        for first in range(1, posts + 1, BATCH):
            numbers = range(first, min(first + BATCH, posts + 1))
            ingest_posts(services, [message(n, corpus.text(dice, n, 30), date=corpus.BASE + n) for n in numbers])
        process_all(services, limits=LIMITS)
    _audit_as_a_command(folder, outcome)
    with Services(settings) as services:
        outcome.tampered = _tamper_points(services, share, dice) | _tamper_edges(services, share, dice)
        outcome.reports = _audits(services, outcome)
        outcome.seconds = sum(report.seconds for report in outcome.reports)
        process_all(services, limits=LIMITS)
        outcome.after = [audit(services.records, each) for each in services.audited]
    return outcome


def _audit_as_a_command(folder: Path, outcome: Outcome) -> None:
    environment = {**os.environ, "CHATAI_HOME": str(folder), "CHATAI_MODELS": "free"}
    started = time.monotonic()
    with Popen(
        [sys.executable, "-c", AUDIT, "audit"], env=environment, stdout=DEVNULL, stderr=PIPE, text=True
    ) as child:
        assert child.stderr is not None
        outcome.clean_mib = int(child.stderr.read().split()[-1]) / 1024
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = outcome.clean_code = os.waitstatus_to_exitcode(status)
    outcome.clean_s, outcome.clean_cpu_s = time.monotonic() - started, usage.ru_utime + usage.ru_stime


def _tamper_points(services: Services, share: float, dice: Random) -> set[tuple[str, str]]:
    chosen = [point for point in services.vectors.points_with_vectors() if dice.random() < share]
    gone, altered = chosen[::2], chosen[1::2]
    others = [
        replace(point, payload={**point.payload, "title": "altered"})
        if number % 2
        else replace(point, dense=-point.dense)
        for number, point in enumerate(altered)
    ]
    with services.vectors.writing() as writer:
        writer.upsert(others)
        writer.delete([point.id for point in gone])
    return {("missing", point.id) for point in gone} | {("changed", point.id) for point in altered}


def _tamper_edges(services: Services, share: float, dice: Random) -> set[tuple[str, str]]:
    chosen = [edge for edge in services.graph.edges() if edge.type != "POSTED_IN" and dice.random() < share]
    altered = [edge for edge in chosen[1::2] if "chunks" in edge.properties]
    gone = [edge for edge in chosen if edge not in altered]
    other = [edge._replace(properties={**edge.properties, "chunks": [77]}) for edge in altered]
    removed = [EdgeRef(edge.type, edge.id, edge.start) for edge in gone]
    with services.graph.writing() as writer:
        writer.apply(GraphChange(edges=other, delete_edges=removed))
    names = {"missing": gone, "changed": altered}
    return {(kind, f"{edge.type} {edge.id}") for kind, edges in names.items() for edge in edges}


def _audits(services: Services, outcome: Outcome) -> list[AuditReport]:
    def note(difference: Difference) -> None:
        outcome.found.add((difference.kind, difference.part))

    return [audit(services.records, audited, repair=True, each=note) for audited in services.audited]


@click.command()
@click.option("--posts", default=100_000, show_default=True)
@click.option("--share", default=0.01, show_default=True, help="Of points, and of edges.")
@click.option("--seed", type=int, help="Drawn by default, and printed.")
def main(posts: int, share: float, seed: int | None) -> None:
    """Alter stores by hand and audit them."""
    configure_logging("CRITICAL")
    seed = SystemRandom().randrange(10_000) if seed is None else seed
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), posts, share, seed)
    took = f"{outcome.clean_s:.1f} s, {outcome.clean_cpu_s:.1f} CPU s, {outcome.clean_mib:.0f} MB"
    click.echo(f"clean: exit code {outcome.clean_code}, {took}")
    for report in outcome.reports:
        click.echo(f"{report.projection}: {report.expected} expected, {report.found} found, {dict(report.differences)}")
        click.echo(f"  {report.reopened} items written again, {report.removed} strays removed, {report.seconds:.1f} s")
    click.echo(f"{len(outcome.tampered)} altered, {len(outcome.tampered - outcome.found)} of them not found")
    click.echo(f"{len(outcome.found - outcome.tampered)} others found")
    click.echo(f"clean after the repair: {[report.agrees for report in outcome.after]}")
    agree = outcome.tampered == outcome.found and all(report.agrees for report in outcome.after)
    sys.exit(outcome.clean_code or not agree)


if __name__ == "__main__":
    main()
