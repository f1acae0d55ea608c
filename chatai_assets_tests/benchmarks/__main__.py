"""All benchmarks: ``make bench``, or ``make bench ARGS="pipeline --models offline --runs 1"``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from chatai_assets_tests.benchmarks import edits, pipeline, providers, retrieval, scans, servers

BENCHMARKS: dict[str, Callable[[list[str]], None]] = {
    "pipeline": pipeline.main,
    "retrieval": retrieval.main,
    "providers": providers.main,
    "servers": servers.main,
    "scans": scans.main,
    "edits": edits.main,
}

if __name__ == "__main__":
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if name in BENCHMARKS:
        BENCHMARKS[name](arguments)
    else:
        for run in BENCHMARKS.values():
            run([])
