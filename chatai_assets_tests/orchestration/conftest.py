"""A home in a temporary folder with real embedded stores and free models, and a Dagster instance in memory."""

import json
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from chatai_assets.domain.ids import Stream, hour_of
from chatai_assets.orchestration.build import build_defs
from chatai_assets.orchestration.jobs.streams import RunOutcome, run_hour_here
from chatai_assets.pipeline.ingest import Intake, ingest
from chatai_assets.services import Services, open_services
from chatai_assets.settings import Settings, read_settings
from chatai_assets.storage import work_queue as work
from chatai_assets_tests.support.migrated_stores import copy_migrated_sqlite

HOUR_S = 3_600


class Home:
    """A home that is worked on: brings posts and documents into hours, and runs them."""

    def __init__(self, services: Services, instance: dg.DagsterInstance, folder: Path) -> None:
        self.services = services
        self.instance = instance
        self.folder = folder
        self.defs = build_defs(services.settings, services=services)
        self.records = services.records

    def hour(self, ago: int = 0) -> str:
        return hour_of(time.time() - ago * HOUR_S)

    def posts(self, numbers: range, *, ago: int = 0, words: str = "Пост о Москве и о реке Волге", tenant: str = "t"):
        """Bring posts in, as of some hours ago; the clock of arrivals must go forward."""
        messages = [_message(number, f"{words}, номер {number}.") for number in numbers]
        export = {"name": "Канал", "type": "public_channel", "id": 123, "messages": messages}
        path = self.folder / "result.json"
        path.write_text(json.dumps(export), encoding="utf-8")
        self._ingest(path, ago, tenant)

    def document(self, name: str, content: bytes, *, ago: int = 0, tenant: str = "t") -> None:
        path = self.folder / name
        path.write_bytes(content)
        self._ingest(path, ago, tenant)

    def _ingest(self, path: Path, ago: int, tenant: str) -> None:
        now = time.time() - ago * HOUR_S
        intake = Intake(self.records, self.services.blobs, tenant, "file", 1 << 20, clock=lambda: now)
        report = ingest([path], intake)
        assert not report.rejected

    def run(self, stream: Stream, hour: str) -> RunOutcome:
        return run_hour_here(self.defs, stream, hour, self.instance)

    def states(self, stream: Stream) -> dict[str, int]:
        with self.records.reading() as connection:
            return work.item_states(connection, stream)

    def due(self, stream: Stream) -> dict[str, int]:
        with self.records.reading() as connection:
            return dict(work.due_hours(connection, stream, now=time.time()))

    def metadata(self, *asset: str) -> dict[str, Any]:
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event
        assert event.asset_materialization
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def _message(number: int, text: str) -> dict[str, Any]:
    return {
        "id": number,
        "type": "message",
        "date": "2024-01-01T00:00:00",
        "date_unixtime": "1704067200",
        "from": "Канал",
        "text": text,
    }


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    copy_migrated_sqlite(tmp_path / "home" / "records.sqlite")
    first = hour_of(time.time() - 60 * HOUR_S)
    found = read_settings({"CHATAI_HOME": str(tmp_path / "home"), "CHATAI_MODELS": "free", "CHATAI_FIRST_HOUR": first})
    return found.replace(parser=found.parser.replace(workers=1))


@pytest.fixture
def home(settings: Settings, tmp_path: Path):
    folder = tmp_path / "files"
    folder.mkdir()
    with open_services(settings) as services, dg.DagsterInstance.ephemeral() as instance:
        yield Home(services, instance, folder)
