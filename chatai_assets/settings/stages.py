"""How long each stage may take and how often it may try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatai_assets.domain.stages import PIPELINE_STAGES, STAGES, Stage, StageSpec
from chatai_assets.settings.values import number

DEFAULT_DEADLINE_S = 600
DEFAULT_ITEM_DEADLINE_S = 300
DEFAULT_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class StageLimits:
    """The limits of one stage.

    Attributes:
        deadline_s: seconds the stage of one run may take before it is stopped.
        max_attempts: tries of an item before a passing fault counts as a lasting one.
    """

    deadline_s: float = DEFAULT_DEADLINE_S
    max_attempts: int = DEFAULT_ATTEMPTS


def read_stages(env: Mapping[str, str]) -> dict[Stage, StageLimits]:
    """Return the limits of each stage: its own (``CHATAI_MAX_ATTEMPTS_TAG``), else those of all."""
    return {stage: _limits(env, STAGES[stage]) for stage in PIPELINE_STAGES}


def _limits(env: Mapping[str, str], spec: StageSpec) -> StageLimits:
    deadline_s = number(env, "CHATAI_STAGE_DEADLINE_S", spec.deadline_s or DEFAULT_DEADLINE_S)
    attempts = number(env, "CHATAI_MAX_ATTEMPTS", spec.max_attempts or DEFAULT_ATTEMPTS)
    return StageLimits(
        number(env, f"CHATAI_STAGE_DEADLINE_S_{spec.name.upper()}", deadline_s),
        number(env, f"CHATAI_MAX_ATTEMPTS_{spec.name.upper()}", attempts),
    )


def usual_stages() -> dict[Stage, StageLimits]:
    """Return the limits of each stage where nothing is set."""
    return read_stages({})
