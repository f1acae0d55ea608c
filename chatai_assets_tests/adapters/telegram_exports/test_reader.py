"""Files of posts, whole and broken."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatai_assets.adapters.telegram_exports.reader import (
    ExportFault,
    ExportFormat,
    ExportRecord,
    detect_export_format,
    read_export,
)
from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.telegram.formats import NotAPost, read_post

CHAT = {"id": -1001234567890, "type": "channel", "title": "Наука"}


def update(number: int) -> dict[str, Any]:
    return {"update_id": number, "channel_post": {"message_id": number, "chat": CHAT, "date": 1733302828, "text": "Да"}}


def row(number: int, text: str = "Да") -> dict[str, Any]:
    return {"message_id": number, "sender_id": -1001234567890, "text": text, "date": "2024-12-04T09:00:28+00:00"}


def desktop_message(number: int) -> dict[str, Any]:
    return {"id": number, "type": "message", "date_unixtime": "1733302828", "date": "2024-12-04T12:00:28", "text": "Да"}


def telethon_message(number: int) -> dict[str, Any]:
    return {"_": "Message", "id": number, "peer_id": {"channel_id": 1234567890}, "date": "2024-12-04", "message": "Да"}


RESULT = {
    "name": "Наука",
    "type": "public_channel",
    "id": 1234567890,
    "messages": [desktop_message(1), desktop_message(2)],
}
ACCOUNT = {
    "about": "…",
    "contacts": {"list": [{"first_name": "A"}]},
    "chats": {"about": "…", "list": [{"type": "saved_messages", "id": 5, "messages": [desktop_message(3)]}, RESULT]},
    "left_chats": {"list": [{**RESULT, "id": 7}]},
}
POSTS = ["tg/-1001234567890/1", "tg/-1001234567890/2"]
CSV_HEAD = "channel_id,channel_name,msg_id,message,date\n"
CSV_ROWS = '1234567890,Наука,1,"Да,\nнет",2024-12-04 09:00:28+00:00\n1234567890,Наука,2,,2024-12-04 09:00:28+00:00\n'


def written(path: Path, content: str | bytes | list[Any] | dict[str, Any], **how: Any) -> Path:
    if isinstance(content, (list, dict)):
        content = json.dumps(content, ensure_ascii=False, **how)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the source keys of all posts, and all faults."""
    keys, faults = [], []
    for item in read_export(path):
        if isinstance(item, ExportFault):
            faults.append((item.position, item.reason))
        else:
            stored = json.loads(json.dumps(item.raw, allow_nan=False, ensure_ascii=False).encode())
            keys.append(read_post(stored, item.record_format).source_key)
    return keys, faults


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize(
    ("content", "record_format", "container"),
    [
        pytest.param([update(1), update(2)], "bot_api", "json", id="updates"),
        pytest.param({"ok": True, "result": [update(1), update(2)]}, "bot_api", "jsonl", id="envelope in one line"),
        pytest.param(
            json.dumps({"ok": True, "result": [update(1), update(2)]}, indent=1), "bot_api", "json", id="envelope"
        ),
        pytest.param(lines(update(1), update(2)), "bot_api", "jsonl", id="updates in lines"),
        pytest.param(
            json.dumps(update(1), indent=1) + json.dumps(update(2)), "bot_api", "json", id="one after the other"
        ),
        pytest.param([update(1)["channel_post"], update(2)["channel_post"]], "bot_api", "json", id="bare messages"),
        pytest.param(RESULT, "desktop", "json", id="desktop"),
        pytest.param(json.dumps(RESULT, indent=1, sort_keys=True), "desktop", "json", id="desktop with sorted keys"),
        pytest.param(lines(telethon_message(1), telethon_message(2)), "telethon", "jsonl", id="telethon in lines"),
        pytest.param([telethon_message(1), telethon_message(2)], "telethon", "json", id="telethon"),
        pytest.param([row(1), row(2)], "channel_list", "json", id="channel list"),
        pytest.param(CSV_HEAD + CSV_ROWS, "csv", "csv", id="csv"),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without mark", "byte order mark"])
def test_every_format_of_export_is_detected_and_read(tmp_path, content, record_format, container, mark):
    path = written(tmp_path / "export", content)
    path.write_bytes(mark + path.read_bytes())
    assert detect_export_format(path) == ExportFormat(record_format, container)
    assert read(path) == (POSTS, [])


def test_a_single_update_is_an_export(tmp_path):
    assert read(written(tmp_path / "update.json", update(1), indent=2)) == (POSTS[:1], [])


@pytest.mark.parametrize("sort_keys", [False, True])
def test_every_message_of_an_account_has_its_chat(tmp_path, sort_keys):
    path = written(tmp_path / "result.json", ACCOUNT, indent=1, sort_keys=sort_keys)
    assert read(path) == (["tg/5/3", *POSTS, "tg/-1000000000007/1", "tg/-1000000000007/2"], [])


def test_a_desktop_record_can_be_read_again_by_itself(tmp_path):
    first, *_ = read_export(written(tmp_path / "result.json", RESULT))
    assert isinstance(first, ExportRecord)
    assert first.raw["chat"] == {"id": 1234567890, "name": "Наука", "type": "public_channel"}
    assert read_post(first.raw, "desktop").channel == "Наука"


def test_a_csv_may_be_separated_by_semicolons(tmp_path):
    path = written(tmp_path / "a.csv", "msg_id;channel_id;date;text\n1;1234567890;2024-12-04;Да\n")
    assert read(path) == (POSTS[:1], [])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00\x01\x02\xff", id="binary"),
        pytest.param(b"PK\x03\x04....", id="zip"),
        pytest.param("Просто текст, дата, date, text\n", id="text"),
        pytest.param("имя;возраст\nАня;5\n".encode("cp1251"), id="cp1251"),
        pytest.param("date,amount,message\n2024-01-01,5,hello\n", id="another csv"),
        pytest.param('{"name": "package", "version": "1"}', id="another object"),
        pytest.param('{"messages": [{"role": "user", "content": "hi", "id": 1}]}', id="chat of a model"),
        pytest.param('[{"id": 1, "name": "x"}]', id="another list"),
        pytest.param("[1] Иванов И. И. Статья", id="text with a bracket"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("[" * 500 + "]" * 500, id="lists in lists"),
        pytest.param(b'{"a": "\xff\xfe"}', id="no utf-8"),
        pytest.param('{"ok": true, "result": []}', id="empty envelope"),
    ],
)
def test_other_files_are_not_detected_as_exports(tmp_path, content):
    path = written(tmp_path / "file", content)
    assert detect_export_format(path) is None
    with pytest.raises(BadRecord):
        read_export(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet='{}[]",:0123456789 \n\\utrefalsn', max_size=300).map(str.encode))
