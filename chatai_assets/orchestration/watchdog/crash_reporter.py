"""Reports for a process that was killed during a run: fails its run with a reason and releases its claims.

The watchdog starts ``python -m chatai_assets.orchestration.watchdog.crash_reporter`` ahead of time, since loading
Dagster takes about two seconds. Standard input, line by line: the output of ``report_context``; the reason (empty if
the process died without one); ``gone`` once the process is gone. If the input ends before a reason, it does nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.instance import InstanceRef
from dagster._serdes import deserialize_value, serialize_value

from chatai_assets.operations.recovery import reclaim_abandoned
from chatai_assets.orchestration.runs import LOST
from chatai_assets.storage.engine import open_records, store_exists

REASSURANCE = "Nothing is lost and no attempt is used up: what it had claimed is free again, and the next run does it."


def report_context(run_id: str, instance: dg.DagsterInstance | None, database_url: str) -> list[str]:
    """Return what this module needs to know about a run, as the first line of its input."""
    ref = serialize_value(instance.get_ref()) if instance and instance.is_persistent else None
    return [json.dumps({"run": run_id, "instance": ref, "database": database_url})]


def main() -> None:
    """Read the context and the reason from standard input, and report."""
    context = json.loads(sys.stdin.readline() or "null")
    reason = sys.stdin.readline()
    if not context or not reason:
        return
    try:
        with _open_instance(context["instance"]) as instance:
            if instance:
                fail_run(instance, context["run"], reason.strip())
    finally:
        sys.stdout.write("reported\n")
        sys.stdout.flush()
        if sys.stdin.readline():
            release_claims(context["database"])


@contextmanager
def _open_instance(serialized: str | None) -> Iterator[dg.DagsterInstance | None]:
    if serialized is None:
        yield None
        return
    with dg.DagsterInstance.from_ref(deserialize_value(serialized, InstanceRef)) as instance:
        yield instance


def fail_run(instance: dg.DagsterInstance, run_id: str, sentence: str) -> None:
    """Fail a run; a run that is already failed gets the sentence as an event."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return
    if not run.is_finished:
        instance.report_run_failed(run, f"{sentence} {REASSURANCE}" if sentence else LOST)
    elif sentence and run.status is dg.DagsterRunStatus.FAILURE:
        instance.report_engine_event(sentence, run)


def release_claims(database_url: str) -> None:
    """Release the claims of processes that are gone. A database that was removed meanwhile is not created again."""
    if not store_exists(database_url):
        return
    records = open_records(database_url)
    try:
        reclaim_abandoned(records)
    finally:
        records.close()


if __name__ == "__main__":
    main()
