"""How long things are kept."""

from typing import Annotated

from pydantic import Field, SkipValidation

from chatai_assets.domain.ttl import TTLPolicy
from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.values import WholeNumber, from_text

DAY_S = 86_400
LONGEST_DAYS = 36_500
DAYS = WholeNumber("days", least=0, most=LONGEST_DAYS, scale=DAY_S, zero_is_none=True)
Days = Annotated[int | None, DAYS]
"""Seconds, written in days; None is never."""


def _parse_ttl(usual_s: int | None, text: str) -> TTLPolicy:
    """Return the policy of a list like ``30,acme=90,globex=0``: days, and those of tenants that have others.

    Args:
        usual_s: seconds where the list names only tenants.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    usual = [entry for entry in entries if "=" not in entry]
    named = [entry.rpartition("=") for entry in entries if "=" in entry]
    if len(usual) > 1 or not all(tenant_id.strip() for tenant_id, _, _ in named):
        raise ValueError(" must be days, and tenants with theirs, like 30,acme=90,globex=0.")
    of_tenants = {tenant_id.strip(): DAYS.parse(days) if days else None for tenant_id, _, days in named}
    return TTLPolicy(DAYS.parse(usual[0]) if usual else usual_s, of_tenants)


POST_TTL = TTLPolicy(30 * DAY_S)
DOCUMENT_TTL = TTLPolicy(None)
PostTTL = Annotated[SkipValidation[TTLPolicy], from_text(lambda text: _parse_ttl(POST_TTL.usual_s, text))]
DocumentTTL = Annotated[SkipValidation[TTLPolicy], from_text(lambda text: _parse_ttl(DOCUMENT_TTL.usual_s, text))]


class RetentionSettings(SettingsGroup):
    """After how many seconds something is deleted; None is never."""

    posts: PostTTL = Field(
        default=POST_TTL,
        validation_alias="CHATAI_POST_TTL_DAYS",
        description="`expires_at` of posts, counted from arrival; 0 is never; `30,acme=90,globex=0`: other days for "
        "tenants",
        json_schema_extra={"default_text": "30 days"},
    )
    documents: DocumentTTL = Field(
        default=DOCUMENT_TTL,
        validation_alias="CHATAI_DOCUMENT_TTL_DAYS",
        description="the same of documents",
        json_schema_extra={"default_text": "0 days"},
    )
    stats_s: Days = Field(
        default=30 * DAY_S,
        validation_alias="CHATAI_KEEP_STATS_DAYS",
        description="of what each batch did, which is then summed up by hour; 0 here and below is never",
    )
    costs_s: Days = Field(
        default=90 * DAY_S,
        validation_alias="CHATAI_KEEP_COSTS_DAYS",
        description="of costs by hour of arrival, which are then summed up by day",
    )
    letters_s: Days = Field(
        default=90 * DAY_S,
        validation_alias="CHATAI_KEEP_LETTERS_DAYS",
        description="of resolved dead letters, from their last failure",
    )
    answers_s: Days = Field(
        default=30 * DAY_S,
        validation_alias="CHATAI_KEEP_ANSWERS_DAYS",
        description="of answers of providers and of linked pages that no item uses",
    )
    runs_s: Days = Field(
        default=30 * DAY_S,
        validation_alias="CHATAI_KEEP_RUNS_DAYS",
        description="of Dagster's runs, except those that the status of an hour depends on",
    )
    tombstones_s: Days = Field(
        default=365 * DAY_S,
        validation_alias="CHATAI_KEEP_TOMBSTONES_DAYS",
        description="of tombstones; after that an old export brings its posts again",
    )
