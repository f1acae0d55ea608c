"""Dead letters: what they say, and what becomes of them when they are replayed or resolved."""

import pytest

from chatai_assets.domain.errors import InvalidModelResponse, ProviderBusy
from chatai_assets.operations.dead_letters import GONE, SUPERSEDED, DeadLetterNotFound, ReplayResult, replay, resolve
from chatai_assets.storage import leases as claims
from chatai_assets.storage.dead_letters import DeadLetterFilter
from chatai_assets.storage.schema import tables as schema
from chatai_assets_tests.pipeline.test_item_errors import key, post, trouble
from chatai_assets_tests.support.pipeline import (
    Limits,
    contents,
    ingest_files,
    ingest_posts,
    loose_ends,
    process_all,
    rows,
    states,
)

ALL = DeadLetterFilter()


def figures(report: ReplayResult):
    return report.replayed, report.waiting, report.closed


def letters(parts):
    return sorted(rows(parts, schema.worker_dlq), key=lambda row: row["id"])


@pytest.fixture
def failed(parts):
    """A home in which the second of three posts could not be tagged; call it to end the trouble."""
    ingest_posts(parts, [post(1), post(2, "беда"), post(3)])
    end = trouble(parts, "tagger", InvalidModelResponse("No."))
    process_all(parts)
    return end


def test_a_letter_says_on_what_input_and_under_which_code_it_failed_and_where_the_post_is(parts, failed):
    (letter,) = letters(parts)
    (item,) = rows(parts, schema.posts, schema.posts.c.source_key == key(2))
    assert (letter["input_fingerprint"], letter["url"]) == (item["content_hash"], item["url"])
    assert letter["url"].startswith("https://t.me/")
    assert letter["code_version"].startswith("0.1.0+")
    assert letter["first_failed_at"] == letter["last_failed_at"] > 0
    assert letter["job_id"] == f"{key(2)}@{item['seq']}"


def test_a_replay_makes_the_item_pending_and_the_next_run_does_it(parts, failed):
    failed()
    assert figures(replay(parts.records, ALL)) == (1, 0, 0)
    assert states(parts, key(2))["tag"] == "pending"
    process_all(parts)
    assert set(states(parts, key(2)).values()) == {"done"}
    (letter,) = letters(parts)
    assert (letter["resolved"], letter["resolution_note"]) == (True, "the stage succeeded later")
    assert loose_ends(contents(parts)) == []


def test_replaying_twice_changes_nothing(parts, failed):
    replay(parts.records, ALL)
    before = rows(parts, schema.work), letters(parts)
    assert figures(replay(parts.records, ALL)) == (0, 1, 0)
    assert (rows(parts, schema.work), letters(parts)) == before


def test_what_fails_again_is_the_same_letter_with_its_first_failure(parts, failed):
    (first,) = letters(parts)
    replay(parts.records, ALL)
    process_all(parts)
    (again,) = letters(parts)
    assert (again["id"], again["first_failed_at"]) == (first["id"], first["first_failed_at"])
    assert again["last_failed_at"] > first["last_failed_at"]
    assert not again["resolved"]


def test_a_replay_gives_all_attempts_back(parts):
    ingest_posts(parts, [post(1, "беда"), *(post(number) for number in range(2, 5))])
    trouble(parts, "tagger", ProviderBusy("503"))
    process_all(parts, limits=Limits(max_attempts=1))
    replay(parts.records, ALL)
    (row,) = rows(parts, schema.work, schema.work.c.source_key == key(1), schema.work.c.stage == "tag")
    assert (row["state"], row["attempts"], row["next_attempt_at"]) == ("pending", 0, 0.0)


def test_a_dry_run_only_says_what_would_be_done(parts, failed):
    before = rows(parts, schema.work)
    report = replay(parts.records, ALL, dry_run=True)
    assert (figures(report), report.by_class) == ((1, 0, 0), {"AnswerRejected": 1})
    assert rows(parts, schema.work) == before


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
def test_only_what_is_chosen_is_replayed(parts, failed, choice, chosen):
    assert replay(parts.records, choice, dry_run=True).replayed == chosen


def test_an_id_that_no_letter_has_is_refused(parts):
    with pytest.raises(DeadLetterNotFound, match="no dead letter 7"):
        replay(parts.records, DeadLetterFilter(ids=[7]))
    with pytest.raises(DeadLetterNotFound):
        resolve(parts.records, 7, "note")


def test_a_letter_of_an_older_revision_is_closed_with_that_reason(parts, failed):
    (letter,) = letters(parts)
    with parts.records.begin() as connection:
        connection.execute(schema.work.update().values(seq=schema.work.c.seq + 1_000))
    assert figures(replay(parts.records, ALL)) == (0, 0, 1)
    assert letters(parts)[0]["resolution_note"] == SUPERSEDED
    assert states(parts, key(2))["tag"] == "failed"
    assert letter["resolved"] is False


def test_a_letter_whose_item_is_gone_is_closed_with_that_reason(parts, failed):
    with parts.records.begin() as connection:
        connection.execute(schema.work.delete().where(schema.work.c.stage == "tag"))
    assert figures(replay(parts.records, ALL)) == (0, 0, 1)
    assert letters(parts)[0]["resolution_note"] == GONE


def test_a_letter_that_was_resolved_keeps_its_note(parts, failed):
    (letter,) = letters(parts)
    assert resolve(parts.records, letter["id"], "a spam post")
    assert not resolve(parts.records, letter["id"], "another note")
    assert figures(replay(parts.records, DeadLetterFilter(ids=[letter["id"]]))) == (0, 0, 0)
    assert letters(parts)[0]["resolution_note"] == "a spam post"


def test_a_document_that_is_replayed_is_shown_as_pending(parts, tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\nnot really\n")
    ingest_files(parts, [tmp_path / "a.pdf"])
    process_all(parts)
    replay(parts.records, ALL)
    (document,) = rows(parts, schema.documents)
    assert (document["status"], document["error"], document["error_code"]) == ("pending", None, None)
    process_all(parts)
    assert rows(parts, schema.documents)[0]["status"] == "failed"


def test_who_works_on_an_item_keeps_it_when_its_letter_is_replayed(parts, failed):
    replay(parts.records, ALL)
    hour = rows(parts, schema.work)[0]["hour"]
    with parts.records.begin() as connection:
        claims.claim(connection, claims.Claim("me", "posts", "tag", hour, 10, 2e9, 3e9, "run"))
    assert figures(replay(parts.records, ALL)) == (0, 1, 0)
    with parts.records.begin() as connection:
        assert claims.still_owned(connection, "me") == {("default", key(2))}
