"""A point carries the same fields, whichever stream it belongs to."""

from chatai_assets.pipeline.projections import points
from chatai_assets.pipeline.projections.points import IndexedItem
from chatai_assets_tests.support.pipeline import ingest_files, ingest_posts, message, process_all

TEXT = "Вчера Иван видел Лондон рядом, и поезд прыбыл."


class WithUsername(IndexedItem):
    username: str | None


def test_a_field_that_documents_lack_is_empty_and_stops_nothing(services, tmp_path, monkeypatch):
    usual = points._about  # noqa: SLF001 - a field is added where the next one would be
    monkeypatch.setattr(points, "IndexedItem", WithUsername)
    monkeypatch.setattr(
        points, "_about", lambda stream, item, tags: {**usual(stream, item, tags), "username": item["username"]}
    )
    file = tmp_path / "a.txt"
    file.write_text(TEXT, encoding="utf-8")
    ingest_posts(services, [message(1, TEXT)])
    ingest_files(services, [file])
    process_all(services)
    payloads = {payload["kind"]: payload for _, payload in services.vectors.points()}
    assert payloads["post"].keys() == payloads["document"].keys()
    assert payloads["post"]["username"]
    assert payloads["document"]["username"] is None