def test_any_bytes_are_an_export_or_not(tmp_path, content):
    assert detect_export_format(written(tmp_path / "file", content)) is None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_export_yields_the_records_before_the_damage(tmp_path, data):
    whole = json.dumps([row(number) for number in range(1, 30)], ensure_ascii=False, indent=1).encode()
    at = data.draw(st.integers(2000, len(whole) - 1))
    path = written(tmp_path / "file", whole[:at] + data.draw(st.binary(max_size=20)))
    items = list(read_export(path))
    records = [item for item in items if isinstance(item, ExportRecord)]
    before = whole[:at].count(b"}")
    assert [record.raw for record in records[:before]] == [row(number) for number in range(1, before + 1)]
    assert len(items) - len(records) <= 1 or all(isinstance(item, ExportRecord) for item in items[:before])


def test_the_fault_of_a_broken_document_names_the_record(tmp_path):
    path = written(tmp_path / "a.json", lines([row(1), row(2)])[:-2] + ', {"message_id": 3, "te')
    assert read(path) == (POSTS, [(3, "the file cannot be read from this record on: the file ends in the middle")])


def test_a_byte_that_is_not_utf8_breaks_a_document_at_its_record(tmp_path):
    content = json.dumps([row(1), row(2), row(3, "XX")]).encode().replace(b"XX", b"\xff\xfe")
    keys, faults = read(written(tmp_path / "a.json", content))
    assert keys == POSTS
    assert [position for position, _ in faults] == [3]


def test_a_record_that_is_not_an_object_is_one_fault(tmp_path):
    path = written(tmp_path / "a.json", [row(1), 5, None, row(2)])
    assert read(path) == (POSTS, [(2, "the record is no object"), (3, "the record is no object")])


