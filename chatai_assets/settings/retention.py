"""How long things are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatai_assets.domain.ttl import NEVER_EXPIRES, TTLPolicy
from chatai_assets.settings.values import InvalidSetting, number

DAY_S = 86_400
LONGEST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """After how many seconds what goes; None is never.

    Attributes:
        posts: by tenant (``CHATAI_POST_TTL_DAYS``).
        documents: by tenant (``CHATAI_DOCUMENT_TTL_DAYS``).
        stats_s: what each batch did; sums by hour stay (``CHATAI_KEEP_STATS_DAYS``).
        letters_s: dead letters that are resolved, after their last failure (``CHATAI_KEEP_LETTERS_DAYS``).
        answers_s: answers of providers, and linked pages, that no item uses (``CHATAI_KEEP_ANSWERS_DAYS``).
        costs_s: costs by hour of arrival; sums by day stay (``CHATAI_KEEP_COSTS_DAYS``).
        tombstones_s: of what expired; it may come again then (``CHATAI_KEEP_TOMBSTONES_DAYS``).
        runs_s: runs of Dagster, unless an hour's status rests on them (``CHATAI_KEEP_RUNS_DAYS``).
    """

    posts: TTLPolicy = NEVER_EXPIRES
    documents: TTLPolicy = NEVER_EXPIRES
    stats_s: int | None = None
    letters_s: int | None = None
    answers_s: int | None = None
    costs_s: int | None = None
    tombstones_s: int | None = None
    runs_s: int | None = None


def read_retention(env: Mapping[str, str]) -> RetentionSettings:
    """Return what is kept for how long.

    Raises:
        InvalidSetting: a number of days cannot be used.
    """
    return RetentionSettings(
        posts=_lifetime(env, "CHATAI_POST_TTL_DAYS", 30),
        documents=_lifetime(env, "CHATAI_DOCUMENT_TTL_DAYS", 0),
        stats_s=_seconds(env, "CHATAI_KEEP_STATS_DAYS", 30),
        letters_s=_seconds(env, "CHATAI_KEEP_LETTERS_DAYS", 90),
        answers_s=_seconds(env, "CHATAI_KEEP_ANSWERS_DAYS", 30),
        costs_s=_seconds(env, "CHATAI_KEEP_COSTS_DAYS", 90),
        tombstones_s=_seconds(env, "CHATAI_KEEP_TOMBSTONES_DAYS", 365),
        runs_s=_seconds(env, "CHATAI_KEEP_RUNS_DAYS", 30),
    )


def _seconds(env: Mapping[str, str], name: str, default: int) -> int | None:
    return number(env, name, default, least=0, most=LONGEST_DAYS) * DAY_S or None


def _lifetime(env: Mapping[str, str], name: str, default: int) -> TTLPolicy:
    """Return the lifetime of a list like ``30,acme=90,globex=0``: days, and those of tenants that have others."""
    entries = [entry.strip() for entry in (env.get(name) or str(default)).split(",") if entry.strip()]
    usual = [entry for entry in entries if "=" not in entry]
    named = [entry.rpartition("=") for entry in entries if "=" in entry]
    if len(usual) > 1 or not all(tenant_id.strip() for tenant_id, _, _ in named):
        raise InvalidSetting(f"{name} must be days, and tenants with theirs, like 30,acme=90,globex=0.")
    of_tenants = {tenant_id.strip(): _seconds({name: days}, name, 0) for tenant_id, _, days in named}
    return TTLPolicy(_seconds({name: usual[0]} if usual else {}, name, default), of_tenants)
