"""A post or a document that is forgotten: gone from every store, and not to come back."""

import threading
from shutil import copytree, rmtree

import pytest

from chatai_assets.domain.ids import ItemKey, digest
from chatai_assets.domain.stages import ITEM_STAGES
from chatai_assets.operations.erasure import erase_from_store, finish, forget
from chatai_assets.operations.status import ItemNotFound, describe_item, redo
from chatai_assets.pipeline.projections.recovery import probe_vectors, rebuild
from chatai_assets.services import Services
from chatai_assets.storage import dead_letters, schema
from chatai_assets.storage.dead_letters import NewDeadLetter
from chatai_assets.storage.enrichment import EnrichmentRow
from chatai_assets.storage.erasure import erase_orphans
from chatai_assets.storage.llm_responses import link_results, store_results
from chatai_assets.storage.web_pages import PageKey, store_pages, write_crawl
from chatai_assets_tests.pipeline.test_engine import PART, PATIENCE_S, Hesitating
from chatai_assets_tests.support.erasure import (
    KEPT,
    POST,
    dump_tables,
    erasure_stores,
    find_traces_in_projections,
    find_traces_in_tables,
    ingest_all,
    secret_document,
    secret_post,
)
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    contents,
    due_hours,
    find_inconsistencies,
    ingest_files,
    ingest_posts,
    load_payloads,
    message,
    migrated_settings,
    process_all,
    read_status,
    rows,
    run,
    stage_run_config,
)


def blobs(services):
    return sorted(services.blobs.digests())


def deletion(*numbers, chat=CHAT):
    return {"update_id": 9, "deleted_business_messages": {"chat": {"id": chat}, "message_ids": list(numbers)}}


def test_a_post_and_a_document_are_gone_from_all_stores_within_one_run(services, tmp_path):
    document = ingest_all(services, tmp_path / "in")
    assert find_traces_in_tables(services)
    assert find_traces_in_projections(services)
    for key in (POST, document):
        erase_from_store(erasure_stores(services), key)
    # The ledger knows what the graph holds until it holds it no more.
    assert {trace.partition(":")[0] for trace in find_traces_in_tables(services)} == {"index_ledger"}
    assert finish(erasure_stores(services))["points"] == 2
    assert find_traces_in_tables(services) == []
    assert find_traces_in_projections(services) == []
    assert [load_payloads(services, key) for key in (POST, document)] == [[], []]
    found = contents(services)
    assert find_inconsistencies(found) == []
    assert len(found["points"]) == len(blobs(services)) + 1 == 2
    figures = read_status(services)
    assert figures["posts"] == {"received": 1, "searchable": 1, "pending": 0, "failed": 0}
    assert figures["documents"] == {"received": 1, "searchable": 1, "pending": 0, "failed": 0}


def test_the_command_says_what_went_and_the_tombstone_that_it_went(embedded, tmp_path):
    document = ingest_all(embedded, tmp_path / "in")
    gone = forget(erasure_stores(embedded), document)
    assert (gone.again, gone.waiting, gone.erased["points"], gone.erased["blobs"]) == (False, None, 1, 1)
    assert (gone.erased["chunks"], gone.erased["vectors"], gone.erased["documents"]) == (1, 1, 1)
    assert gone.erased["edges"] > 3
    with pytest.raises(ItemNotFound, match="was forgotten: nothing is left of it but a tombstone"):
        describe_item(embedded.records, document, None)


def test_forgetting_twice_changes_nothing(embedded, tmp_path):
    document = ingest_all(embedded, tmp_path / "in")
    for key in (POST, document):
        forget(erasure_stores(embedded), key)
    before = dump_tables(embedded)
    for key in (POST, document):
        gone = forget(erasure_stores(embedded), key)
        assert (gone.again, gone.erased.total(), gone.waiting) == (True, 0, None)
    assert dump_tables(embedded) == before


def test_what_nobody_knows_cannot_be_forgotten_nor_done_again(embedded, tmp_path):
    ingest_all(embedded, tmp_path / "in")
    with pytest.raises(ItemNotFound, match="There is no tg/1/1"):
        forget(erasure_stores(embedded), "tg/1/1")
    with pytest.raises(ItemNotFound, match="is no source key"):
        forget(erasure_stores(embedded), "nonsense")
    forget(erasure_stores(embedded), POST)
    with pytest.raises(ItemNotFound, match="was forgotten"):
        redo(embedded.records, POST)


