"""What is set is used; what cannot be used is said at once, in one sentence, without a secret."""

import pytest

from chatai_assets.settings import InvalidSetting, ModelSettings, read_settings

GIGA = {"GIGACHAT_API_KEY": "c2VjcmV0OnNlY3JldA=="}
ROUTER = {"OPENROUTER_API_KEY": "sk-or-secret"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ModelSettings("offline", "offline", "offline")),
        ({"CHATAI_MODELS": "free"}, ModelSettings("free", "free", "free")),
        (GIGA, ModelSettings("gigachat", "gigachat", "gigachat")),
        (ROUTER, ModelSettings("openrouter", "openrouter", "openrouter")),
        (GIGA | ROUTER, ModelSettings("gigachat", "gigachat", "openrouter")),
        (GIGA | {"CHATAI_MODELS": "offline"}, ModelSettings("offline", "offline", "offline")),
        (GIGA | {"CHATAI_MODELS": "free", "CHATAI_TAGGER": "gigachat"}, ModelSettings("gigachat", "free", "free")),
        (GIGA | {"CHATAI_EMBEDDER": "offline"}, ModelSettings("gigachat", "offline", "gigachat")),
    ],
    ids=range(8),
)
def test_keys_and_choices_say_who_answers(variables, expected):
    assert read_settings(variables).models == expected


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CHATAI_TAGGER": "gigachat"}, "CHATAI_TAGGER is gigachat, so GIGACHAT_API_KEY must be set"),
        ({"CHATAI_EXTRACTOR": "chatgpt"}, "CHATAI_EXTRACTOR must be one of"),
        (GIGA | {"GIGACHAT_CA_BUNDLE": "/nowhere.pem"}, "GIGACHAT_CA_BUNDLE names no file"),
        (GIGA | {"GIGACHAT_BASE_URL": "http://gigachat.example/api"}, "GIGACHAT_BASE_URL must begin with https://"),
        (GIGA | {"JOB_CONCURRENCY": "many"}, "JOB_CONCURRENCY must be a whole number"),
        ({"OPENROUTER_API_KEY": "sk-or-secret\n"}, "OPENROUTER_API_KEY has spaces"),
    ],
    ids=range(6),
)
def test_what_cannot_be_used_is_one_sentence_without_a_secret(variables, said):
    with pytest.raises(InvalidSetting, match=said) as fault:
        read_settings(variables)
    assert "secret" not in str(fault.value)


def test_no_secret_is_shown():
    shown = repr(read_settings(GIGA | ROUTER))
    assert "c2Vj" not in shown
    assert "sk-or" not in shown


def test_job_concurrency_has_one_home():
    settings = read_settings(GIGA | ROUTER)
    assert settings.gigachat is not None
    assert settings.openrouter is not None
    assert (settings.gigachat.streams, settings.openrouter.streams) == (25, 25)
    settings = read_settings(GIGA | ROUTER | {"JOB_CONCURRENCY": "7", "GIGACHAT_STREAMS": "1"})
    assert settings.gigachat is not None
    assert settings.openrouter is not None
    assert (settings.gigachat.streams, settings.openrouter.streams) == (1, 7)
