"""``chatai dead-letters`` on a home with one bad document; its JSON keys are an interface."""

import json

import pytest
from click.testing import CliRunner

from chatai_assets.cli.main import cli
from chatai_assets.operations.dead_letters import DeadLetterNotFound
from chatai_assets.services import Services
from chatai_assets_tests.support.pipeline import ingest_files, migrated_settings, process_all


@pytest.fixture
def home(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\nnot really\n")
    with Services(migrated_settings(tmp_path / "home")) as services:
        ingest_files(services, [tmp_path / "a.pdf"])
        process_all(services, stages=["parse"])
    return tmp_path / "home"


@pytest.fixture
def chatai(home):
    def run(*arguments):
        environment = {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free"}
        result = CliRunner().invoke(cli, ["dead-letters", *arguments], env=environment)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def told(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_list_has_the_keys_others_read_and_can_be_filtered(chatai):
    (row,) = told(chatai("list", "--json"))
    assert row.keys() >= {
        *("id", "stage", "source", "error_class", "error_message", "attempts", "last_failed_at", "resolved"),
        *("stream", "tenant_id", "first_failed_at", "input_fingerprint", "code_version", "url", "resolution_note"),
    }
    assert (row["stage"], row["stream"], row["error_class"], row["resolved"]) == (
        "parse",
        "documents",
        "corrupt",
        False,
    )
    assert told(chatai("list", "--stream", "posts", "--json")) == []
    assert told(chatai("list", "--since", "2100-01-01", "--json")) == []
    assert told(chatai("list", "--resolved", "--json")) == []
    assert "corrupt" in chatai("list").stdout


def test_a_letter_is_shown_replayed_and_resolved(chatai):
    (row,) = told(chatai("list", "--json"))
    letter_id = str(row["id"])
    assert told(chatai("show", letter_id, "--json"))["job_data"]["source"] == row["source"]
    assert "error_class: corrupt" in chatai("show", letter_id).stdout
    assert told(chatai("replay", letter_id, "--dry-run", "--json"))["replayed"] == 1
    assert told(chatai("replay", "--class", "corrupt", "--json"))["replayed"] == 1
    assert told(chatai("replay", "--all", "--json")) == {
        "replayed": 0,
        "waiting": 1,
        "closed": 0,
        "by_class": {},
        "dry_run": False,
    }
    assert "Closed" in chatai("resolve", letter_id, "--note", "asked the owner for another file").stdout
    assert "its note stays" in chatai("resolve", letter_id, "--note", "again").stdout
    (closed,) = told(chatai("list", "--all", "--json"))
    assert closed["resolution_note"] == "asked the owner for another file"


def test_what_is_not_named_is_not_replayed(chatai):
    assert "Name ids" in chatai("replay").stderr
    with pytest.raises(DeadLetterNotFound, match="no dead letter 99"):
        chatai("replay", "99")
    with pytest.raises(DeadLetterNotFound):
        chatai("show", "99")
