"""What a stage does when an item, a provider or a store fails."""

import pytest

from chatai_assets.domain.errors import (
    InvalidModelResponse,
    MassFailure,
    Outage,
    ProviderBusy,
    ProviderRejected,
    StoreUnavailable,
)
from chatai_assets.operations.status import redo
from chatai_assets.storage import schema
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    Limits,
    contents,
    due_hours,
    find_inconsistencies,
    ingest_files,
    ingest_posts,
    load_payloads,
    message,
    process_all,
    rows,
    run,
    stage_run_config,
    states,
)

HOUR = "2026-09-21-14:00"


class Troubled:
    """A model of which some texts ask too much; the others are answered by the real one."""

    def __init__(self, model, trouble):
        self.asked = model
        self.trouble = trouble
        self.model = model.model
        self.dimensions = getattr(model, "dimensions", None)

    def _answers(self, ask, texts):
        return [self._trouble_with(text) or ask([text])[0] if "беда" in text.text else ask([text])[0] for text in texts]

    def _trouble_with(self, _text):
        if isinstance(self.trouble, (InvalidModelResponse, ProviderBusy, ProviderRejected)):
            return self.trouble
        raise self.trouble

    def tag(self, texts):
        return self._answers(self.asked.tag, texts)

    def embed(self, texts):
        return self._answers(self.asked.embed, texts)

    def extract(self, texts):
        return self._answers(self.asked.extract, texts)


def trouble(services, name, error):
    """Let a model of a home be troubled; return what ends it."""
    whole = getattr(services, name)
    services.__dict__[name] = Troubled(whole, error)
    return lambda: services.__dict__.update({name: whole})


def post(number, words="спокойно"):
    return message(number, f"Вчера {words} поезд {number} видел Париж рядом.")


def key(number):
    return f"tg/{CHAT}/{number}"


def letters(services):
    return [(row["source_key"], row["job_name"], row["error_class"]) for row in rows(services, schema.worker_dlq)]


MODELS = {"tag": "tagger", "enrich": "extractor", "embed": "embedder"}


@pytest.mark.parametrize("stage", MODELS)
@pytest.mark.parametrize("error", [InvalidModelResponse("No."), ValueError("беда и тайна")])
def test_a_bad_item_is_quarantined_and_its_neighbours_finish(services, stage, error):
    ingest_posts(services, [post(1), post(2, "беда"), post(3)])
    trouble(services, MODELS[stage], error)
    process_all(services)
    assert states(services, key(2))[stage] == "failed"
    assert {states(services, key(number))[name] for number in (1, 3) for name in states(services, key(number))} == {
        "done"
    }
    (letter,) = rows(services, schema.worker_dlq)
    assert (letter["source_key"], letter["job_name"]) == (key(2), stage)
    expected = "AnswerRejected" if isinstance(error, InvalidModelResponse) else "UnexpectedFailure"
    assert letter["error_class"] == expected
    assert bool(letter["error_stack"]) == (expected == "UnexpectedFailure")
    assert "тайна" not in letter["error_message"] + str(letter["error_stack"])
    assert find_inconsistencies(contents(services)) == []


def test_a_text_that_cannot_be_embedded_is_not_found_in_part_and_fails_its_document(services, tmp_path):
    text = " ".join(f"Поезд номер {n} прибыл на станцию Москва вчера." for n in range(300))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    ingest_files(services, [tmp_path / "a.txt"])
    process_all(services)
    chunks = len(rows(services, schema.chunks))
    assert services.vectors.count() == chunks > 1
    end = trouble(services, "embedder", ProviderRejected("No."))
    (tmp_path / "a.txt").write_text(text + " Вот и беда.", encoding="utf-8")
    ingest_files(services, [tmp_path / "a.txt"])
    process_all(services)
    (row,) = rows(services, schema.documents)
    assert (row["status"], row["error_code"], row["chunks_count"], services.vectors.count()) == (
        "failed",
        "internal",
        0,
        0,
    )
    assert row["error"].startswith("Документ не удалось обработать")
    end()
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    ingest_files(services, [tmp_path / "a.txt"])
    process_all(services)
    (row,) = rows(services, schema.documents)
    assert (row["status"], row["error"], services.vectors.count()) == ("completed", None, chunks)


@pytest.mark.parametrize("stage", ["tag", "enrich"])
def test_what_an_earlier_revision_was_about_goes_when_the_later_one_cannot_be_read(services, stage):
    ingest_posts(services, [post(1)])
    process_all(services)
    trouble(services, MODELS[stage], InvalidModelResponse("No."))
    ingest_posts(services, [message(1, "Сегодня большая беда у моря Лондон.", edited=1_700_000_100)])
    process_all(services)
    process_all(services)
    found = contents(services)
    assert find_inconsistencies(found) == []
    if stage == "tag":
        assert [hit["tags"] for hit in load_payloads(services, key(1))] == [[]]
        assert not [node for node in found["nodes"] if node.startswith("Tag ")]
    else:
        assert not [node for node in found["nodes"] if node.startswith("Entity ")]


