"""Providers over HTTP: speed at a given latency, a storm of faults, a quota that processes share.

``make bench ARGS="providers speed"``, ``... storm``, ``... quota``; real processes, and the local provider server.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.domain.errors import Outage
from chatai_assets.domain.stages import Stage
from chatai_assets.observability import configure_logging
from chatai_assets.services import Services
from chatai_assets.settings import read_settings
from chatai_assets.storage import schema
from chatai_assets_tests.support.pipeline import Limits, ingest_posts, message, process_all, rows
from chatai_assets_tests.support.providers.server import ask_server

AMPLE = {"CHATAI_QUOTA_MINUTE": "1000000", "CHATAI_QUOTA_HOUR": "1000000", "CHATAI_QUOTA_DAY": "1000000"}
STORM = {"429": 0.06, "429_retry_after": 0.03, "500": 0.06, "503": 0.03, "cut": 0.06, "lost_ack": 0.06}
ASKED: tuple[Stage, ...] = ("tag", "embed")


@contextmanager
def server_process(latency_s: float) -> Iterator[dict[str, str]]:
    """Run the server in a process of its own; give the variables with which it is asked."""
    command = [
        sys.executable,
        "-m",
        "chatai_assets_tests.support.providers.server",
        "--port",
        "0",
        "--latency",
        str(latency_s),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(7)] if process.stdout else []
        try:
            yield dict(line.strip().removeprefix("export ").split("=", 1) for line in lines)
        finally:
            process.terminate()


def address(variables: dict[str, str]) -> str:
    """Return where the server is."""
    return variables["GIGACHAT_BASE_URL"].removesuffix("/api/v1")


def speed(posts: int, latency_s: float) -> dict[str, Any]:
    """Tag posts that are parsed already."""
    with server_process(latency_s) as variables, tempfile.TemporaryDirectory() as home:
        asked = {"CHATAI_HOME": home, "CHATAI_MODELS": "free", "CHATAI_TAGGER": "gigachat", **AMPLE, **variables}
        with Services(read_settings(asked)) as services:
            _ingest(services, posts)
            started, cpu = time.monotonic(), time.process_time()
            reports = process_all(services, stages=("tag",))
            seconds, cpu = time.monotonic() - started, time.process_time() - cpu
            access = services.settings.providers.get("gigachat")
            streams = access.concurrency if access else 1
    ideal = posts / streams * latency_s
    return {
        "posts tagged": sum(report.done for report in reports),
        "seconds": round(seconds, 2),
        "times ideal": round(seconds / ideal, 3),
        "CPU ms per post": round(cpu / posts * 1_000, 2),
    }


def storm(posts: int, latency_s: float, per_minute: int = 3_000) -> dict[str, Any]:
    """Tag and embed posts with two processes while 30 % of all calls go wrong."""
    with server_process(latency_s) as variables, tempfile.TemporaryDirectory() as home:
        asked = {
            "CHATAI_HOME": home,
            "CHATAI_MODELS": "free",
            "CHATAI_TAGGER": "gigachat",
            "CHATAI_EMBEDDER": "gigachat",
            **AMPLE,
            "CHATAI_QUOTA_MINUTE": str(per_minute),
            **variables,
        }
        with Services(read_settings(asked)) as services:
            _ingest(services, posts)
            ask_server(address(variables), "/_behave", {"shares": STORM, "latency_s": latency_s})
            started = time.monotonic()
            _run_processes(2, ["work"], asked)
            seconds = time.monotonic() - started
            states = [row for row in rows(services, schema.work) if row["stage"] in ASKED]
            letters = len(rows(services, schema.worker_dlq))
        counts = ask_server(address(variables), "/_counts")
    return {
        "posts": posts,
        "tagged and embedded": sum(row["state"] == "done" for row in states) / len(ASKED),
        "dead letters": letters,
        "seconds": round(seconds, 1),
        "calls": counts["model_calls"],
        "spoiled calls": sum(counts["spoiled"].values()),
        "calls beyond quota": max(0, counts["most_in_60_s"] - per_minute),
        "texts whose answer was lost": counts["lost"],
        "texts paid again": counts["paid_repeats"],
    }


def quota(seconds: float, per_minute: int = 100) -> dict[str, Any]:
    """Let four processes ask as much as one quota lets them."""
    with server_process(0.2) as variables, tempfile.TemporaryDirectory() as home:
        asked = {"CHATAI_HOME": home, "CHATAI_MODELS": "free", "CHATAI_TAGGER": "gigachat", **AMPLE, **variables}
        asked |= {"CHATAI_QUOTA_MINUTE": str(per_minute), "CHATAI_QUOTA_PATIENCE_S": str(int(seconds))}
        with Services(read_settings(asked)) as services:
            assert services.records
        _run_processes(4, ["ask", str(time.time() + seconds)], asked)
        counts = ask_server(address(variables), "/_counts")
    return {
        "calls": counts["model_calls"],
        "most calls in any 60 s": counts["most_in_60_s"],
        "calls per minute of the clock": " ".join(str(count) for count in counts["minutes"].values()),
        # The first burst finds a whole minute unused: what comes after it is what a queue gets.
        "share of the quota used": round(
            (counts["model_calls"] - per_minute) / (per_minute * counts["span_s"] / 60), 3
        ),
    }


def _ingest(services: Services, posts: int) -> None:
    texts = (f"Вчера поезд {number} видел город Казань и реку Волга близ моста." for number in range(1, posts + 1))
    ingest_posts(services, (message(number, text) for number, text in enumerate(texts, start=1)))
    process_all(services, stages=("parse",))


def _run_processes(processes: int, what: list[str], variables: dict[str, str]) -> None:
    """Run workers until they end."""
    command = [sys.executable, "-m", __name__, "worker", *what, json.dumps(variables)]
    workers = [subprocess.Popen(command) for _ in range(processes)]
    if failed := [worker.args for worker in workers if worker.wait()]:
        raise RuntimeError(f"{len(failed)} workers failed.")


def work_on(variables: dict[str, str]) -> None:
    """Do what is due until nothing is open, as runs do that are asked for again and again."""
    with Services(read_settings(variables)) as services:
        while any(
            row["state"] in {"pending", "working"} for row in rows(services, schema.work) if row["stage"] in ASKED
        ):
            try:
                process_all(services, stages=ASKED, limits=Limits(batch_items=300))
            except Outage as outage:
                print(outage, file=sys.stderr)  # noqa: T201 - a benchmark tells
            time.sleep(0.5)


def ask_until(end: float, variables: dict[str, str]) -> None:
    """Ask new questions until a moment, epoch seconds."""
    with Services(read_settings(variables)) as services:
        number = time.monotonic_ns()
        while (left := end - time.time()) > 0:
            del left
            number += 25
            services.tagger.tag([ModelInput("t", f"вопрос {one} о городе") for one in range(number, number + 25)])


def _table(title: str, figures: dict[str, Any]) -> Table:
    table = Table("", title, title="Providers over HTTP")
    for name, value in figures.items():
        table.add_row(name, str(value))
    return table


def main(arguments: list[str]) -> None:
    """Print a table of each benchmark that is named, or of ``speed``."""
    configure_logging("ERROR")
    parser = argparse.ArgumentParser(prog="providers", description=__doc__)
    parser.add_argument("what", nargs="*", default=["speed"], choices=["speed", "storm", "quota"])
    parser.add_argument("--posts", type=int, default=None)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds a call takes")
    parser.add_argument("--seconds", type=float, default=300.0, help="of the quota benchmark")
    options = parser.parse_args(arguments)
    for what in options.what:
        if what == "speed":
            figures = speed(options.posts or 2_000, options.latency)
        elif what == "storm":
            figures = storm(options.posts or 5_000, 0.05)
        else:
            figures = quota(options.seconds)
        Console().print(_table(what, figures))


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        configure_logging("ERROR")
        given = json.loads(sys.argv[-1])
        if sys.argv[2] == "work":
            work_on(given)
        else:
            ask_until(float(sys.argv[3]), given)
    else:
        main(sys.argv[1:])
