"""GigaChat and OpenRouter behind the ports, against a server that speaks their contracts and misbehaves."""

import numpy as np
import pytest

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.domain.errors import (
    AuthenticationFailed,
    InvalidModelResponse,
    PaymentRequired,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnreachable,
)
from chatai_assets.domain.extraction import Extraction
from chatai_assets.llm.models import RemoteEmbedder
from chatai_assets_tests.support.providers.home import model_inputs, open_services_at

POST = "Вчера в городе Казань открыли мост через реку Волга"
BOTH = [
    pytest.param({}, id="gigachat"),
    pytest.param({"CHATAI_TAGGER": "openrouter", "CHATAI_EMBEDDER": "openrouter"}, id="openrouter"),
]
CHAT = {"gigachat": "/api/v1/chat/completions", "openrouter": "/openrouter/api/v1/chat/completions"}


def of_chat(server):
    return sum(server.calls[path] for path in CHAT.values())


@pytest.fixture(params=BOTH)
def either(request, server, tmp_path):
    with open_services_at(server, tmp_path / "home", **request.param) as opened:
        yield opened


def test_tags_stand_in_the_text(either):
    assert either.tagger.tag(model_inputs(POST)) == [["Вчера", "городе", "Казань", "открыли", "мост"]]


def test_entities_and_relations_stand_in_the_chunk(server, tmp_path):
    for provider in ("gigachat", "openrouter"):
        with open_services_at(
            server, tmp_path / provider, CHATAI_EXTRACTOR=provider, GIGACHAT_STRUCTURED="1"
        ) as services:
            (found,) = services.extractor.extract(model_inputs(POST))
        assert isinstance(found, Extraction)
        assert [entity.name for entity in found.entities] == ["Казань", "Волга"]
        assert len(found.relations) == 1


def test_response_format_is_flat_for_one_and_nested_for_the_other(server, tmp_path):
    names = {"GIGACHAT_STRUCTURED": "1", "OPENROUTER_FALLBACK_MODELS": "a/b, c/d"}
    for provider in ("gigachat", "openrouter"):
        with open_services_at(server, tmp_path / provider, CHATAI_TAGGER=provider, **names) as services:
            services.tagger.tag(model_inputs(POST))
    flat, nested = server.requests
    assert flat["response_format"].keys() == {"type", "schema", "strict"}
    assert nested["response_format"]["json_schema"]["schema"] == flat["response_format"]["schema"]
    assert nested["provider"] == {"require_parameters": True}
    assert nested["models"] == ["openai/gpt-4o-mini", "a/b", "c/d"]


def test_vectors_have_unit_length_and_their_own_text(either, server):
    texts = [f"{POST} {number}" for number in range(70)]
    vectors = either.embedder.embed(model_inputs(*texts))
    assert np.allclose(np.linalg.norm(np.array(vectors, float), axis=1), 1, atol=1e-5)
    server.behave(next={"shuffled": 1})
    again = RemoteEmbedder(either.embedder._client)  # noqa: SLF001 - the same client
    moved = again.embed([ModelInput("other", text) for text in texts[:10]])
    assert np.allclose(np.array(vectors[:10], float), np.array(moved, float))
    assert server.spoiled["shuffled"] == 1


def test_vectors_without_an_index_come_in_order(either, server):
    first = either.embedder.embed(model_inputs("раз", "два"))
    server.behave(next={"no_index": 1})
    second = either.embedder.embed(model_inputs("раз", "два", tenant="u"))
    assert np.allclose(first, second)


def test_vectors_of_another_length_stop_everything(either, server):
    server.behave(next={"wrong_dimensions": 1})
    with pytest.raises(ProviderMisconfigured, match="512 numbers instead of 1024"):
        either.embedder.embed(model_inputs("раз"))


def test_a_batch_that_is_too_large_is_halved(either, server):
    server.behave(max_texts=5)
    vectors = either.embedder.embed(model_inputs(*(f"текст {number}" for number in range(32))))
    assert {vector.shape for vector in vectors} == {(1024,)}
    assert server.counts()["paid_repeats"] == 0


def test_a_long_text_is_the_mean_of_its_windows_and_an_empty_one_has_a_vector(services):
    long, empty = services.embedder.embed(model_inputs("слово " * 1_000, ""))
    assert float(np.linalg.norm(long)) == pytest.approx(1, abs=1e-5)
    assert empty.shape == (1024,)


@pytest.mark.parametrize(
    "kind",
    ["429", "429_retry_after", "500", "502", "503", "529", "cut", "lost_ack", "cut_short", "empty", "no_choices"],
)
def test_a_passing_fault_is_asked_again(either, server, kind):
    server.behave(next={kind: 2}, retry_after_s=0.05)
    (tags,) = either.tagger.tag(model_inputs(POST))
    assert tags[0] == "Вчера"
    assert of_chat(server) == 3


def test_an_error_within_a_200_is_an_error(either, server):
    server.behave(next={"error_in_200": 1})
    assert either.tagger.tag(model_inputs(POST))[0][0] == "Вчера"
    assert of_chat(server) == 2


def test_retry_after_is_obeyed(services, server):
    server.behave(next={"429_retry_after": 1}, retry_after_s=0.7)
    services.tagger.tag(model_inputs(POST))
    first, second = server.arrivals
    assert second - first >= 0.7


