"""What jobs that people start from the launchpad share."""

import dagster as dg
from pydantic import Field

BEFORE_ALL_OTHERS = "100"
"""The priority of such a job: someone waits for it, and it is short."""


class OneItem(dg.Config):
    """A post or document; only ``source`` must be filled in."""

    # With a default, the launchpad writes the field down and people fill it in; without, they look for it.
    source: str = Field(
        default="", description="Source key of the item: tg/<chat id>/<message id> or doc/<document id>."
    )
    tenant: str = Field(default="", description="Whose item it is, where several tenants have that source.")