def test_the_same_or_an_older_revision_does_not_bring_a_post_back(embedded):
    ingest_posts(embedded, [secret_post(edited=1_700_000_500)])
    process_all(embedded)
    forget(erasure_stores(embedded), POST)
    before = dump_tables(embedded)
    again = [secret_post(edited=1_700_000_500), secret_post(), secret_post(edited=1_700_000_400, more="Иначе.")]
    for revision in again:
        report = ingest_posts(embedded, [revision])
        assert (report.posts, report.duplicates) == (0, 1)
    moved = ingest_posts(embedded, [secret_post(edited=int(NOON) * 2)])  # a reaction moves the date, not the words
    assert (moved.posts, moved.duplicates) == (0, 1)
    assert process_all(embedded) == []
    assert {name for name, found in dump_tables(embedded).items() if found != before[name]} == {"tombstones"}
    assert find_traces_in_tables(embedded) == []


def test_a_newer_revision_brings_a_post_back_and_an_older_one_then_makes_no_work(embedded):
    ingest_posts(embedded, [secret_post()])
    process_all(embedded)
    forget(erasure_stores(embedded), POST)
    assert ingest_posts(embedded, [message(1, KEPT, edited=int(NOON) * 2)]).posts == 1
    process_all(embedded)
    assert len(load_payloads(embedded, POST)) == 1
    assert rows(embedded, schema.tombstones) == []
    assert ingest_posts(embedded, [secret_post()]).duplicates == 1
    assert process_all(embedded) == []
    assert find_inconsistencies(contents(embedded)) == []


def test_the_same_file_stays_forgotten_wherever_it_comes_from_and_another_takes_its_place(embedded, tmp_path):
    document = ingest_all(embedded, tmp_path / "in")
    forget(erasure_stores(embedded), document)
    for folder in ("in", "elsewhere"):
        report = ingest_files(embedded, [secret_document(tmp_path / folder)])
        assert (report.documents, report.duplicates) == (0, 1)
    assert len(blobs(embedded)) == 1
    assert process_all(embedded) == []
    path = tmp_path / "in" / "Ъмчетверг.txt"
    path.write_text("Новый договор. Вчера Мария видела Париж.", encoding="utf-8")
    assert ingest_files(embedded, [path]).documents == 1
    process_all(embedded)
    row = describe_item(embedded.records, document, None)
    assert (row["status"], row["file_name"]) == ("completed", "Ъмчетверг.txt")
    assert find_inconsistencies(contents(embedded)) == []


def test_all_revisions_of_an_edited_post_and_the_other_pictures_of_its_album_are_told_apart(embedded):
    album = [secret_post(), secret_post(2), message(1, "Вчера quuxbridge.", edited=1_700_000_100)]
    for each in album:
        (each.get("channel_post") or each["edited_channel_post"])["media_group_id"] = "77"
    ingest_posts(embedded, album)
    process_all(embedded)
    forget(erasure_stores(embedded), POST)
    assert rows(embedded, schema.inbox, schema.inbox.c.source_key == POST) == []
    assert load_payloads(embedded, POST) == []
    assert len(load_payloads(embedded, f"tg/{CHAT}/2")) == 1
    forget(erasure_stores(embedded), f"tg/{CHAT}/2")
    assert find_traces_in_tables(embedded) == []


def test_what_two_tenants_share_stays_with_the_other(services, tmp_path):
    documents = {tenant: ingest_all(services, tmp_path / "in", tenant=tenant) for tenant in ("one", "two")}
    assert documents["one"] == documents["two"]
    before = len(contents(services)["points"])
    with pytest.raises(ItemNotFound, match="2 tenants"):
        forget(erasure_stores(services), POST)
    for key in (POST, documents["one"]):
        forget(erasure_stores(services), key, tenant_id="one")
    found = contents(services)
    assert len(found["points"]) == before - 2
    assert {payload["tenant_id"] for payload in load_payloads(services, POST)} == {"two"}
    assert len(blobs(services)) == 2
    assert find_inconsistencies(found) == []
    redo(services.records, documents["two"], tenant_id="two")
    assert not any(report.failed for report in process_all(services))
    forget(erasure_stores(services), documents["two"], tenant_id="two")
    assert len(blobs(services)) == 1


