from pathlib import Path

import pytest

from chatai_assets.settings import read_settings
from chatai_assets.settings.limits import OcrSettings
from chatai_assets.settings.models import ModelSettings
from chatai_assets.settings.retention import DAY_S
from chatai_assets.settings.stages import StageLimits
from chatai_assets.settings.values import InvalidSetting


def test_an_empty_environment_gives_the_embedded_defaults(tmp_path: Path):
    settings = read_settings({"CHATAI_HOME": str(tmp_path)})
    assert settings.database_url == f"sqlite:///{tmp_path / 'records.sqlite'}"
    assert (settings.posts.run_items, settings.documents.run_items) == (2_000, 200)
    assert settings.models == ModelSettings()


def test_scans_are_read_unless_that_is_not_wanted():
    assert read_settings({"CHATAI_OCR_PAGES": "9"}).ocr == OcrSettings(max_pages=9)
    assert read_settings({"CHATAI_OCR": "off", "CHATAI_OCR_PAGES": "9"}).ocr is None


def test_linked_pages_are_read_and_shown_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chatai_assets.settings.find_spec", lambda _name: "installed")
    ways = [read_settings({"CHATAI_CRAWL": value}) for value in ("", "0", "1", "browser")]
    assert [way.crawl for way in ways] == [False, False, True, True]
    assert [way.browser for way in ways] == [False, False, False, True]


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chatai_assets.settings.find_spec", lambda _name: None)
    with pytest.raises(
        InvalidSetting, match=r"^CHATAI_CRAWL is browser, so crawl4ai must be installed: `make browser`\.$"
    ):
        read_settings({"CHATAI_CRAWL": "browser"})


def test_posts_can_be_kept_for_ever():
    assert read_settings({"CHATAI_POST_TTL_DAYS": "0"}).retention.posts.expires_at("t", 0.0) is None


def test_a_tenant_may_have_its_own_days():
    retention = read_settings({"CHATAI_POST_TTL_DAYS": "acme=90, globex=0", "CHATAI_DOCUMENT_TTL_DAYS": "7"}).retention
    posts = {tenant: retention.posts.expires_at(tenant, 5.5) for tenant in ("t", "acme", "globex")}
    assert posts == {"t": 30 * DAY_S + 5, "acme": 90 * DAY_S + 5, "globex": None}
    assert retention.documents.expires_at("acme", 0.0) == 7 * DAY_S


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHATAI_MODELS", "gpt"),
        ("CHATAI_RUN_POSTS", "0"),
        ("CHATAI_BATCH_POSTS", "20000"),
        ("CHATAI_LEASE_S", "-1"),
        ("CHATAI_MAX_ATTEMPTS", "five"),
        ("CHATAI_LOG_LEVEL", "LOUD"),
        ("CHATAI_POST_TTL_DAYS", "30,60"),
        ("CHATAI_POST_TTL_DAYS", "30,=60"),
        ("CHATAI_DOCUMENT_TTL_DAYS", "acme=soon"),
        ("CHATAI_KEEP_RUNS_DAYS", "-1"),
        ("CHATAI_OCR", "yes"),
        ("CHATAI_CRAWL", "yes"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str):
    with pytest.raises(InvalidSetting, match=name):
        read_settings({name: value})


def test_one_stage_may_have_limits_of_its_own():
    settings = read_settings({"CHATAI_STAGE_DEADLINE_S": "60", "CHATAI_MAX_ATTEMPTS_TAG": "2"})
    assert (settings.stages["tag"], settings.stages["link"]) == (
        StageLimits(deadline_s=60, max_attempts=2),
        StageLimits(deadline_s=60, max_attempts=5),
    )
    assert settings.stage_tags("tag")["chatai/item_deadline_s"] == "300"