@pytest.mark.parametrize("names", ["first", "later", "not at all"])
def test_a_post_that_cannot_be_tagged_is_in_the_graph_whatever_happened_before(services, names):
    ingest_posts(services, [post(1, "беда")])
    trouble(services, "tagger", InvalidModelResponse("No."))
    if names == "not at all":
        trouble(services, "extractor", InvalidModelResponse("No."))
    process_all(services, stages=["parse", "enrich", "tag"] if names == "first" else ["parse", "tag"])
    redo(services.records, key(1), stage="tag", clock=lambda: NOON)
    process_all(services)
    assert states(services, key(1))["link"] == "done"
    found = contents(services)
    assert [node for node in found["nodes"] if node.startswith("Post ")]
    assert any(node.startswith("Entity ") for node in found["nodes"]) == (names != "not at all")


def test_a_passing_fault_is_tried_again_later_and_counts_at_last(services):
    ingest_posts(services, [post(1), post(2, "беда")])
    trouble(services, "tagger", ProviderBusy("429", retry_after=100))
    limits, now = Limits(max_attempts=3), NOON
    process_all(services, now=now, limits=limits)
    assert (states(services, key(2))["tag"], states(services, key(1))["tag"]) == ("pending", "done")
    assert states(services, key(2))["index"] == "done"  # it is found without tags
    for attempt, delay in ((2, 100), (3, 100)):
        assert due_hours(services, "posts", now + delay - 1) == []
        now += delay
        (report,) = [report for report in process_all(services, now=now, limits=limits) if report.stage == "tag"]
        assert (report.retried.total(), report.failed.total()) == ((1, 0) if attempt == 2 else (0, 1))
    assert letters(services) == [(key(2), "tag", "ProviderBusy")]
    assert rows(services, schema.worker_dlq)[0]["attempts"] == 3


def test_a_passing_fault_that_passes_leaves_no_trace(services):
    ingest_posts(services, [post(1), post(2, "беда")])
    end = trouble(services, "tagger", ProviderBusy("503"))
    process_all(services, now=NOON)
    end()
    process_all(services, now=NOON + 30)
    assert set(states(services, key(2)).values()) == {"done"}
    assert load_payloads(services, key(2))[0]["tags"] == ["Вчера", "беда", "поезд"]
    assert {row["attempts"] for row in rows(services, schema.work)} == {0}


@pytest.mark.parametrize("error", [ProviderRejected("no such model"), InvalidModelResponse("No.")])
def test_failures_that_are_ours_quarantine_nothing(services, error):
    ingest_posts(services, [post(number, "беда" if number <= 12 else "покой") for number in range(1, 41)])
    end = trouble(services, "tagger", error)
    run("parse", stage_run_config("posts", HOUR), services)
    with pytest.raises(MassFailure, match="12 of 40 items"):
        run("tag", stage_run_config("posts", HOUR), services)
    assert {row["state"] for row in rows(services, schema.work, schema.work.c.stage == "tag")} == {"pending"}
    assert letters(services) == []
    end()
    assert run("tag", stage_run_config("posts", HOUR), services).done == 40


def test_what_befalls_all_texts_alike_is_not_the_items_fault(services):
    ingest_posts(services, [post(number, "беда") for number in range(1, 4)])
    trouble(services, "tagger", KeyError("беда"))
    run("parse", stage_run_config("posts", HOUR), services)
    with pytest.raises(KeyError):
        run("tag", stage_run_config("posts", HOUR), services)
    assert letters(services) == []
    assert {row["state"] for row in rows(services, schema.work, schema.work.c.stage == "tag")} == {"pending"}


def test_an_outage_of_a_model_gives_all_items_back(services):
    ingest_posts(services, [post(1), post(2, "беда")])
    trouble(services, "tagger", Outage("Nobody answers."))
    run("parse", stage_run_config("posts", HOUR), services)
    with pytest.raises(Outage, match="Nobody answers"):
        run("tag", stage_run_config("posts", HOUR), services)
    tags = rows(services, schema.work, schema.work.c.stage == "tag")
    assert {(row["state"], row["attempts"], row["owner"]) for row in tags} == {("pending", 0, None)}


@pytest.mark.parametrize(("stage", "folder"), [("index", "vectors"), ("link", "graph")])
def test_a_store_that_cannot_be_written_uses_no_attempt(embedded, stage, folder):
    ingest_posts(embedded, [post(number) for number in range(1, 6)])
    (embedded.settings.home / folder).write_text("a file stands where the folder should be", encoding="utf-8")
    with pytest.raises(StoreUnavailable):
        process_all(embedded, stages=["parse", "tag", "enrich", "embed", stage])
    waiting = rows(embedded, schema.work, schema.work.c.stage == stage)
    assert {(row["state"], row["attempts"], row["owner"]) for row in waiting} == {("pending", 0, None)}
    (embedded.settings.home / folder).unlink()
    process_all(embedded)
    assert find_inconsistencies(contents(embedded)) == []
    assert embedded.vectors.count() == 5


def test_an_index_that_is_damaged_midway_is_written_again(embedded):
    ingest_posts(embedded, [post(1)])
    process_all(embedded)
    for file in (embedded.settings.home / "vectors").rglob("*.json"):
        file.write_text("{", encoding="utf-8")
    ingest_posts(embedded, [post(2)])
    while process_all(embedded):
        pass
    assert find_inconsistencies(contents(embedded)) == []
    assert embedded.vectors.count() == 2


def test_forty_damaged_files_are_forty_bad_files(services, tmp_path):
    for number in range(12):
        (tmp_path / f"{number}.pdf").write_bytes(f"%PDF-1.4\nnot really {number}\n".encode())
    ingest_files(services, sorted(tmp_path.glob("*.pdf")))
    (report,) = process_all(services, stages=["parse"])
    assert report.failed == {"corrupt": 12}