def test_bytes_of_two_documents_go_with_the_second(embedded, tmp_path):
    folder = tmp_path / "in"
    ingest_files(embedded, [secret_document(folder, name) for name in ("a.txt", "b.txt")])
    process_all(embedded)
    first, second = (row["source_key"] for row in rows(embedded, schema.documents))
    forget(erasure_stores(embedded), first)
    assert len(blobs(embedded)) == 1
    assert len(load_payloads(embedded, second)) == 1
    redo(embedded.records, second)
    assert not any(report.failed for report in process_all(embedded))
    forget(erasure_stores(embedded), second)
    assert blobs(embedded) == []
    assert rows(embedded, schema.vectors) == []


def test_news_of_a_deletion_forgets_a_post_and_one_that_comes_after(services):
    ingest_posts(services, [secret_post(), message(2, KEPT)])
    process_all(services)
    report = ingest_posts(services, [deletion(1, 3)])
    assert (report.deleted, report.posts, report.skipped) == (1, 0, 1)
    finish(erasure_stores(services))
    assert load_payloads(services, POST) == []
    late = ingest_posts(services, [secret_post(3)])
    assert (late.posts, late.duplicates) == (0, 1)
    assert process_all(services) == []
    assert find_traces_in_tables(services) == []
    again = ingest_posts(services, [deletion(1, 3)])
    assert (again.deleted, again.skipped) == (0, 2)
    assert read_status(services)["posts"]["received"] == 1


def test_a_post_and_its_deletion_may_stand_in_one_file(embedded):
    report = ingest_posts(embedded, [secret_post(), message(2, KEPT), deletion(1), secret_post()])
    assert (report.posts, report.deleted, report.duplicates) == (2, 1, 1)
    process_all(embedded)
    finish(erasure_stores(embedded))
    assert find_traces_in_tables(embedded) == []
    assert find_traces_in_projections(embedded) == []


def test_an_index_restored_from_another_day_is_purged_of_it(embedded, tmp_path):
    ingest_all(embedded, tmp_path / "in")
    index = embedded.settings.home / "vectors"
    copytree(index, tmp_path / "backup")
    forget(erasure_stores(embedded), POST)
    rmtree(index)
    copytree(tmp_path / "backup", index)
    assert load_payloads(embedded, POST)
    assert rebuild(embedded.records, probe_vectors(embedded.indexes.serving()))
    process_all(embedded)
    finish(erasure_stores(embedded))
    assert load_payloads(embedded, POST) == []
    assert find_inconsistencies(contents(embedded)) == []


def test_pages_read_for_it_alone_go_and_those_that_others_link_to_stay(embedded):
    own, shared = ("https://quuxbridge.example/page", "Зюзюкин строит."), ("https://example.org/shared", "Мария едет.")
    ingest_posts(embedded, [secret_post(), message(2, KEPT)])
    process_all(embedded)
    with embedded.records.begin() as connection:
        for key, linked in ((POST, (own, shared)), (f"tg/{CHAT}/2", (shared,))):
            note_pages(connection, key, linked)
    gone = forget(erasure_stores(embedded), POST)
    assert (gone.erased["pages"], [row["url"] for row in rows(embedded, schema.pages)]) == (1, [shared[0]])
    assert [row["source_key"] for row in rows(embedded, schema.chunks, schema.chunks.c.part != "body")] == [
        f"tg/{CHAT}/2"
    ]
    assert find_traces_in_tables(embedded) == []
    forget(erasure_stores(embedded), f"tg/{CHAT}/2")
    assert rows(embedded, schema.pages) == []


