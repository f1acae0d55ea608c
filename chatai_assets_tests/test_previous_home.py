"""A home that the previous version wrote opens, works on and is whole; see ``support.home_archive``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chatai_assets.cli.main import cli
from chatai_assets.domain.stages import PIPELINE_STAGES
from chatai_assets.services import Services
from chatai_assets.storage import schema
from chatai_assets.storage.engine import HEAD
from chatai_assets_tests.support.home_archive import (
    CHAT,
    DOCUMENTS,
    EDITED_POST,
    EDITED_TEXT,
    FREE_MODELS,
    POSTS,
    UNREADABLE,
    unpack_home,
    update,
    write_updates,
)
from chatai_assets_tests.support.pipeline import contents, find_inconsistencies, migrated_settings, process_all, rows

ARCHIVE = Path(__file__).parent / "fixtures" / "previous_home.tar.xz"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What the previous version left: 12 posts of which one was edited, two documents, and one it could not read."""
    return unpack_home(ARCHIVE, tmp_path / "home")


def run_chatai(home: Path, *arguments: str) -> Any:
    """Return what a command prints as JSON."""
    result = CliRunner().invoke(cli, [*arguments, "--json"], env=FREE_MODELS | {"CHATAI_HOME": str(home)})
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def process(home: Path) -> None:
    """Do all that is due."""
    with Services(migrated_settings(home)) as services:
        process_all(services)


def counts(*, received: int, searchable: int, failed: int = 0) -> dict[str, int]:
    return {"received": received, "searchable": searchable, "pending": 0, "failed": failed}


def audit_agrees(home: Path) -> bool:
    return {each["projection"]: each["agrees"] for each in run_chatai(home, "audit")} == {
        "vectors": True,
        "graph": True,
    }


def sources_found(home: Path, query: str) -> list[str]:
    return [hit["source"] for hit in run_chatai(home, "search", query)]


def test_it_opens_with_all_that_it_had(home: Path):
    status = run_chatai(home, "status")
    assert status["posts"] == counts(received=len(POSTS), searchable=len(POSTS))
    assert status["documents"] == counts(received=len(DOCUMENTS) + 1, searchable=len(DOCUMENTS), failed=1)
    assert (status["dead_letters"], status["lost"]) == ({"open": 1}, [])
    assert EDITED_POST in sources_found(home, "паром ушёл в Углич")
    assert f"tg/{CHAT}/2" in sources_found(home, "the ferry left the harbour of Whitby")
    assert any(source.startswith("doc/") for source in sources_found(home, "уход за садом и яблони"))
    shown = run_chatai(home, "show", EDITED_POST)
    assert EDITED_TEXT in json.dumps(shown, ensure_ascii=False)
    with Services(migrated_settings(home)) as services, services.records.reading() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD


def test_nothing_in_it_is_due_stale_or_different(home: Path):
    assert [stage["items"] for stage in run_chatai(home, "stale")] == [0] * len(PIPELINE_STAGES)
    with Services(migrated_settings(home)) as services:
        before = contents(services)
        assert process_all(services) == []
        assert contents(services) == before
        assert find_inconsistencies(before) == []
    assert audit_agrees(home)


def test_new_posts_and_edits_are_processed_and_an_audit_is_clean(home: Path, tmp_path: Path):
    arrivals = [
        update(13, "Ночью рыбак Тимофей и город Рыбинск видят первый лёд."),
        update(2, "The ferry left the harbour of Scarborough with the captain Harold.", edited=1_800_000_000),
    ]
    taken = run_chatai(home, "ingest", str(write_updates(tmp_path / "new.jsonl", arrivals)))
    assert taken["posts"] == 2
    process(home)
    assert run_chatai(home, "status")["posts"] == counts(received=len(POSTS) + 1, searchable=len(POSTS) + 1)
    assert f"tg/{CHAT}/13" in sources_found(home, "рыбак и первый лёд")
    assert f"tg/{CHAT}/2" in sources_found(home, "the harbour of Scarborough")
    assert audit_agrees(home)
    with Services(migrated_settings(home)) as services:
        assert find_inconsistencies(contents(services)) == []


def test_its_dead_letter_is_listed_and_can_be_replayed(home: Path):
    (letter,) = run_chatai(home, "dead-letters", "list")
    assert (letter["stage"], letter["error_class"], letter["stream"]) == ("parse", "corrupt", "documents")
    run_chatai(home, "dead-letters", "replay", str(letter["id"]))
    process(home)
    (again,) = run_chatai(home, "dead-letters", "list")
    assert (again["id"], again["source"]) == (letter["id"], letter["source"])
    with Services(migrated_settings(home)) as services:
        names = {row["source_key"]: row["file_name"] for row in rows(services, schema.documents)}
    assert names[letter["source"]] == UNREADABLE
