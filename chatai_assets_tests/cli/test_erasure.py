"""``chatai forget`` and ``chatai vacuum``; their JSON keys are an interface."""

import json
import time

import pytest
from click.testing import CliRunner

from chatai_assets.adapters.vectors.edge import EdgeVectors
from chatai_assets.cli.main import cli
from chatai_assets.files.locks import IndexLock
from chatai_assets.operations.status import ItemNotFound
from chatai_assets.services import Services
from chatai_assets_tests.support.erasure import POST, find_traces, ingest_all
from chatai_assets_tests.support.pipeline import CHAT, migrated_settings


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def document(home, tmp_path):
    with Services(migrated_settings(home)) as services:
        return ingest_all(services, tmp_path / "in", now=time.time())


@pytest.fixture
def chatai(home):
    def run(*arguments):
        result = CliRunner().invoke(cli, arguments, env={"CHATAI_HOME": str(home), "CHATAI_MODELS": "free"})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def told(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.scenario
def test_a_post_and_a_document_are_forgotten_and_vacuumed_by_command(chatai, document, home):
    said = told(chatai("forget", "--kind", "post", "--json", "--", f"{CHAT}/1"))
    assert said.keys() == {"source", "tenant", "again", "erased", "waiting"}
    assert (said["source"], said["tenant"], said["again"], said["erased"]["points"]) == (POST, "default", False, 1)
    assert "only its tombstone is left" in chatai("forget", POST).stdout
    said = told(chatai("forget", document.removeprefix("doc/"), "--kind", "document", "--vacuum", "--json"))
    assert (said["erased"]["blobs"], said["vacuumed"]["busy"]) == (1, False)
    assert find_traces(home) == []
    assert "Written anew: record store, vector index, graph." in chatai("vacuum").stdout


def test_an_unknown_id_is_one_sentence(chatai, document):
    for key in ("tg/1/1", "nonsense"):
        with pytest.raises(ItemNotFound) as raised:
            chatai("forget", key)
        assert "\n" not in str(raised.value)


def test_what_must_wait_for_a_store_is_told_and_is_done_by_the_next_run(chatai, document, home, monkeypatch):
    patient = EdgeVectors.__init__.__kwdefaults__ or {}
    monkeypatch.setattr(EdgeVectors.__init__, "__kwdefaults__", {**patient, "turn_timeout_s": 0.1})
    with IndexLock(home / "vectors", 1.0).writing():
        result = chatai("forget", document)
    assert result.exit_code == 1
    assert "not from all stores yet: the vector index is busy" in result.stderr
    assert told(chatai("process", "--json"))["pending"] == 0
    assert "tombstone" in chatai("forget", document).stdout
