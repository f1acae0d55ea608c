"""Each part says for itself whether it answers, in time, and tells no secret."""

import json
import socket
from pathlib import Path

import pytest

from chatai_assets.orchestration.doctor import diagnose, host_and_port
from chatai_assets.settings import read_settings
from chatai_assets_tests.support.daemon import BIN, clean_environment, run_command
from chatai_assets_tests.support.providers.server import provider_server

PARTS = ["records", "vectors", "graph", "blobs", "tagger", "extractor", "embedder", "dagster", "ocr"]
SECRETS = {
    "DATABASE_URL": "postgresql://someone:s3cret-a@127.0.0.1:1/d?application_name=s3cret-b",
    "DAGSTER_DATABASE_URL": "postgresql://someone:s3cret-c@127.0.0.1:1/d",
    "QDRANT_URL": "http://127.0.0.1:1",
    "QDRANT_API_KEY": "s3cret-d",
    "NEO4J_URI": "bolt://127.0.0.1:1",
    "NEO4J_USER": "someone",
    "NEO4J_PASSWORD": "s3cret-e",
    "GIGACHAT_API_KEY": "s3cret-f",
    "GIGACHAT_AUTH_URL": "http://127.0.0.1:1",
    "GIGACHAT_BASE_URL": "http://127.0.0.1:1",
    "OPENROUTER_API_KEY": "s3cret-g",
    "OPENROUTER_BASE_URL": "http://127.0.0.1:1",
}


def free(home: Path, **variables: str) -> dict[str, str]:
    return {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free", **variables}


def silent(findings):
    return {found.part: found for found in findings if not found.answers}


def test_all_parts_of_a_new_home_answer(tmp_path, tesseract):
    findings = diagnose(read_settings(free(tmp_path)))
    assert [found.part for found in findings] == PARTS
    assert silent(findings) == {}
    assert findings[0].implementation == "SQLite in the home"


def test_servers_answer(tmp_path, servers):
    findings = diagnose(read_settings(free(tmp_path, CHATAI_OCR="off", **servers)))
    assert [found.part for found in findings] == PARTS[:-1]
    assert silent(findings) == {}
    assert [found.implementation.split(" at ")[0] for found in findings[:3]] == ["PostgreSQL", "Qdrant", "Neo4j"]


def test_providers_are_asked_without_paying(tmp_path, tesseract):
    with provider_server() as server:
        variables = server.environment() | {"CHATAI_EXTRACTOR": "openrouter"}
        findings = diagnose(read_settings({"CHATAI_HOME": str(tmp_path), **variables}))
        assert silent(findings) == {}
        assert [found.implementation for found in findings[4:7]] == ["gigachat", "openrouter", "gigachat"]
        assert server.counts()["paid"] == 0


def test_a_key_that_is_refused_is_told_with_its_name(tmp_path, tesseract):
    with provider_server() as server:
        wrong = server.environment() | {"GIGACHAT_AUTH_URL": f"{server.url}/nowhere"}
        found = silent(diagnose(read_settings(free(tmp_path, CHATAI_TAGGER="gigachat", **wrong))))
    assert [*found] == ["tagger"]
    assert "GIGACHAT_API_KEY" in found["tagger"].advice


def test_what_never_answers_is_given_up_in_time(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        variables = free(tmp_path, QDRANT_URL=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        found = silent(diagnose(read_settings(variables), answer_s=1.5))
    assert found["vectors"].seconds < 15
    assert "QDRANT_API_KEY" in found["vectors"].advice


def test_no_secret_is_told_and_silence_ends_in_exit_code_1(tmp_path):
    environment = {**clean_environment(), "CHATAI_HOME": str(tmp_path), "PATH": str(tmp_path), **SECRETS}
    done = run_command([str(BIN / "chatai"), "doctor", "--json"], environment)
    assert done.returncode == 1
    assert "s3cret" not in done.stdout + done.stderr
    found = {row["part"]: row["answers"] for row in json.loads(done.stdout)}
    assert [part for part in PARTS if found[part]] == ["blobs"]
    needed = [part for part in PARTS if part not in {"blobs", "ocr"}]
    assert done.stderr.strip() == f"No answer from: {', '.join(needed)}."


def test_a_missing_tesseract_is_told_with_how_to_get_it_and_is_not_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = silent(diagnose(read_settings(free(tmp_path))))
    assert [*found] == ["ocr"]
    assert found["ocr"].said == "Tesseract is not installed."
    assert "tesseract-ocr-rus" in found["ocr"].advice
    assert not found["ocr"].needed


def test_a_browser_that_shows_pages_is_started(tmp_path, tesseract, browser):
    findings = diagnose(read_settings(free(tmp_path, CHATAI_CRAWL="browser")))
    assert [found.part for found in findings] == [*PARTS, "browser"]
    assert silent(findings) == {}


def test_a_missing_chromium_is_told_and_is_not_needed(tmp_path, tesseract, browser, monkeypatch):
    monkeypatch.setattr("chatai_assets.adapters.crawler.browser.process.PROGRAMS", ())
    found = silent(diagnose(read_settings(free(tmp_path, CHATAI_CRAWL="browser"))))
    assert [*found] == ["browser"]
    assert found["browser"].said == "The browser does not start."
    assert "apt-get install chromium" in found["browser"].advice
    assert not found["browser"].needed


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:p@db:5432/x?password=p", "db:5432"),
        ("https://key@vectors", "vectors"),
        ("postgresql:///x?host=/run&password=p", "an address without a host"),
        ("http://[bad", "an address that cannot be read"),
    ],
)
def test_a_place_is_told_without_who_may_enter(url, place):
    assert host_and_port(url) == place


def test_settings_that_name_another_embedder_than_serves_are_told(tmp_path):
    diagnose(read_settings(free(tmp_path)))
    found = {each.part: each for each in diagnose(read_settings(free(tmp_path, CHATAI_EMBEDDER="offline")))}
    assert found["vectors"].answers
    assert found["vectors"].said == (
        "The settings say offline, but free embeds what is searched: `chatai reindex --to offline` changes that."
    )
