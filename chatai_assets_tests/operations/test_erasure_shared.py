"""What items share with others outlives them, and what nobody has any more goes."""

import shutil

import pytest
from sqlalchemy import insert

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.domain.ids import ItemKey
from chatai_assets.domain.ttl import TTLPolicy
from chatai_assets.operations.erasure import Stores, erase_from_projections
from chatai_assets.operations.expiry import CHECKPOINT, expire
from chatai_assets.pipeline.projections.recovery import probe_graph, probe_vectors, rebuild
from chatai_assets.services import Services
from chatai_assets.storage import schema, tombstones
from chatai_assets.storage.llm_responses import link_results, store_results
from chatai_assets.storage.web_pages import PageKey
from chatai_assets_tests.support.pipeline import (
    CHAT,
    NOON,
    contents,
    differences,
    find_inconsistencies,
    ingest_files,
    ingest_posts,
    message,
    migrated_settings,
    process_all,
    rows,
)

DAY_S = 86_400
AFTER = NOON + 31 * DAY_S
FIRST, SECOND = (ItemKey("default", f"tg/{CHAT}/{number}") for number in (1, 2))
TEXT = "Договор. Вчера Иван видел Лондон."


def stores(services):
    return Stores(services.records, services.blobs, services.indexes, services.graph)


def forget(services, stream, key):
    with services.records.begin() as connection:
        assert tombstones.mark_for_erasure(connection, stream, [key], "forgotten", now=AFTER, until=None) == 1
        leaving = tombstones.pending_erasures(connection, 10)
    return erase_from_projections(stores(services), leaving, now=AFTER)


