"""The assets of maintenance: expiry, retention and audit. They have no partitions and depend on nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from chatai_assets.operations.audit.audit import AuditReport, audit
from chatai_assets.operations.erasure import Stores
from chatai_assets.operations.expiry import ExpirySweep, expire
from chatai_assets.operations.retention import apply_retention
from chatai_assets.orchestration.assets.streams import OWNERS
from chatai_assets.orchestration.failures import failure_of_upkeep, is_ours_to_explain, report_unforeseen
from chatai_assets.orchestration.resources import Clock
from chatai_assets.orchestration.run_retention import delete_old_runs
from chatai_assets.orchestration.runs import UPKEEP_JOBS, tag_worker
from chatai_assets.orchestration.watchdog.client import ensure_exit, watchdog
from chatai_assets.orchestration.watchdog.deadline import DeadlineExceeded, deadline
from chatai_assets.orchestration.watchdog.heartbeat import run_heartbeat
from chatai_assets.pipeline.projections.vector_indexes import newer_layout
from chatai_assets.services import Services
from chatai_assets.settings import Settings
from chatai_assets.storage.vector_indexes import Index

UPKEEP = "upkeep"
BUDGET_SHARE = 4
"""Of its run's deadline an asset begins batches in the first quarter only; the next run does the rest."""
GONE_COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("kind", "string", "of which store or table"),
        dg.TableColumn("gone", "int", "points, edges, files or rows that went"),
    ]
)
TENANT_COLUMNS = dg.TableSchema([dg.TableColumn("tenant", "string"), dg.TableColumn("items", "int")])
LISTED = 50


def upkeep_assets() -> list[dg.AssetsDefinition]:
    """Return ``upkeep/expired`` and ``upkeep/retained``."""
    return [expired, retained]


@contextmanager
def upkeep_run(context: dg.AssetExecutionContext, settings: Settings, services: Services) -> Iterator[float]:
    """Run an asset within the deadline of a run and translate its failure for Dagster; yield its budget in seconds.

    Raises:
        dagster.Failure: it failed; says in one sentence what is down.
        dagster.RetryRequested: a store could not be reached; it is tried again.
    """
    name = f"the asset {context.asset_key.to_user_string()!r}"
    try:
        with deadline(settings.run_deadline_s, name, context.run.run_id, watchdog(), grace_s=settings.grace_s):
            tag_worker(context.instance, context.run.run_id)
            with run_heartbeat(services.records, context.run.run_id, settings.lease_s):
                yield settings.run_deadline_s / BUDGET_SHARE
    except BaseException as error:
        if not is_ours_to_explain(error):
            raise
        if isinstance(error, DeadlineExceeded):
            ensure_exit(context.run.run_id)
        report_unforeseen(error, context.asset_key.to_user_string(), settings.sentry_dsn)
        raise failure_of_upkeep(error, context.op_execution_context.retry_number) from None


@dg.asset(
    key=UPKEEP_JOBS["expire"],
    group_name=UPKEEP,
    owners=OWNERS,
    kinds={"python"},
    description="""Posts and documents whose time is over (`expires_at`) leave vector index, graph and record store.

A sweep takes what had expired when it began, batch by batch, with a checkpoint: one that was killed is gone on with.
Of each item a tombstone stays, without text, so that its hour counts right and an old export brings nothing back. Nodes
that nobody mentions any more go with the last edge. An edit that arrives meanwhile wins.""",
)
def expired(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    parts: dg.ResourceParam[Services],
) -> dg.MaterializeResult[None]:
    """Remove what has expired."""
    with upkeep_run(context, settings, parts) as budget_s:
        stores = Stores(parts.records, parts.blobs, parts.indexes, parts.graph)
        sweep = expire(stores, budget_s=budget_s, clock=clock)
    return dg.MaterializeResult(metadata=sweep_metadata(sweep))


@dg.asset(
    key=UPKEEP_JOBS["retain"],
    group_name=UPKEEP,
    owners=OWNERS,
    kinds={"python"},
    description="""What is kept for a while only: rolled up or dropped, as the settings `CHATAI_KEEP_...` say.

What batches did is summed up by hour, costs by day; resolved dead letters, answers and pages that no item uses, vectors
of texts that nobody has and old tombstones go. So do old runs of Dagster on which the status of no partition rests.""",
)
def retained(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    parts: dg.ResourceParam[Services],
) -> dg.MaterializeResult[None]:
    """Drop and roll up what is old."""
    with upkeep_run(context, settings, parts) as budget_s:
        gone = apply_retention(parts.records, settings.retention, budget_s=budget_s, clock=clock)
        if settings.retention.runs_s is not None:
            gone["dagster_runs"] = delete_old_runs(context.instance, clock() - settings.retention.runs_s)
    return dg.MaterializeResult(metadata={**figures(gone), "gone": gone_table(gone)})