def note_pages(connection, key, linked):
    """Write what reading pages leaves: the pages, their chunks as the post's, and what is told of them."""
    services = [(url, digest(words)[:32], words) for url, words in linked]
    store_pages(connection, [page(url, part, words) for url, part, words in services])
    place = {"tenant_id": "default", "source_key": key, "ordinal": 0, "start": 0, "end": 1}
    chunks = [{**place, "part": part, "text": words, "text_hash": part} for _, part, words in services]
    connection.execute(schema.chunks.insert(), chunks)
    value = {"pages": [{"url": url, "part": part, "title": words, "fault": None} for url, part, words in services]}
    row = EnrichmentRow(tenant_id="default", post_id=key, content_hash="h", value=value, model="", written_at=0.0)
    write_crawl(connection, [row])


def page(url, part, words):
    tenant_id, url_hash = PageKey.of_url("default", url)
    about = {"tenant_id": tenant_id, "url_hash": url_hash, "url": url, "page_hash": part, "text": words}
    return {**about, "title": words, "fault": None, "etag": None, "modified": None, "checked_at": 0.0}


def test_answers_and_dead_letters_of_it_go_and_those_that_others_use_stay(embedded):
    ingest_posts(embedded, [secret_post(), message(2, KEPT)])
    process_all(embedded)
    other = ItemKey("default", f"tg/{CHAT}/2")
    answer = {"tenant_id": "default", "provider": "p", "answer": {"tags": ["Зюзюкин"]}, "written_at": 1.0}
    letter = NewDeadLetter(
        tenant_id="default",
        queue_name="posts",
        job_name="tag",
        job_id=f"{POST}@1",
        job_data={},
        source_key=POST,
        error_class="x",
        error_message="Зюзюкин",
        error_stack=None,
        attempts=1,
        input_fingerprint=None,
        code_version=None,
        url=None,
    )
    with embedded.records.begin() as connection:
        store_results(connection, [{**answer, "fingerprint": name} for name in ("own", "shared", "broken off")])
        link_results(
            connection, [(ItemKey("default", POST), "own"), (ItemKey("default", POST), "shared"), (other, "shared")]
        )
        dead_letters.record(connection, [letter], now=1.0)
    gone = forget(erasure_stores(embedded), POST)
    assert gone.erased["provider_results"] == 1
    assert rows(embedded, schema.worker_dlq) == []
    assert {row["fingerprint"] for row in rows(embedded, schema.provider_results)} == {"shared", "broken off"}
    with embedded.records.begin() as connection:
        erase_orphans(connection, "default", now=NOON)
    assert {row["fingerprint"] for row in rows(embedded, schema.provider_results)} == {"shared"}


@pytest.mark.parametrize(
    ("stage", "kind"), [("tag", "embedded"), ("embed", "embedded"), ("index", "servers"), ("link", "embedded")]
)
def test_a_stage_at_work_on_what_is_forgotten_does_not_bring_it_back(tmp_path, request, stage, kind):
    settings = migrated_settings(tmp_path / "home", request.getfixturevalue("servers") if kind == "servers" else None)
    reached, may_go = threading.Event(), threading.Event()
    with Services(settings) as services, Services(settings) as slow:
        ingest_posts(services, [secret_post(), message(2, KEPT)])
        process_all(services, stages=ITEM_STAGES[: ITEM_STAGES.index(stage)])
        slow.__dict__[PART[stage]] = Hesitating(getattr(slow, PART[stage]), reached, may_go)
        (hour,) = due_hours(slow, "posts")
        reports = []
        thread = threading.Thread(target=lambda: reports.append(run(stage, stage_run_config("posts", hour), slow)))
        thread.start()
        assert reached.wait(PATIENCE_S)
        erase_from_store(erasure_stores(services), POST)
        threading.Timer(0.5 if stage in {"index", "link"} else 0.0, may_go.set).start()
        process_all(services)
        finish(erasure_stores(services))
        thread.join(PATIENCE_S)
        process_all(services)
        finish(erasure_stores(services))
        assert reports[0].lost == 1
        with services.records.begin() as connection:
            erase_orphans(connection, "default", now=NOON)
        assert len(rows(services, schema.vectors)) == 1
        assert find_traces_in_tables(services) == []
        assert find_traces_in_projections(services) == []
        assert load_payloads(services, POST) == []
        assert find_inconsistencies(contents(services)) == []
