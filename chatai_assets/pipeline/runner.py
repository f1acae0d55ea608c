"""Runs any stage by its name, in the same way for assets, redos and tests."""

from __future__ import annotations

from typing import Protocol

from chatai_assets.domain.stages import STAGES, Stage, StageSpec
from chatai_assets.pipeline.engine import StageReport, StageRunConfig
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.pipeline.stages import crawl, embed, enrich, index, link, parse, reindex, tag


class StageModule(Protocol):
    """A module of ``pipeline.stages`` that does a stage."""

    SPEC: StageSpec

    def run(self, config: StageRunConfig, services: StageServices) -> StageReport:
        """Do what is due of the stage in one hour of one stream."""
        ...


MODULES: tuple[StageModule, ...] = (parse, tag, enrich, embed, index, link, crawl, reindex)
RUNNERS = {module.SPEC.name: module.run for module in MODULES}


def run_stage(stage: Stage, config: StageRunConfig, services: StageServices) -> StageReport:
    """Do what is due of a stage in one hour of one stream.

    Raises:
        Outage: something that all items need is down.
    """
    return RUNNERS[stage](config, services)


def is_enabled(stage: Stage, services: StageServices) -> bool:
    """Return whether the settings ask for a stage: all but reading linked pages are always done."""
    return STAGES[stage].dependency != "web" or services.pages is not None
