"""The asset ``upkeep/audited``: whether vector index and graph are what the record store says."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from chatai_assets.operations.audit.audit import Audited, AuditReport, audit
from chatai_assets.orchestration.assets.maintenance import UPKEEP, upkeep_run
from chatai_assets.orchestration.assets.stages import OWNERS
from chatai_assets.orchestration.resources import Part
from chatai_assets.orchestration.runs import UPKEEP_JOBS
from chatai_assets.settings import Settings
from chatai_assets.storage.engine import Records

CHECK = "stores_agree"
REPAIR = "chatai audit --repair"
COLUMNS = dg.TableSchema([dg.TableColumn(name) for name in ("store", "difference", "part", "tenant", "source")])


class AuditConfig(dg.Config):
    """What an audit does beside looking."""

    repair: bool = Field(default=False, description="Write again what differs, and remove what belongs to nothing.")


@dg.asset(
    key=UPKEEP_JOBS["audit"],
    group_name=UPKEEP,
    owners=OWNERS,
    kinds={"python"},
    check_specs=[dg.AssetCheckSpec(CHECK, asset=UPKEEP_JOBS["audit"], description="Whether no store differs.")],
    description="""Vector index and graph, compared with the record store point by point and edge by edge.

What is missing, extra or changed in both of two looks differs indeed: runs may write meanwhile. With `repair` in the
launchpad, items that differ become pending and the next runs write them again; what belongs to nothing is removed.""",
)
def audited(
    context: dg.AssetExecutionContext,
    config: AuditConfig,
    settings: dg.ResourceParam[Settings],
    records: dg.ResourceParam[Part[Records]],
    audited: dg.ResourceParam[Part[Sequence[Audited]]],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Compare the stores."""
    with upkeep_run(context, settings, records):
        reports = [audit(records(), each, repair=config.repair, tell=context.log.info) for each in audited()]
    yield dg.MaterializeResult(metadata=audit_metadata(reports))
    yield agreement(reports)


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
    told = " and ".join(f"{count:,} parts of the {name}" for name, count in differing.items())
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{told} are not as the record store has them; `{REPAIR}` mends it, or `repair` in the launchpad.",
        metadata={f"{name}_differences": count for name, count in differing.items()},
    )
