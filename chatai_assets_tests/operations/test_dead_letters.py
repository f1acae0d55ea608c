"""Dead letters: what they say, and what becomes of them when they are replayed or resolved."""

import pytest

from chatai_assets.domain.errors import InvalidModelResponse, ProviderBusy
from chatai_assets.operations.dead_letters import (
    NOT_PENDING_NOTE,
    SUPERSEDED_NOTE,
    DeadLetterNotFound,
    ReplayResult,
    replay,
    resolve,
)
from chatai_assets.storage import leases as claims
from chatai_assets.storage import schema
from chatai_assets.storage.dead_letters import DeadLetterFilter
from chatai_assets_tests.pipeline.test_item_errors import key, post, trouble
from chatai_assets_tests.support.pipeline import (
    Limits,
    contents,
    find_inconsistencies,
    ingest_files,
    ingest_posts,
    process_all,
    rows,
    states,
)

ALL = DeadLetterFilter()


def figures(report: ReplayResult):
    return report.replayed, report.waiting, report.closed


def letters(services):
    return sorted(rows(services, schema.worker_dlq), key=lambda row: row["id"])


@pytest.fixture
def failed(services):
    """A home in which the second of three posts could not be tagged; call it to end the trouble."""
    ingest_posts(services, [post(1), post(2, "беда"), post(3)])
    end = trouble(services, "tagger", InvalidModelResponse("No."))
    process_all(services)
    return end


def test_a_letter_says_on_what_input_and_under_which_code_it_failed_and_where_the_post_is(services, failed):
    (letter,) = letters(services)
    (item,) = rows(services, schema.posts, schema.posts.c.source_key == key(2))
    assert (letter["input_fingerprint"], letter["url"]) == (item["content_hash"], item["url"])
    assert letter["url"].startswith("https://t.me/")
    assert letter["code_version"].startswith("0.1.0+")
    assert letter["first_failed_at"] == letter["last_failed_at"] > 0
    assert letter["job_id"] == f"{key(2)}@{item['seq']}"


def test_a_replay_makes_the_item_pending_and_the_next_run_does_it(services, failed):
    failed()
    assert figures(replay(services.records, ALL)) == (1, 0, 0)
    assert states(services, key(2))["tag"] == "pending"
    process_all(services)
    assert set(states(services, key(2)).values()) == {"done"}
    (letter,) = letters(services)
    assert (letter["resolved"], letter["resolution_note"]) == (True, "the stage succeeded later")
    assert find_inconsistencies(contents(services)) == []


def test_replaying_twice_changes_nothing(services, failed):
    replay(services.records, ALL)
    before = rows(services, schema.work), letters(services)
    assert figures(replay(services.records, ALL)) == (0, 1, 0)
    assert (rows(services, schema.work), letters(services)) == before


def test_what_fails_again_is_the_same_letter_with_its_first_failure(services, failed):
    (first,) = letters(services)
    replay(services.records, ALL)
    process_all(services)
    (again,) = letters(services)
    assert (again["id"], again["first_failed_at"]) == (first["id"], first["first_failed_at"])
    assert again["last_failed_at"] > first["last_failed_at"]
    assert not again["resolved"]


def test_a_replay_gives_all_attempts_back(services):
    ingest_posts(services, [post(1, "беда"), *(post(number) for number in range(2, 5))])
    trouble(services, "tagger", ProviderBusy("503"))
    process_all(services, limits=Limits(max_attempts=1))
    replay(services.records, ALL)
    (row,) = rows(services, schema.work, schema.work.c.source_key == key(1), schema.work.c.stage == "tag")
    assert (row["state"], row["attempts"], row["next_attempt_at"]) == ("pending", 0, 0.0)


def test_a_dry_run_only_says_what_would_be_done(services, failed):
    before = rows(services, schema.work)
    report = replay(services.records, ALL, dry_run=True)
    assert (figures(report), report.by_class) == ((1, 0, 0), {"AnswerRejected": 1})
    assert rows(services, schema.work) == before


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (DeadLetterFilter(stage="tag"), 1),
        (DeadLetterFilter(stage="embed"), 0),
        (DeadLetterFilter(stream="documents"), 0),
        (DeadLetterFilter(tenant_id="default"), 1),
        (DeadLetterFilter(tenant_id="another"), 0),
        (DeadLetterFilter(error_class="AnswerRejected"), 1),
        (DeadLetterFilter(error_class="corrupt"), 0),
        (DeadLetterFilter(since=4e9), 0),
        (DeadLetterFilter(resolved=True), 0),
    ],
)
def test_only_what_is_chosen_is_replayed(services, failed, choice, chosen):
    assert replay(services.records, choice, dry_run=True).replayed == chosen


def test_an_id_that_no_letter_has_is_refused(services):
    with pytest.raises(DeadLetterNotFound, match="no dead letter 7"):
        replay(services.records, DeadLetterFilter(ids=[7]))
    with pytest.raises(DeadLetterNotFound):
        resolve(services.records, 7, "note")


def test_a_letter_of_an_older_revision_is_closed_with_that_reason(services, failed):
    (letter,) = letters(services)
    with services.records.begin() as connection:
        connection.execute(schema.work.update().values(seq=schema.work.c.seq + 1_000))
    assert figures(replay(services.records, ALL)) == (0, 0, 1)
    assert letters(services)[0]["resolution_note"] == SUPERSEDED_NOTE
    assert states(services, key(2))["tag"] == "failed"
    assert letter["resolved"] is False


def test_a_letter_whose_item_is_gone_is_closed_with_that_reason(services, failed):
    with services.records.begin() as connection:
        connection.execute(schema.work.delete().where(schema.work.c.stage == "tag"))
    assert figures(replay(services.records, ALL)) == (0, 0, 1)
    assert letters(services)[0]["resolution_note"] == NOT_PENDING_NOTE


def test_a_letter_that_was_resolved_keeps_its_note(services, failed):
    (letter,) = letters(services)
    assert resolve(services.records, letter["id"], "a spam post")
    assert not resolve(services.records, letter["id"], "another note")
    assert figures(replay(services.records, DeadLetterFilter(ids=[letter["id"]]))) == (0, 0, 0)
    assert letters(services)[0]["resolution_note"] == "a spam post"


def test_a_document_that_is_replayed_is_shown_as_pending(services, tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\nnot really\n")
    ingest_files(services, [tmp_path / "a.pdf"])
    process_all(services)
    replay(services.records, ALL)
    (document,) = rows(services, schema.documents)
    assert (document["status"], document["error"], document["error_code"]) == ("pending", None, None)
    process_all(services)
    assert rows(services, schema.documents)[0]["status"] == "failed"


def test_who_works_on_an_item_keeps_it_when_its_letter_is_replayed(services, failed):
    replay(services.records, ALL)
    hour = rows(services, schema.work)[0]["hour"]
    with services.records.begin() as connection:
        claims.claim(connection, claims.Claim("me", "posts", "tag", hour, 10, 2e9, 3e9, "run"))
    assert figures(replay(services.records, ALL)) == (0, 1, 0)
    with services.records.begin() as connection:
        assert claims.still_owned(connection, "me") == {("default", key(2))}
