"""Shared by jobs that people start from the launchpad."""

import dagster as dg
from pydantic import Field

BEFORE_ALL_OTHERS = "100"
"""Priority of such a job: a person waits for it, and it is short."""


class OneItem(dg.Config):
    """A post or document; only ``source`` must be filled in."""

    # With a default value the launchpad shows the field; without one, people would have to know its name.
    source: str = Field(
        default="", description="Source key of the item: tg/<chat id>/<message id> or doc/<document id>."
    )
    tenant: str = Field(default="", description="Whose item it is, where several tenants have that source.")
