"""What becomes of an item in all stores when a newer revision of it arrives."""

import json
import random

import pytest

from chatai_assets.domain.text.chunking import MAX_NEW_CHUNKS
from chatai_assets.operations.status import describe_item, redo
from chatai_assets.storage import schema
from chatai_assets_tests.benchmarks.edits import edit, lay_out, slope, word
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    contents,
    differences,
    find_inconsistencies,
    ingest_files,
    ingest_posts,
    load_payloads,
    message,
    process_all,
    read_status,
    rows,
    states,
)

POST = f"tg/{CHAT}/1"
DAMAGED = b"%PDF-1.4\nnot really\n"
LONG = " ".join(f"Поезд номер {n} прибыл на станцию Москва вчера." for n in range(300))


def totals(reports):
    return {(report.stream, report.stage): (report.done, report.unchanged) for report in reports if report.taken}


def texts_embedded(reports):
    return sum(report.counts["texts_embedded"] for report in reports)


def document(folder, content, name="отчёт.txt"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def only_document(services):
    return rows(services, schema.documents)[0]


def test_a_post_and_a_document_end_in_all_stores(services, tmp_path):
    ingest_posts(services, [message(1, LONG), message(2, "Вчера Мария видела Байкал.")])
    ingest_files(services, [document(tmp_path / "in", "Договор. Вчера Иван видел Лондон.")])
    assert only_document(services)["status"] == "pending"
    process_all(services, stages=["parse", "tag", "enrich", "embed"])
    assert only_document(services)["status"] == "processing"
    process_all(services)
    found = contents(services)
    assert find_inconsistencies(found) == []
    assert (
        len(found["points"]) == len(found["chunks"]) == sum(row["chunks_count"] for row in found["posts"].values()) + 1
    )
    assert (only_document(services)["status"], only_document(services)["chunks_count"]) == ("completed", 1)
    assert {kind for node in found["nodes"] for kind in [node.split()[0]]} == {
        "Post",
        "Document",
        "Channel",
        "Tag",
        "Entity",
    }
    figures = read_status(services)
    assert figures["posts"] == {"received": 2, "searchable": 2, "pending": 0, "failed": 0}
    assert figures["documents"] == {"received": 1, "searchable": 1, "pending": 0, "failed": 0}
    assert figures["vectors"]["points"] == len(found["points"])
    assert figures["graph"] == {"nodes": len(found["nodes"]), "relationships": len(found["edges"])}


def test_a_shorter_edit_leaves_nothing_of_the_longer_text(services):
    ingest_posts(services, [message(1, LONG), message(2, "Вчера Мария видела Байкал.")])
    process_all(services)
    assert len(load_payloads(services, POST)) > 2
    ingest_posts(services, [message(1, "Вчера Иван видел Париж.", edited=1_700_000_100)])
    assert totals(process_all(services)) == {
        ("posts", stage): (1, 0) for stage in ("parse", "tag", "enrich", "embed", "index", "link")
    }
    (payload,) = load_payloads(services, POST)
    assert payload["tags"] == ["Вчера", "Иван", "видел"]
    found = contents(services)
    assert find_inconsistencies(found) == []
    assert not [node for node in found["nodes"] if "москва" in node]


def test_before_models_answer_for_an_edit_nothing_is_shown_that_it_does_not_say(services):
    ingest_posts(services, [message(1, "Вчера Мария видела Байкал.")])
    process_all(services)
    ingest_posts(services, [message(1, "Вчера Иван увидел Байкал.", edited=1_700_000_100)])
    process_all(services, stages=["parse", "embed", "index"])
    assert [payload["tags"] for payload in load_payloads(services, POST)] == [["Вчера"]]
    process_all(services, stages=["tag", "link"])
    assert not [node for node in contents(services)["nodes"] if node.startswith("Entity ")]
    process_all(services)
    assert [payload["tags"] for payload in load_payloads(services, POST)] == [["Вчера", "Иван", "увидел"]]
    assert find_inconsistencies(contents(services)) == []


def test_facts_of_chunks_that_an_edit_leaves_as_they_are_move_with_them(services):
    names = [word(random.Random(n)).capitalize() for n in range(300)]
    text = " ".join(f"Вчера поезд прибыл на станцию {name} и ушёл." for name in names)
    ingest_posts(services, [message(1, text)])
    process_all(services)
    before = facts(services)
    ingest_posts(services, [message(1, "Сначала шёл дождь. " * 200 + text, edited=1_700_000_100)])
    process_all(services, stages=["parse"])
    kept = facts(services)
    process_all(services)
    assert kept == before & facts(services)
    assert len({fact[0] for fact in kept}) >= len({fact[0] for fact in before}) - MAX_NEW_CHUNKS > MAX_NEW_CHUNKS


def facts(services):
    """Return (text of a chunk, form) of all that is named, and (text, subject, object) of what is related."""
    texts = {row["ordinal"]: row["text"] for row in rows(services, schema.chunks)}
    names = {(texts[row["ordinal"]], row["form"]) for row in rows(services, schema.entities)}
    return names | {(texts[row["ordinal"]], row["subject"], row["object"]) for row in rows(services, schema.relations)}


EDITS = [("inserted", "at the start"), ("replaced", "anywhere"), ("deleted", "anywhere")]
"""The first changes all chunks of ``slope``, were they cut by their content alone."""


def test_an_edit_of_a_long_document_embeds_at_most_three_chunks_again(services, tmp_path):
    dice = random.Random(3)
    long = slope(dice, 6_000)
    assert embedded_again(services, tmp_path, long) > 8
    for kind, place in EDITS:
        long = edit(long, kind, place, dice)
        assert 1 <= embedded_again(services, tmp_path, long) <= MAX_NEW_CHUNKS
        redo(services.records, only_document(services)["source_key"])
        assert texts_embedded(process_all(services)) == 0
    found = contents(services)
    assert find_inconsistencies(found) == []
    assert len(found["points"]) == len(found["chunks"]) == only_document(services)["chunks_count"] > 8


def test_chunks_that_other_code_cut_do_not_stay(services, tmp_path):
    dice = random.Random(3)
    long = slope(dice, 6_000)
    embedded_again(services, tmp_path, long)
    with services.records.begin() as connection:
        connection.execute(schema.documents.update().values(parsed_by="what was before"))
    assert embedded_again(services, tmp_path, edit(long, *EDITS[0], dice)) > 8


def embedded_again(services, folder, paragraphs):
    ingest_files(services, [document(folder / "in", lay_out(paragraphs)[0])])
    return texts_embedded(process_all(services))


def test_an_edit_that_takes_all_words_away_withdraws_a_post(services):
    ingest_posts(services, [message(1, LONG), message(2, "Вчера Мария видела Байкал.")])
    process_all(services)
    ingest_posts(services, [message(1, "", edited=1_700_000_100)])
    process_all(services)
    found = contents(services)
    assert load_payloads(services, POST) == []
    assert not [node for node in found["nodes"] if POST in node]
    assert found["posts"][f"default|{POST}"]["chunks_count"] == 0
    assert find_inconsistencies(found) == []


def test_a_file_that_becomes_damaged_fails_and_leaves_index_and_graph(services, tmp_path):
    folder = tmp_path / "in"
    ingest_files(
        services, [document(folder, "Договор. Вчера Иван видел Лондон."), document(folder, "Цена и срок.", "b.txt")]
    )
    process_all(services)
    ingest_files(services, [document(folder, DAMAGED)])
    reports = process_all(services)
    failed = next(row for row in rows(services, schema.documents) if row["file_name"] == "отчёт.txt")
    assert (failed["status"], failed["error_code"], failed["text"], failed["chunks_count"]) == (
        "failed",
        "corrupt",
        None,
        0,
    )
    russian, english = failed["error"].split(" / ")
    assert russian.startswith("Файл повреждён")
    assert english.startswith("The file is damaged")
    assert load_payloads(services, failed["source_key"]) == []
    found = contents(services)
    assert find_inconsistencies(found) == []
    assert not [
        key
        for store in ("chunks", "entities", "tags", "nodes", "edges")
        for key in found[store]
        if failed["source_key"] in key
    ]
    assert sum(report.failed.total() for report in reports) == 1
    letter = rows(services, schema.worker_dlq)[0]
    assert letter["job_data"] == {"source": failed["source_key"], "seq": 3, "hour": failed["hour"], "run_id": "run"}
    assert (letter["queue_name"], letter["job_name"], letter["error_class"], letter["attempts"]) == (
        "documents",
        "parse",
        "corrupt",
        1,
    )
    assert letter["job_id"] == f"{failed['source_key']}@3"
    figures = read_status(services)
    assert figures["documents"] == {"received": 2, "searchable": 1, "pending": 0, "failed": 1}


def test_a_damaged_file_that_is_brought_whole_ends_as_if_it_had_always_been(services, tmp_path):
    folder = tmp_path / "in"
    ingest_files(services, [document(folder, DAMAGED)])
    process_all(services)
    ingest_files(services, [document(folder, "Договор. Вчера Иван видел Лондон.")])
    process_all(services)
    row = only_document(services)
    assert (row["status"], row["error"], row["error_code"]) == ("completed", None, None)
    assert [letter["resolution_note"] for letter in rows(services, schema.worker_dlq)] == ["a newer revision arrived"]


def test_a_redo_that_succeeds_takes_the_error_and_the_letter_away(services, tmp_path):
    path = document(tmp_path / "in", "Договор. Вчера Иван видел Лондон.")
    ingest_files(services, [path])
    row = only_document(services)
    blob = next(services.blobs.folder.glob("*/*"))
    blob.rename(tmp_path / "away")
    process_all(services)
    assert (only_document(services)["status"], only_document(services)["error_code"]) == ("failed", "missing")
    (tmp_path / "away").rename(blob)
    redo(services.records, row["source_key"])
    process_all(services)
    row = only_document(services)
    assert (row["status"], row["error"], row["error_code"]) == ("completed", None, None)
    assert describe_item(services.records, row["source_key"], None)["dead_letters"][0]["resolved"]


def test_a_redo_touches_one_item_and_changes_nothing(services):
    ingest_posts(services, [message(n, f"Вчера поезд {n} видел Париж.") for n in range(1, 6)])
    process_all(services)
    before = contents(services)
    redo(services.records, POST)
    assert [report.taken for report in process_all(services)] == [1] * 6
    assert differences(before, contents(services)) == []


def test_a_revision_that_arrives_late_changes_nothing(services):
    ingest_posts(services, [message(1, "Новое слово.", edited=1_700_000_500)])
    process_all(services)
    before = contents(services)
    report = ingest_posts(services, [message(1, "Старое слово.", edited=1_700_000_100)])
    assert (report.posts, report.duplicates) == (0, 1)
    assert process_all(services) == []
    assert differences(before, contents(services)) == []


@pytest.mark.parametrize("chunked", ["at once", "one after the other"])
def test_the_old_words_again_are_a_revision_like_any_other(services, chunked):
    words = [("Вчера Париж.", None), ("Сегодня Лондон.", 1_700_000_100), ("Вчера Париж.", 1_700_000_200)]
    revisions = [message(1, text, edited=edited) for text, edited in words]
    for batch in [revisions] if chunked == "at once" else [[revision] for revision in revisions]:
        ingest_posts(services, batch)
        process_all(services)
    assert rows(services, schema.posts)[0]["text"] == "Вчера Париж."
    assert find_inconsistencies(contents(services)) == []


def test_the_same_posts_through_two_doors_and_formats_are_the_same(services, tmp_path):
    ingest_posts(services, [message(1, "Вчера Мария видела Байкал.")])
    process_all(services)
    assert ingest_posts(services, [message(1, "Вчера Мария видела Байкал.")], door="folder").duplicates == 1
    export = {
        "name": "Канал 77",
        "type": "public_channel",
        "id": -CHAT - 1_000_000_000_000,
        "messages": [
            {
                "id": 1,
                "type": "message",
                "date": "2023-11-14T22:13:20",
                "date_unixtime": "1700000000",
                "text": "Вчера Мария видела Байкал.",
            }
        ],
    }
    file = tmp_path / "result.json"
    file.write_text(json.dumps(export, ensure_ascii=False), encoding="utf-8")
    report = ingest_files(services, [file])
    assert (report.posts, report.duplicates, report.rejected) == (0, 1, [])
    assert process_all(services) == []


def test_the_same_file_in_two_folders_is_one_document_until_one_of_them_changes(services, tmp_path):
    one, other = document(tmp_path / "a", "Вчера Париж."), document(tmp_path / "b", "Вчера Париж.")
    report = ingest_files(services, [one, other])
    assert (report.documents, report.duplicates) == (1, 1)
    document(tmp_path / "b", "Сегодня Лондон.")
    assert ingest_files(services, [other]).documents == 1
    document(tmp_path / "a", "Сегодня Лондон.")
    assert ingest_files(services, [one]).documents == 1
    assert {row["content_hash"] for row in rows(services, schema.documents)} == {
        rows(services, schema.documents)[0]["content_hash"]
    }


def test_names_that_are_no_unicode_are_no_harm(services, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / "bad-\udcff.txt"
    path.write_text("Вчера Мария видела Байкал.", encoding="utf-8")
    assert ingest_files(services, [folder]).documents == 1
    process_all(services)
    assert only_document(services)["file_name"] == "bad-?.txt"
    assert only_document(services)["status"] == "completed"


def test_a_day_of_posts_is_due_in_the_hours_of_its_arrival(services):
    ingest_posts(services, [message(1, "Вчера Париж.")], now=NOON)
    ingest_posts(services, [message(2, "Вчера Париж.")], now=NOON + 7_200)
    assert [report.hour for report in process_all(services, stages=["parse"])] == [
        "2026-09-21-16:00",
        "2026-09-21-14:00",
    ]
    assert states(services, POST) == {"parse": "done", "tag": "pending", "enrich": "pending", "embed": "pending"}