def test_who_asks_for_a_long_pause_is_left_for_later(services, server):
    server.behave(next={"429_retry_after": 1}, retry_after_s=300)
    put_off, answered = services.tagger.tag(model_inputs(POST, f"{POST} второй"))
    assert isinstance(put_off, ProviderBusy) != isinstance(answered, ProviderBusy)
    busy = put_off if isinstance(put_off, ProviderBusy) else answered
    assert isinstance(busy, ProviderBusy)
    assert busy.retry_after == 300


def test_one_expired_token_is_fetched_once_for_all_calls(services, server):
    services.tagger.tag(model_inputs("привет мир"))
    server.calls.clear()
    server._tokens.clear()  # noqa: SLF001 - as a restart of the provider would
    assert all(tags for tags in services.tagger.tag(model_inputs(*(f"{POST} {number}" for number in range(40)))))
    assert server.calls["/api/v2/oauth"] == 1
    assert server.calls[CHAT["gigachat"]] <= 40 + 25


def test_a_token_is_fetched_before_it_ends(server, tmp_path):
    server.behave(token_life_s=0.4)
    with open_services_at(server, tmp_path / "home") as services:
        for number in range(4):
            services.tagger.tag(model_inputs(f"{POST} {number}"))
    assert server.calls[CHAT["gigachat"]] == 4
    assert server.calls["/api/v2/oauth"] <= 4


def test_a_key_that_is_refused_twice_stops_everything(either, server):
    server.behave(shares={"401": 1.0})
    with pytest.raises(AuthenticationFailed, match="HTTP 401"):
        either.tagger.tag(model_inputs(POST, f"{POST} второй"))
    assert of_chat(server) <= 4


@pytest.mark.parametrize(("kind", "error"), [("402", PaymentRequired), ("404", ProviderMisconfigured)])
def test_what_no_item_can_help_stops_everything(either, server, kind, error):
    server.behave(shares={kind: 1.0})
    with pytest.raises(error):
        either.tagger.tag(model_inputs(*(f"{POST} {number}" for number in range(60))))
    assert of_chat(server) <= 25


@pytest.mark.parametrize("kind", ["413", "422"])
def test_what_is_refused_is_a_bad_item_and_its_neighbours_go_on(either, server, kind):
    server.behave(next={kind: 1})
    outcomes = either.tagger.tag(model_inputs(POST, f"{POST} второй", f"{POST} третий"))
    assert sum(isinstance(outcome, ProviderRejected) for outcome in outcomes) == 1


def test_a_forbidden_topic_is_a_bad_item(services, server):
    server.behave(next={"blacklist": 1})
    (outcome,) = services.tagger.tag(model_inputs(POST))
    assert isinstance(outcome, ProviderRejected)


def test_an_answer_that_breaks_the_rules_is_repaired_once(either, server):
    server.behave(next={"not_json": 1})
    assert either.tagger.tag(model_inputs(POST))[0][0] == "Вчера"
    assert [message["role"] for message in server.requests[-1]["messages"]] == ["system", "user", "assistant", "user"]
    server.behave(shares={"not_json": 1.0})
    (outcome,) = either.tagger.tag(model_inputs(f"{POST} второй"))
    assert isinstance(outcome, InvalidModelResponse)
    assert of_chat(server) == 4


def test_a_provider_that_is_busy_for_all_is_an_outage(either, server):
    server.behave(shares={"503": 1.0})
    with pytest.raises(ProviderUnreachable, match="HTTP 503"):
        either.tagger.tag(model_inputs(*(f"{POST} {number}" for number in range(200))))
    assert of_chat(server) <= 4 * 35


def test_nobody_there_is_an_outage(server, tmp_path):
    with (
        open_services_at(server, tmp_path / "home", GIGACHAT_AUTH_URL="http://127.0.0.1:9/oauth") as services,
        pytest.raises(ProviderUnreachable, match="no connection"),
    ):
        services.tagger.tag(model_inputs(POST))


def test_one_item_that_breaks_the_provider_is_its_own_fault(either, server):
    server.behave(shares={"500": 1.0})
    (outcome,) = either.tagger.tag(model_inputs(POST))
    assert isinstance(outcome, ProviderBusy)


def test_no_more_calls_at_a_time_than_agreed(server, tmp_path):
    server.behave(latency_s=0.02)
    with open_services_at(server, tmp_path / "home", JOB_CONCURRENCY="3") as services:
        services.tagger.tag(model_inputs(*(f"{POST} {number}" for number in range(30))))
    assert server.most_at_once == 3


def test_no_secret_and_no_text_in_any_message(either, server):
    for kind in ("401", "402", "422", "503", "not_json", "empty"):
        server.behave(shares={kind: 1.0})
        try:
            said = str(either.tagger.tag(model_inputs(POST)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not tell
            said = str(error)
        assert not any(secret in said for secret in ("secret", "a2V5", "token-", "Казань", "private-text", "?"))


def test_equal_questions_are_asked_once_and_answers_outlive_the_process(server, tmp_path):
    for _ in range(2):
        with open_services_at(server, tmp_path / "home") as services:
            first, second = services.tagger.tag(model_inputs(POST, POST))
            assert first == second
            assert services.tagger.tag(model_inputs(POST)) == [first]
            assert services.extractor.extract(model_inputs(POST)) == services.extractor.extract(model_inputs(POST))
    assert server.counts()["paid"] == 2
    with open_services_at(server, tmp_path / "home") as services:
        services.tagger.tag(model_inputs(POST, tenant="another"))
    assert server.counts()["paid"] == 3
