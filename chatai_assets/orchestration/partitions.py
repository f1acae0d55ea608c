"""What a partition is: one hour of arrival, in UTC.

A second dimension (a shard of the channel or the tenant) would be added here and nowhere else.
"""

from __future__ import annotations

import dagster as dg

from chatai_assets.domain.ids import HOUR_FORMAT


def arrival_hours(first_hour: str) -> dg.HourlyPartitionsDefinition:
    """Return the hours from the first one up to and including the running one.

    Args:
        first_hour: partition key of the hour in which the home was created, e.g. ``"2026-11-21-22:00"``.
    """
    # Without the offset the running hour is no key, and what arrives waits for the hour to end.
    return dg.HourlyPartitionsDefinition(start_date=first_hour, fmt=HOUR_FORMAT, end_offset=1)
