"""The asset ``upkeep/reindexed``: another model comes to embed what is searched."""

from typing import Any

import dagster as dg
from pydantic import Field

from chatai_assets.operations.reindexing import CannotReindex, ReindexResult
from chatai_assets.orchestration.assets.maintenance import UPKEEP, upkeep_run
from chatai_assets.orchestration.assets.streams import OWNERS
from chatai_assets.orchestration.jobs.reindexing import ReindexRequest, execute, outcome_sentence, result_figures
from chatai_assets.orchestration.runs import UPKEEP_JOBS
from chatai_assets.services import Services
from chatai_assets.settings import Settings
from chatai_assets.storage.vector_indexes import Index

COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("index"),
        dg.TableColumn("by"),
        dg.TableColumn("recall_at_10", "float"),
        dg.TableColumn("reciprocal_rank", "float"),
    ]
)


class ReindexConfig(dg.Config):
    """What is asked for; with nothing filled in, the index that is being filled is filled on."""

    to: str = Field(default="", description="Who shall embed: offline, gigachat, openrouter:MODEL@DIMENSIONS, ...")
    rebuild: bool = Field(default=False, description="The same model again, in an index of the newest layout.")
    back: bool = Field(default=False, description="Let the model serve again that did before.")
    drop_old: bool = Field(default=False, description="Drop the index that is kept for the way back.")
    give_up: bool = Field(default=False, description="Stop filling, and drop what was filled.")
    even_if_worse: bool = Field(default=False, description="Let it serve also where it finds less.")
    questions: str = Field(default="", description="A file to compare by; by default questions are drawn.")
    seed: int = Field(default=1, description="Of the questions that are drawn.")


@dg.asset(
    key=UPKEEP_JOBS["reindex"],
    group_name=UPKEEP,
    owners=OWNERS,
    kinds={"python"},
    description="""Another model embeds what is searched: `to` in the launchpad says which.

A second index is filled beside the one that serves, from the record store and under the quotas; what comes, is edited
or goes meanwhile is followed. Then both are asked the same questions, and the new one serves unless it finds less
(`even_if_worse`). Searches never stop. What is not done in time, a run does
that the sensor `filling` asks for. The old index is kept: `back` lets it serve again, `drop_old` removes it.""",
)
def reindexed(
    context: dg.AssetExecutionContext,
    config: ReindexConfig,
    settings: dg.ResourceParam[Settings],
    parts: dg.ResourceParam[Services],
) -> dg.MaterializeResult[None]:
    """Let another model serve."""
    wish = ReindexRequest(**config.model_dump())
    with upkeep_run(context, settings, parts) as budget_s:
        try:
            done = execute(parts, wish, context.run.run_id, budget_s=budget_s, on_progress=context.log.info)
        except CannotReindex as error:
            raise dg.Failure(str(error), allow_retries=False) from None
    if isinstance(done, Index):
        return dg.MaterializeResult(metadata={"dropped": done.embedder, "index": done.number})
    context.log.info(outcome_sentence(done))
    if done.refused and (config.to or config.rebuild):  # a resumed run reports it in its metadata
        raise dg.Failure(outcome_sentence(done), metadata_of(done), allow_retries=False)
    return dg.MaterializeResult(metadata=metadata_of(done))


def metadata_of(done: ReindexResult) -> dict[str, Any]:
    """Return the figures of a reindexing, as numbers that plot and as a table."""
    figures = result_figures(done)
    retrieval = figures.pop("retrieval") or {}
    rows = [
        dg.TableRecord({"index": index, "by": way, **found})
        for index, ways in retrieval.items()
        for way, found in ways.items()
    ]
    plotted = {
        f"{index}_{name}_by_{way.replace(' ', '_')}": value
        for index, ways in retrieval.items()
        for way, found in ways.items()
        for name, value in found.items()
    }
    return {**figures, **plotted, "outcome": outcome_sentence(done), "retrieval": dg.MetadataValue.table(rows, COLUMNS)}
