"""What is set is used; what cannot be used is said at once, in one sentence, without a secret."""

import re

import pytest

from chatai_assets.domain.costs import Budget, Price
from chatai_assets.settings import PROJECT, read_settings
from chatai_assets.settings.providers import ProviderSettings
from chatai_assets.settings.values import InvalidSetting

DEFAULT_JOB_CONCURRENCY = ProviderSettings.model_fields["job_concurrency"].default
GIGA = {"GIGACHAT_API_KEY": "c2VjcmV0OnNlY3JldA=="}
CORP = {"GIGACHAT_SCOPE": "GIGACHAT_API_CORP"}
ROUTER = {"OPENROUTER_API_KEY": "sk-or-secret"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("offline", "offline", "offline")),
        ({"CHATAI_MODELS": "free"}, ("free", "free", "free")),
        (GIGA, ("gigachat", "gigachat", "gigachat")),
        (ROUTER, ("openrouter", "openrouter", "openrouter")),
        (GIGA | ROUTER, ("gigachat", "gigachat", "openrouter")),
        (GIGA | {"CHATAI_MODELS": "offline"}, ("offline", "offline", "offline")),
        (GIGA | {"CHATAI_MODELS": "free", "CHATAI_TAGGER": "gigachat"}, ("gigachat", "free", "free")),
        (GIGA | {"CHATAI_EMBEDDER": "offline"}, ("gigachat", "offline", "gigachat")),
    ],
    ids=range(8),
)
def test_keys_and_choices_say_who_answers(variables, expected):
    models = read_settings(variables).models
    assert (models.tagger, models.embedder, models.extractor) == expected


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CHATAI_TAGGER": "gigachat"}, "CHATAI_TAGGER is gigachat, so GIGACHAT_API_KEY must be set"),
        ({"CHATAI_EXTRACTOR": "chatgpt"}, "CHATAI_EXTRACTOR must be one of"),
        (GIGA | {"GIGACHAT_CA_BUNDLE": "/nowhere.pem"}, "GIGACHAT_CA_BUNDLE names no file"),
        (GIGA | {"GIGACHAT_BASE_URL": "http://gigachat.example/api"}, "GIGACHAT_BASE_URL must begin with https://"),
        (GIGA | {"JOB_CONCURRENCY": "many"}, "JOB_CONCURRENCY must be a whole number"),
        ({"OPENROUTER_API_KEY": "sk-or-secret\n"}, "OPENROUTER_API_KEY has spaces"),
        ({"CHATAI_PRICES": "GigaChat 65"}, "CHATAI_PRICES must be like"),
        ({"CHATAI_PRICES": "GigaChat=-1"}, "CHATAI_PRICES must be like"),
        ({"CHATAI_USD_RATE": "a lot"}, "CHATAI_USD_RATE must be an amount of money above 0"),
        ({"CHATAI_BUDGET_DAY": "nan"}, "CHATAI_BUDGET_DAY must be an amount of money above 0"),
        (GIGA | {"CHATAI_BUDGET_DAY": "5"}, "CHATAI_BUDGET_DAY needs the price of 'GigaChat' in CHATAI_PRICES"),
    ],
    ids=range(11),
)
def test_what_cannot_be_used_is_one_sentence_without_a_secret(variables, said):
    with pytest.raises(InvalidSetting, match=said) as fault:
        read_settings(variables)
    assert "secret" not in str(fault.value)


def test_no_secret_is_shown():
    shown = repr(read_settings(GIGA | ROUTER))
    assert "c2Vj" not in shown
    assert "sk-or" not in shown


def deployed_files():
    """Return what sets the environment of a process, or could."""
    names = ("Makefile", "dagster.yaml", "workspace.yaml", "pyproject.toml", ".ci/run")
    return [PROJECT / name for name in names] + [path for path in (PROJECT / "deploy").rglob("*") if path.is_file()]


def test_no_file_of_a_deployment_sets_job_concurrency():
    """Its default has one home, the settings; a second one would win or lose in silence."""
    text = {path: path.read_bytes().decode("utf-8", "replace") for path in deployed_files()}
    assert len(text) > 5
    assert [str(path) for path, said in text.items() if value_of_job_concurrency(said)] == []


def value_of_job_concurrency(text):
    """Return what a text sets it to, however a shell, make, YAML, JSON or a Dockerfile writes that; None if nothing."""
    found = re.search(r"\bJOB_CONCURRENCY\b(?:(?!\n\s*-)[^\w$]|value\b|default\b|name\b)*?(\d+)", text)
    return int(found[1]) if found and int(found[1]) != DEFAULT_JOB_CONCURRENCY else None


@pytest.mark.parametrize(
    "text",
    [
        "ENV JOB_CONCURRENCY=7",
        "JOB_CONCURRENCY ?= 7",
        "export JOB_CONCURRENCY=${JOB_CONCURRENCY:-7}",
        'JOB_CONCURRENCY: "7"',
        "- name: JOB_CONCURRENCY\n  value: '7'",
        '{"name": "JOB_CONCURRENCY", "value": "7"}',
        "--set env.JOB_CONCURRENCY=7",
    ],
    ids=range(7),
)
def test_a_second_value_would_be_seen(text):
    assert value_of_job_concurrency(text) == 7


def test_naming_it_without_a_value_is_no_second_value():
    assert value_of_job_concurrency("env:\n  - JOB_CONCURRENCY\n  - PORT=3000") is None
    assert value_of_job_concurrency("- name: JOB_CONCURRENCY\n  valueFrom: {configMapKeyRef: {name: a}}\n") is None


def test_job_concurrency_has_one_home():
    assert concurrency(GIGA | ROUTER | CORP) == (25, 25)
    assert concurrency(GIGA | ROUTER | CORP | {"JOB_CONCURRENCY": "7"}) == (7, 7)
    assert concurrency(GIGA | ROUTER | CORP | {"JOB_CONCURRENCY": "7", "GIGACHAT_STREAMS": "3"}) == (3, 7)


def test_individuals_have_one_stream_at_gigachat():
    assert concurrency(GIGA | ROUTER) == (1, 25)
    assert concurrency(GIGA | ROUTER | {"GIGACHAT_STREAMS": "2"}) == (2, 25)


def concurrency(variables):
    providers = read_settings(variables).providers
    return providers["gigachat"].concurrency, providers["openrouter"].concurrency


def test_prices_and_budgets_are_read():
    given = {"CHATAI_PRICES": "GigaChat=65, a/b=0.15/0.6,", "CHATAI_USD_RATE": "80", "CHATAI_BUDGET_DAY": "1.5"}
    costs = read_settings(given | {"CHATAI_BUDGET_TOKENS_DAY": "1000"}).costs
    assert costs.tariff.prices == {"GigaChat": Price(65, 65), "a/b": Price(0.15, 0.6)}
    assert costs.tariff.dollar == 80
    assert costs.budget == Budget(1_000, 1_500_000_000)
    assert not read_settings({}).costs.budget
