"""A group of settings is read from the given variables alone, and stays as it was read."""

import pickle

import pytest
from pydantic import ValidationError

from chatai_assets.settings import read_settings
from chatai_assets.settings.models import QuotaSettings
from chatai_assets.settings.stores import Neo4jServer
from chatai_assets.settings.values import InvalidSetting


def test_only_read_looks_at_variables_and_only_at_the_given_ones(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHATAI_QUOTA_HOUR", "7")
    assert QuotaSettings().per_hour == QuotaSettings.read({}).per_hour == 5_000
    assert QuotaSettings.read({"CHATAI_QUOTA_HOUR": "9"}).per_hour == 9


def test_an_empty_variable_counts_as_unset():
    assert QuotaSettings.read({"CHATAI_QUOTA_HOUR": "", "CHATAI_QUOTA_TOKENS_DAY": ""}) == QuotaSettings()


def test_a_group_cannot_be_changed_but_copied_with_changes():
    quota, field = QuotaSettings(), "per_hour"
    with pytest.raises(ValidationError):
        setattr(quota, field, 9)
    assert (quota.replace(per_hour=9).per_hour, quota.per_hour) == (9, 5_000)
    with pytest.raises(ValidationError):
        quota.replace(per_huor=9)


def test_settings_can_be_pickled():
    settings = read_settings({"GIGACHAT_API_KEY": "c2VjcmV0", "QDRANT_URL": "http://qdrant:6333"})
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - it was written here


def test_a_stage_names_its_own_variable_in_an_error():
    with pytest.raises(InvalidSetting, match=r"^CHATAI_MAX_ATTEMPTS_TAG must be a whole number from 1 to 1000"):
        read_settings({"CHATAI_MAX_ATTEMPTS_TAG": "0"})


def test_no_error_quotes_a_secret():
    with pytest.raises(InvalidSetting, match="beside it") as refused:
        Neo4jServer.read({"NEO4J_URI": "bolt://graph", "NEO4J_PASSWORD": "p4ssword"})
    assert "p4ssword" not in repr(refused.value.__context__) + str(refused.value)
