"""Files of which four in ten are hostile: each ends as it must, its neighbours are read, and the parent lives.

``CHATAI_CORPUS=../shared/data python -m chatai_assets_tests.scenarios.hostile --files 500``
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.observability import configure_logging
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets_tests.adapters.parsers.test_corpus import HOSTILE
from chatai_assets_tests.support.files import docx, pdf, word_paragraph
from chatai_assets_tests.support.pipeline import Limits, free_settings, ingest_files, process_all, rows

CHILD = "chatai_assets_tests.support.hostile_child"
HOSTILE_SHARE = 0.4
WORKERS = 2
ATTEMPT_S = 3_600
ANY = "any fault"
"""Of files of the corpus of which its manifest says no more than that they end."""
BOMB = word_paragraph("0" * 2**26)
DTD = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


def _trick(name: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(f"TRICK {name}\n{path.name}", encoding="utf-8")

    return write


def _bomb(path: Path) -> None:
    docx(path, BOMB + word_paragraph(path.name))


def _entries(path: Path) -> None:
    with zipfile.ZipFile(docx(path, word_paragraph(path.name)), "a") as archive:
        for number in range(10_001):
            archive.writestr(f"word/{number}.xml", "")


def _laughs(path: Path) -> None:
    docx(path, word_paragraph(f"&b; {path.name}"), DTD)


def _cut(path: Path) -> None:
    whole = docx(path, "".join(word_paragraph(f"{path.name} {number}") for number in range(200))).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


KINDS: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "exit": ("txt", "parser_crashed", _trick("exit")),
    "segfault": ("txt", "parser_crashed", _trick("segfault")),
    "abort": ("txt", "parser_crashed", _trick("abort")),
    "kill": ("txt", "ChildKilled", _trick("kill")),
    "memory": ("txt", "memory_limit", _trick("memory")),
    "block": ("txt", "memory_limit", _trick("block")),
    "bomb": ("docx", "archive_bomb", _bomb),
    "entries": ("docx", "archive_bomb", _entries),
    "laughs": ("docx", "forbidden_xml", _laughs),
    "cut": ("docx", "corrupt", _cut),
}
"""Name -> suffix, class of its dead letter, and what writes one. None of them takes long."""
ENDLESS: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    name: ("txt", "timeout", _trick(name)) for name in ("loop", "gil", "sleep")
}
"""Those that take until their deadline."""


@dataclass
class Outcome:
    """How it ended.

    Attributes:
        expected: file name -> class of its dead letter; None where it is read.
        found: the same, as it came out.
        slowest_s: seconds from handing a file over to its outcome, of files that were ended.
        slowest: which of them that was.
        peak_child_mb: the most memory that a child had resident.
    """

    expected: dict[str, str | None]
    found: dict[str, str | None] = field(default_factory=dict)
    slowest_s: float = 0.0
    slowest: str = ""
    peak_child_mb: float = 0.0
    seconds: float = 0.0

    @property
    def wrong(self) -> dict[str, tuple[str | None, str | None]]:
        """Files that ended otherwise than they must, with what was expected and what was found."""
        both = {name: (wanted, self.found.get(name, "lost")) for name, wanted in self.expected.items()}
        return {name: (a, b) for name, (a, b) in both.items() if a != b and not (a == ANY and b != "lost")}

    @property
    def counts(self) -> Counter[str]:
        """Class -> files; "read" for those that were."""
        return Counter(name or "read" for name in self.found.values())


class TimedPool(ParserPool):
    """A pool that notes how long each file took."""

    def __init__(self, workers: int, limits: ParserLimits, module: str) -> None:
        super().__init__(workers, limits, module)
        self.seconds: dict[str, float] = {}

    def read(self, path: Path, name: str, known_format: str | None = None) -> ParsedDocument:
        started = time.monotonic()
        try:
            return super().read(path, name, known_format)
        finally:
            self.seconds[name] = max(self.seconds.get(name, 0.0), time.monotonic() - started)


def make(folder: Path, files: int, endless: int, corpus: Path | None) -> dict[str, str | None]:
    """Write the files; return name -> class of the dead letter it must end as, None for those that are read.

    Args:
        endless: files of each kind that take until their deadline.
        corpus: where the shared hostile files are.
    """
    expected: dict[str, str | None] = {}
    for path in sorted(corpus.iterdir()) if corpus else ():
        (folder / path.name).write_bytes(path.read_bytes())
        expected[path.name] = HOSTILE.get(path.name, ANY)
    for number in range(endless):
        for name, (suffix, error_class, write) in ENDLESS.items():
            write(folder / f"{name}-{number}.{suffix}")
            expected[f"{name}-{number}.{suffix}"] = error_class
    kinds, number = [*KINDS.items()], 0
    while len(expected) < files * HOSTILE_SHARE:
        name, (suffix, error_class, write) = kinds[number % len(kinds)]
        write(folder / f"{name}-{number}.{suffix}")
        expected[f"{name}-{number}.{suffix}"] = error_class
        number += 1
    for number in range(files - len(expected)):
        expected[_good(folder, number)] = None
    return expected


def _good(folder: Path, number: int) -> str:
    name = f"good-{number}.{('txt', 'docx', 'pdf')[number % 3]}"
    if name.endswith("txt"):
        (folder / name).write_text(f"Письмо номер {number} о Волге и Москве.", encoding="utf-8")
    elif name.endswith("docx"):
        docx(folder / name, word_paragraph(f"Договор номер {number} о Волге."))
    else:
        pdf(folder / name, [f"Letter number {number}"])
    return name


def run(folder: Path, files: int, *, endless: int, limits: ParserLimits, corpus: Path | None = None) -> Outcome:
    """Bring the files in, parse them until nothing is due, and look at what became of each."""
    arrived = folder / "arrived"
    arrived.mkdir()
    outcome = Outcome(make(arrived, files, endless, corpus))
    started = time.monotonic()
    with Services(free_settings(folder / "home")) as services, TimedPool(WORKERS, limits, CHILD) as pool:
        services.__dict__["parser"] = pool
        report = ingest_files(services, sorted(arrived.iterdir()))
        if report.rejected or report.documents != files:
            raise RuntimeError(f"{report.documents} of {files} files were taken in")
        for attempt in range(3):
            now = time.time() + attempt * ATTEMPT_S
            process_all(services, stages=["parse"], limits=Limits(batch_items=20), now=now)
        names = {row["source_key"]: row["file_name"] for row in rows(services, schema.documents)}
        letters = {row["source_key"]: row["error_class"] for row in rows(services, schema.worker_dlq)}
        done = [row for row in rows(services, schema.work, schema.work.c.stage == "parse") if row["state"] != "pending"]
        outcome.found = {names[row["source_key"]]: letters.get(row["source_key"]) for row in done}
    ended = {name: pool.seconds[name] for name, error_class in outcome.found.items() if error_class}
    outcome.slowest = max(ended, key=ended.__getitem__)
    outcome.slowest_s = ended[outcome.slowest]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    outcome.peak_child_mb = peak / (2**20 if sys.platform == "darwin" else 2**10)
    outcome.seconds = time.monotonic() - started
    return outcome


@click.command()
@click.option("--files", default=500)
@click.option("--endless", default=6, help="Files of each kind that take until their deadline.")
@click.option("--wall", default=15.0, help="Seconds a file may take.")
@click.option("--memory-mb", default=400)
def main(files: int, endless: int, wall: float, memory_mb: int) -> None:
    """Run the scenario and print its outcome."""
    configure_logging("ERROR")
    shared = os.environ.get("CHATAI_CORPUS")
    limits = ParserLimits(wall_s=wall, cpu_s=int(wall), memory_bytes=memory_mb * 2**20)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(shared) / "hostile" if shared else None
        outcome = run(Path(folder), files, endless=endless, limits=limits, corpus=corpus)
    click.echo(f"{files} files in {outcome.seconds:.0f} s: {dict(outcome.counts)}")
    click.echo(f"otherwise than expected: {outcome.wrong or 'none'}")
    click.echo(f"slowest end: {outcome.slowest_s:.1f} s ({outcome.slowest}), limit {wall:g} s")
    click.echo(f"peak memory of a child: {outcome.peak_child_mb:.0f} MB, limit {memory_mb} MB of private memory")
    sys.exit(bool(outcome.wrong) or outcome.slowest_s > wall + 5)


if __name__ == "__main__":
    main()
