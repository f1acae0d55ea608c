"""How long each stage may take and how often it may try."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from chatai_assets.domain.stages import PIPELINE_STAGES, STAGES, Stage, StageSpec
from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.values import Seconds, WholeNumber


class StageLimits(SettingsGroup):
    """The limits of one stage."""

    deadline_s: Seconds = Field(
        default=600,
        validation_alias="CHATAI_STAGE_DEADLINE_S",
        description="how long each stage of a run may take before it is stopped; `CHATAI_STAGE_DEADLINE_S_TAG` of one",
    )
    max_attempts: Annotated[int, WholeNumber("attempts")] = Field(
        default=5,
        validation_alias="CHATAI_MAX_ATTEMPTS",
        description="of an item at each stage before it becomes a dead letter; `CHATAI_MAX_ATTEMPTS_TAG` of one",
    )


def read_stages(env: Mapping[str, str]) -> dict[Stage, StageLimits]:
    """Return the limits of each stage: its own (``CHATAI_MAX_ATTEMPTS_TAG``), else those of all."""
    return {stage: _read_limits(env, STAGES[stage]) for stage in PIPELINE_STAGES}


def _read_limits(env: Mapping[str, str], spec: StageSpec) -> StageLimits:
    described: dict[str, Any] = {"deadline_s": spec.deadline_s, "max_attempts": spec.max_attempts}
    described = {name: value for name, value in described.items() if value is not None}
    of_all = StageLimits.read(env, **described)
    return StageLimits.read(env, suffix=f"_{spec.name.upper()}", **dict(of_all))
