import time
from datetime import UTC, datetime

from chatai_assets.domain.ids import hour_of
from chatai_assets.orchestration.partitions import arrival_hours


def test_the_running_hour_is_a_partition_and_the_next_is_not():
    hours = arrival_hours("2026-11-20-00:00")
    now = datetime(2026, 11, 21, 22, 59, tzinfo=UTC)
    keys = hours.get_partition_keys(current_time=now)
    assert keys[0] == "2026-11-20-00:00"
    assert keys[-1] == "2026-11-21-22:00"
    assert len(keys) == 47


def test_arrivals_now_belong_to_a_partition():
    assert arrival_hours("2026-01-01-00:00").has_partition_key(hour_of(time.time()))