def test_bytes_stay_until_the_last_document_that_has_them_is_gone(services, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(TEXT, encoding="utf-8")
        ingest_files(services, [tmp_path / name], tenant=name)
    process_all(services)
    first, second = ((row["tenant_id"], row["source_key"]) for row in rows(services, schema.documents))
    (blob,) = {row["content_hash"] for row in rows(services, schema.inbox)}
    assert forget(services, "documents", first).blobs == []
    assert services.blobs.path_of(blob).exists()
    assert forget(services, "documents", second).blobs == [blob]
    assert not services.blobs.path_of(blob).exists()
    assert [rows(services, table) for table in (schema.documents, schema.inbox, schema.chunks, schema.vectors)] == [
        []
    ] * 4


def test_a_document_that_arrives_while_its_bytes_go_brings_them_again(embedded, tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text(TEXT, encoding="utf-8")
    putting = embedded.blobs.put

    def put_and_lose(source, *, max_bytes):
        blob = putting(source, max_bytes=max_bytes)
        monkeypatch.undo()
        embedded.blobs.remove(blob.sha256)
        return blob

    monkeypatch.setattr(embedded.blobs, "put", put_and_lose)
    ingest_files(embedded, [path])
    process_all(embedded)
    assert rows(embedded, schema.documents)[0]["status"] == "completed"


def test_documents_expire_where_a_tenant_says_so_damaged_ones_as_well(tmp_path):
    kept = TTLPolicy(None, {"brief": DAY_S})
    settings = migrated_settings(tmp_path / "home")
    settings = settings.replace(retention=settings.retention.replace(documents=kept))
    with Services(settings) as services:
        (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
        (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing of the kind")
        for tenant in ("brief", "t"):
            ingest_files(services, [tmp_path / "a.txt", tmp_path / "broken.pdf"], tenant=tenant)
        process_all(services, now=NOON)
        sweep = expire(stores(services), clock=lambda: AFTER)
        assert (sweep.tenants, sweep.counts["documents"]) == ({"brief": 2}, 2)
        assert {row["tenant_id"] for row in rows(services, schema.documents)} == {"t"}
        letters = {row["tenant_id"]: row["resolution_note"] for row in rows(services, schema.worker_dlq)}
        assert letters == {"brief": "the item expired", "t": None}


def test_pages_and_answers_that_others_use_stay(services):
    ingest_posts(services, [message(1, "Вчера Иван видел Лондон."), message(2, "Вчера Мария видела Байкал.")])
    process_all(services, now=NOON)
    pages = {"shared": (FIRST, SECOND), "own": (FIRST,), "faulty": (FIRST,)}
    with services.records.begin() as connection:
        for name, keys in pages.items():
            _link_page(connection, name, keys)
        about = {"tenant_id": "default", "provider": "p", "answer": {}, "written_at": NOON}
        store_results(connection, [{**about, "fingerprint": name} for name in ("shared", "own")])
        link_results(connection, [(FIRST, "shared"), (FIRST, "own"), (SECOND, "shared")])
    erased = forget(services, "posts", FIRST)
    assert (erased.counts["pages"], erased.counts["provider_results"]) == (2, 1)
    assert [row["url"] for row in rows(services, schema.pages)] == ["https://example.org/shared"]
    assert [row["fingerprint"] for row in rows(services, schema.provider_results)] == ["shared"]
    assert rows(services, schema.post_enrichment, schema.post_enrichment.c.post_id == FIRST[1]) == []
    assert forget(services, "posts", SECOND).counts["pages"] == 1
    assert rows(services, schema.pages) == rows(services, schema.provider_results) == []


def _link_page(connection, name, keys):
    """Let a page be as reading it leaves it, without any web."""
    url = f"https://example.org/{name}"
    part = None if name == "faulty" else f"part of {name}"
    place = dict(zip(("tenant_id", "url_hash"), PageKey.of_url("default", url), strict=True))
    connection.execute(insert(schema.pages), {**place, "url": url, "page_hash": part, "checked_at": NOON})
    for tenant_id, source_key in keys if part else ():
        chunk = {"tenant_id": tenant_id, "source_key": source_key, "part": part, "ordinal": 0, "start": 0, "end": 1}
        connection.execute(insert(schema.chunks), {**chunk, "text": name, "text_hash": name})
    for tenant_id, source_key in keys:
        told = {"tenant_id": tenant_id, "post_id": source_key, "kind": "crawl", "content_hash": "", "model": ""}
        mine = (schema.post_enrichment.c.post_id == source_key, schema.post_enrichment.c.kind == "crawl")
        value = connection.execute(schema.post_enrichment.select().where(*mine)).mappings().first()
        pages = [*(value["value"]["pages"] if value else ()), {"url": url, "part": part}]
        connection.execute(schema.post_enrichment.delete().where(*mine))
        told |= {"value": {"pages": pages}, "written_at": NOON}
        connection.execute(insert(schema.post_enrichment), told)


def test_what_a_restored_store_brings_back_leaves_once_more(embedded, tmp_path):
    ingest_posts(embedded, [message(1, "Вчера Иван видел Лондон.")])
    process_all(embedded, now=NOON)
    ingest_posts(embedded, [message(2, "Вчера Мария видела Байкал.")], now=AFTER)
    process_all(embedded, now=AFTER)
    home = embedded.settings.home
    for name in ("vectors", "graph"):
        shutil.copytree(home / name, tmp_path / name)
    assert expire(stores(embedded), clock=lambda: AFTER).items == 1
    before = contents(embedded)
    for name in ("vectors", "graph"):
        shutil.rmtree(home / name)
        shutil.copytree(tmp_path / name, home / name)
    for projected in (probe_vectors(embedded.indexes.serving()), probe_graph(embedded.graph)):
        assert rebuild(embedded.records, projected) > 0
    process_all(embedded)
    assert expire(stores(embedded), clock=lambda: AFTER).counts["points"] == 1
    found = contents(embedded)
    assert find_inconsistencies(found) == []
    assert differences(before, found) == []


def test_a_sweep_that_broke_off_is_gone_on_with_and_counts_each_item_once(embedded, monkeypatch):
    ingest_posts(embedded, [message(number, f"Вчера Иван видел {number} Лондон.") for number in range(1, 5)])
    process_all(embedded, now=NOON)
    let_write, turns = embedded.vectors.writing, iter("one")

    def failing():
        if next(turns) != "o":
            raise StoreUnavailable("The vectors cannot be reached.")
        return let_write()

    with monkeypatch.context() as broken:
        broken.setattr(embedded.vectors, "writing", failing)
        with pytest.raises(StoreUnavailable):
            expire(stores(embedded), batch_items=3, clock=lambda: AFTER)
    (checkpoint,) = rows(embedded, schema.checkpoints, schema.checkpoints.c.name == CHECKPOINT)
    assert checkpoint["value"]["tenants"] == {"default": 3}
    out_of_time = expire(stores(embedded), budget_s=0.0, clock=lambda: AFTER + DAY_S)
    assert (out_of_time.items, out_of_time.complete) == (3, False)
    last = expire(stores(embedded), clock=lambda: AFTER + DAY_S)
    assert (last.items, last.until, last.resumed, last.complete) == (4, AFTER, 1, True)
    assert rows(embedded, schema.checkpoints, schema.checkpoints.c.name == CHECKPOINT) == []
