"""How long each stage may take and how often it may try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatai_assets.domain.stages import PIPELINE_STAGES, Stage
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
    deadline_s = number(env, "CHATAI_STAGE_DEADLINE_S", DEFAULT_DEADLINE_S)
    attempts = number(env, "CHATAI_MAX_ATTEMPTS", DEFAULT_ATTEMPTS)
    return {
        stage: StageLimits(
            number(env, f"CHATAI_STAGE_DEADLINE_S_{stage.upper()}", deadline_s),
            number(env, f"CHATAI_MAX_ATTEMPTS_{stage.upper()}", attempts),
        )
        for stage in PIPELINE_STAGES
    }


def usual_stages() -> dict[Stage, StageLimits]:
    """Return the limits of each stage where nothing is set."""
    return read_stages({})