def test_a_bad_line_affects_no_other_line(tmp_path):
    good = [line.encode() for line in lines(update(1), update(2)).splitlines()]
    bad = [b'{"update_id": ', b"\xff{}", b"5", b"", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
    keys, faults = read(written(tmp_path / "a.jsonl", b"\n".join([good[0], *bad, good[1]])))
    assert keys == POSTS
    assert [position for position, _ in faults] == [2, 3, 4, 6, 7]


def test_a_bad_row_affects_no_other_row(tmp_path):
    head, rows = (CSV_HEAD.encode(), CSV_ROWS.encode().splitlines(keepends=True))
    bad = b"1,2\n\n1234567890,\xcd,3,\xe4\xe0,2024-12-04\n"
    keys, faults = read(written(tmp_path / "a.csv", head + rows[0] + rows[1] + bad + rows[2]))
    assert keys == POSTS
    assert faults == [(2, "the row has 2 columns, the header has 5"), (3, "the row is not UTF-8")]


def test_an_endless_field_is_a_fault(tmp_path):
    endless = '1234567890,n,1,"' + "x" * (1 << 20) + "yy\n"
    keys, faults = read(written(tmp_path / "a.csv", CSV_HEAD + endless + CSV_ROWS))
    assert keys[-1:] == POSTS[1:]
    assert faults


def test_an_endless_line_is_a_fault(tmp_path):
    path = written(tmp_path / "a.jsonl", lines(update(1)) + '{"a": "' + "x" * (1 << 24) + '"}\n' + lines(update(2)))
    assert read(path) == (POSTS, [(2, "the line is too long")])


def test_raw_records_hold_only_what_can_be_stored(tmp_path):
    odd = (
        '[{"message_id": 1, "sender_id": -1001234567890, "date": 1733302828, "text": "a\\ud83d\\u0000\\ud83d\\ude01", '
    )
    odd += '"views": NaN, "big": 1e999, "id": 123456789012345678901234567890}]'
    (item,) = read_export(written(tmp_path / "a.json", odd))
    assert isinstance(item, ExportRecord)
    assert item.raw["text"] == "a\ufffd\x00😁"
    assert (item.raw["views"], item.raw["big"]) == (None, None)
    assert item.raw["id"] == 123456789012345678901234567890
    assert read_post(item.raw, item.record_format).text == "a\ufffd😁"


def test_a_large_export_is_read_across_many_chunks(tmp_path):
    records = [row(number, "слово " * (number % 97)) for number in range(1, 3001)]
    keys, faults = read(written(tmp_path / "a.json", records))
    assert (len(keys), faults) == (3000, [])


CORPUS = Path(os.environ.get("CHATAI_CORPUS", "/nonexistent")) / "posts"
EXPECTED = {
    "botapi_rubenlagus_ResponseWithoutError.json": (1, 0),
    "botapi_rubenlagus_Update.json": (1, 0),
    "botapi_teloxide_update.json": (5, 8),
    "en_insiderpaper.csv": (2000, 0),
    "en_jns_news.csv": (400, 0),
    "ru_1001000724666_messages.json": (965, 0),
    "ru_1001003921752_messages.json": (902, 0),
    "ru_1001032086354_messages.json": (944, 0),
    "ru_1001039626561_messages.json": (715, 0),
    "ru_1001101170442_messages.json": (1000, 0),
    "ru_1001138587070_messages.json": (737, 0),
    "ru_1001326203371_messages.json": (997, 0),
    "ru_1001394050290_messages.json": (999, 0),
    "telethon_bloomberg.jsonl": (3, 0),
}


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="CHATAI_CORPUS names no folder with posts")
@pytest.mark.parametrize("name", EXPECTED)
def test_every_post_of_the_corpus_is_read(name):
    counts: Counter[str] = Counter()
    keys = set()
    for item in read_export(CORPUS / name):
        if isinstance(item, ExportFault):
            counts["faults"] += 1
            continue
        try:
            post = read_post(item.raw, item.record_format)
        except NotAPost:
            counts["skipped"] += 1
            continue
        counts["posts"] += 1
        keys.add(post.source_key)
        assert "](http" not in post.text
        assert all(link.isprintable() and "://" in link for link in post.links)
    assert (counts["posts"], counts["skipped"], counts["faults"]) == (*EXPECTED[name], 0)
    assert len(keys) == counts["posts"]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="CHATAI_CORPUS names no folder with posts")
@pytest.mark.parametrize("folder", ["documents", "hostile", "web", "retrieval"])
def test_no_document_of_the_corpus_is_detected_as_an_export(folder):
    files = [path for path in (CORPUS.parent / folder).rglob("*") if path.is_file()]
    assert [path.name for path in files if detect_export_format(path)] == []