def sweep_metadata(sweep: ExpirySweep) -> dict[str, Any]:
    """Return what went in a sweep, as numbers that plot and tables; no text."""
    rows = [dg.TableRecord({"tenant": tenant, "items": items}) for tenant, items in sweep.tenants.most_common(LISTED)]
    return {
        "items": sweep.items,
        **figures(sweep.counts),
        "resumed": sweep.resumed,
        "complete": sweep.complete,
        "until": dg.MetadataValue.timestamp(datetime.fromtimestamp(sweep.until, UTC)),
        "gone": gone_table(sweep.counts),
        "tenants": dg.MetadataValue.table(rows, TENANT_COLUMNS),
    }


def figures(gone: Mapping[str, int]) -> dict[str, int]:
    """Return kind -> how many went, as numbers that plot."""
    return {f"gone_{kind}": count for kind, count in gone.items()}


def gone_table(gone: Counter[str]) -> dg.TableMetadataValue:
    """Return what went as a table, most first."""
    rows = [dg.TableRecord({"kind": kind, "gone": count}) for kind, count in gone.most_common() if count]
    return dg.MetadataValue.table(rows, GONE_COLUMNS)


CHECK = "stores_agree"
LAYOUT_CHECK = "layout_is_newest"
REPAIR = "chatai audit --repair"
COLUMNS = dg.TableSchema([dg.TableColumn(name) for name in ("store", "difference", "part", "tenant", "source")])


class AuditConfig(dg.Config):
    """Whether an audit repairs what it finds."""

    repair: bool = Field(default=False, description="Write again what differs, and remove what belongs to nothing.")


@dg.asset(
    key=UPKEEP_JOBS["audit"],
    group_name=UPKEEP,
    owners=OWNERS,
    kinds={"python"},
    check_specs=[
        dg.AssetCheckSpec(CHECK, asset=UPKEEP_JOBS["audit"], description="Whether no store differs."),
        dg.AssetCheckSpec(
            LAYOUT_CHECK,
            asset=UPKEEP_JOBS["audit"],
            description="Whether the vector index that serves has the newest layout.",
        ),
    ],
    description="""Vector index and graph, compared with the record store point by point and edge by edge.

What is missing, extra or changed in both of two looks differs indeed: runs may write meanwhile. With `repair` in the
launchpad, items that differ become pending and the next runs write them again; what belongs to nothing is removed.""",
)
def audited(
    context: dg.AssetExecutionContext,
    config: AuditConfig,
    settings: dg.ResourceParam[Settings],
    parts: dg.ResourceParam[Services],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Compare the stores."""
    with upkeep_run(context, settings, parts):
        reports = [
            audit(parts.records, each, repair=config.repair, on_progress=context.log.info) for each in parts.audited
        ]
        active = parts.indexes.serving_now()
    yield dg.MaterializeResult(metadata=audit_metadata(reports))
    yield agreement(reports)
    yield layout_result(active)


def layout_result(active: Index) -> dg.AssetCheckResult:
    """Return whether the active vector index has the newest layout, and what to do if not."""
    advice = newer_layout(active)
    return dg.AssetCheckResult(
        check_name=LAYOUT_CHECK,
        passed=not advice,
        severity=dg.AssetCheckSeverity.WARN,
        description=advice or f"The vector index of {active.embedder} has the newest layout.",
        metadata={"layout": active.layout},
    )


def audit_metadata(reports: Sequence[AuditReport]) -> dict[str, Any]:
    """Return the figures of an audit, and a few of the differences; no text."""
    figures = {
        f"{report.projection}_{name}": value
        for report in reports
        for name, value in {
            "expected": report.expected,
            "found": report.found,
            **{kind: report.differences[kind] for kind in ("missing", "extra", "changed")},
            "reopened": report.reopened,
            "removed": report.removed,
            "seconds": round(report.seconds, 2),
        }.items()
    }
    rows = [
        dg.TableRecord({"store": report.projection, **example}) for report in reports for example in report.examples
    ]
    return {**figures, "examples": dg.MetadataValue.table(rows, COLUMNS)}


def agreement(reports: Sequence[AuditReport]) -> dg.AssetCheckResult:
    """Return whether the stores agree, and what to do if not."""
    differing = {report.projection: report.differences.total() for report in reports if not report.agrees}
    if not differing:
        return dg.AssetCheckResult(check_name=CHECK, passed=True, description="Both stores hold what they should.")
    said = " and ".join(f"{count:,} parts of the {name}" for name, count in differing.items())
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{said} are not as the record store has them; `{REPAIR}` mends it, or `repair` in the launchpad.",
        metadata={f"{name}_differences": count for name, count in differing.items()},
    )
