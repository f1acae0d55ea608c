"""One post in five formats."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.domain.errors import BadRecord
from chatai_assets.domain.telegram.formats import RECORD_FORMATS, NotAPost, Post, RecordFormat, read_post

CHANNEL = {"id": -1001234567890, "type": "channel", "title": "Наука", "username": "nauka"}
DESKTOP_CHANNEL = {"id": 1234567890, "type": "public_channel", "name": "Наука"}
PUBLISHED = 1733302828  # 2024-12-04T09:00:28Z


def message(**fields: Any) -> dict[str, Any]:
    return {"message_id": 57, "chat": CHANNEL, "date": PUBLISHED, "text": "Слова", **fields}


def desktop_message(**fields: Any) -> dict[str, Any]:
    stamp = {"date": "2024-12-04T12:00:28", "date_unixtime": str(PUBLISHED)}
    return {"id": 57, "type": "message", "text": "Слова", "chat": DESKTOP_CHANNEL, **stamp, **fields}


def telethon_message(**fields: Any) -> dict[str, Any]:
    peer = {"_": "PeerChannel", "channel_id": 1234567890}
    return {"_": "Message", "id": 57, "peer_id": peer, "date": "2024-12-04 09:00:28", "message": "Слова", **fields}


def row(**fields: Any) -> dict[str, Any]:
    when = "2024-12-04T09:00:28+00:00"
    return {"message_id": 57, "sender_id": -1001234567890, "text": "Слова", "date": when, "channel": "Наука", **fields}


def csv_row(**fields: str) -> dict[str, Any]:
    when = "2024-12-04 09:00:28+00:00"
    ids = {"channel_id": "1234567890", "msg_id": "57", "msg_link": "https://t.me/nauka/57"}
    return {**ids, "channel_name": "Наука", "cleaned_message": "Слова", "date": when, **fields}


# "🚀 **Старт**: подробнее https://a.ru/x", where «подробнее» leads to https://b.ru/y
TEXT = "🚀 Старт: подробнее https://a.ru/x"
SAME_POST: dict[RecordFormat, dict[str, Any]] = {
    "bot_api": {
        "update_id": 1,
        "channel_post": message(
            text=TEXT,
            entities=[
                {"type": "bold", "offset": 3, "length": 5},
                {"type": "text_link", "offset": 10, "length": 9, "url": "https://b.ru/y"},
                {"type": "url", "offset": 20, "length": 14},
            ],
        ),
    },
    "desktop": desktop_message(
        text=["🚀 ", {"type": "bold", "text": "Старт"}, ": ..."],
        text_entities=[
            {"type": "plain", "text": "🚀 "},
            {"type": "bold", "text": "Старт"},
            {"type": "plain", "text": ": "},
            {"type": "text_link", "text": "подробнее", "href": "https://b.ru/y"},
            {"type": "plain", "text": " "},
            {"type": "link", "text": "https://a.ru/x"},
        ],
    ),
    "telethon": telethon_message(
        message=TEXT,
        entities=[
            {"_": "MessageEntityTextUrl", "offset": 10, "length": 9, "url": "https://b.ru/y"},
            {"_": "MessageEntityUrl", "offset": 20, "length": 14},
        ],
    ),
    "channel_list": row(text="🚀 **Старт**: [подробнее](https://b.ru/y) https://a.ru/x"),
    "csv": csv_row(message=TEXT),
}


@pytest.mark.parametrize("record_format", RECORD_FORMATS)
def test_a_post_is_the_same_in_every_format(record_format: RecordFormat):
    post = read_post(SAME_POST[record_format], record_format)
    assert post.source_key == "tg/-1001234567890/57"
    assert (post.text, post.published_at, post.edited_at) == (TEXT, PUBLISHED, None)
    if record_format != "csv":  # which has no links behind words
        assert post.links == ("https://b.ru/y", "https://a.ru/x")
        assert post.content_hash == read_post(SAME_POST["bot_api"], "bot_api").content_hash


@pytest.mark.parametrize("kind", ["message", "edited_message", "channel_post", "edited_channel_post"])
def test_every_kind_of_update_with_a_message_is_a_post(kind):
    update = {"update_id": 1, kind: message(edit_date=PUBLISHED + 5)}
    assert read_post(update, "bot_api") == Post(
        chat_id=-1001234567890,
        message_id=57,
        channel="Наука",
        text="Слова",
        published_at=PUBLISHED,
        username="nauka",
        edited_at=PUBLISHED + 5,
        url="https://t.me/nauka/57",
    )


def test_an_invalid_public_name_gives_no_url():
    post = read_post(message(chat={**CHANNEL, "username": "x/../y?"}), "bot_api")
    assert (post.username, post.url) == (None, "https://t.me/c/1234567890/57")


def test_a_bare_message_is_a_post():
    assert read_post(message(), "bot_api") == read_post({"update_id": 1, "message": message()}, "bot_api")


def test_a_caption_is_the_text_of_a_photo_in_an_album():
    caption = {"caption": "Подпись t.me/x", "caption_entities": [{"type": "url", "offset": 8, "length": 6}]}
    raw = message(text=None, photo=[{"file_id": "a"}], media_group_id="139", **caption)
    post = read_post(raw, "bot_api")
    assert (post.text, post.album_id, post.media_kind) == ("Подпись t.me/x", "139", "photo")
    assert post.links == ("http://t.me/x",)


@pytest.mark.parametrize(
    ("forward", "title"),
    [
        pytest.param({"forward_from_chat": {"title": "Источник"}}, "Источник", id="old channel"),
        pytest.param({"forward_from": {"first_name": "Ann", "last_name": "Lee"}}, "Ann Lee", id="old user"),
        pytest.param({"forward_sender_name": "Hidden"}, "Hidden", id="old hidden"),
        pytest.param({"forward_origin": {"type": "channel", "chat": {"title": "Источник"}}}, "Источник", id="channel"),
        pytest.param({"forward_origin": {"type": "chat", "sender_chat": {"title": "Чат"}}}, "Чат", id="chat"),
        pytest.param({"forward_origin": {"type": "user", "sender_user": {"first_name": "Ann"}}}, "Ann", id="user"),
        pytest.param({"forward_origin": {"type": "hidden_user", "sender_user_name": "H"}}, "H", id="hidden"),
        pytest.param({}, None, id="none"),
    ],
)
def test_a_forward_names_its_origin(forward, title):
    assert read_post(message(**forward), "bot_api").forwarded_from == title


@pytest.mark.parametrize(
    ("raw", "record_format"),
    [
        pytest.param({"update_id": 1, "message_reaction": {"message_id": 3}}, "bot_api", id="reaction"),
        pytest.param(message(text=None, pinned_message=message()), "bot_api", id="pin"),
        pytest.param(message(date=0), "bot_api", id="inaccessible"),
        pytest.param(desktop_message(type="service", action="pin_message"), "desktop", id="desktop service"),
        pytest.param(telethon_message(_="MessageService"), "telethon", id="telethon service"),
    ],
)
def test_records_that_are_not_posts_are_skipped_with_a_reason(raw, record_format):
    with pytest.raises(NotAPost) as left_out:
        read_post(raw, record_format)
    assert left_out.value.reason


@pytest.mark.parametrize(
    ("record_format", "raw", "lacking"),
    [
        pytest.param("bot_api", message(chat={}), "chat id", id="no chat"),
        pytest.param("bot_api", message(message_id=True), "message id", id="no id"),
        pytest.param("bot_api", message(date="yesterday"), "date", id="no date"),
        pytest.param("bot_api", {"update_id": 1, "message": "text"}, "message is no object", id="no object"),
        pytest.param("desktop", desktop_message(chat=None), "chat id", id="desktop"),
        pytest.param("telethon", telethon_message(peer_id=None), "chat id", id="telethon"),
        pytest.param("channel_list", row(sender_id=12345), "chat id", id="a person sent it"),
        pytest.param("csv", csv_row(date=""), "date", id="csv"),
        pytest.param("csv", csv_row(msg_id="9" * 30), "message id", id="too large"),
    ],
)
def test_a_post_without_id_chat_or_date_is_a_bad_record(record_format, raw, lacking):
    with pytest.raises(BadRecord, match=lacking):
        read_post(raw, record_format)


@pytest.mark.parametrize(
    ("chat_type", "bare", "chat_id"),
    [
        ("public_channel", 3204528972, -1003204528972),
        ("private_supergroup", 724666, -1000000724666),
        ("private_group", 4321, -4321),
        ("personal_chat", 4321, 4321),
    ],
)
def test_a_desktop_export_writes_ids_without_prefix(chat_type, bare, chat_id):
    assert read_post(desktop_message(chat={"id": bare, "type": chat_type}), "desktop").chat_id == chat_id


@pytest.mark.parametrize(
    ("peer", "chat_id", "url"),
    [
        ({"_": "PeerChannel", "channel_id": 1488156064}, -1001488156064, "https://t.me/c/1488156064/57"),
        ({"_": "PeerChat", "chat_id": 77}, -77, None),
        ({"_": "PeerUser", "user_id": 77}, 77, None),
    ],
)
def test_telethon_writes_ids_without_prefix(peer, chat_id, url):
    post = read_post(telethon_message(peer_id=peer), "telethon")
    assert (post.chat_id, post.url) == (chat_id, url)


def test_old_desktop_exports_have_only_a_mixed_text():
    mixed = [
        "Смотри ",
        {"type": "link", "text": "t.me/x"},
        " и ",
        {"type": "text_link", "text": "y", "href": "https://y.ru"},
    ]
    post = read_post(desktop_message(text=mixed, date_unixtime=None), "desktop")
    assert post.text == "Смотри t.me/x и y"
    assert post.links == ("http://t.me/x", "https://y.ru")
    assert post.published_at == PUBLISHED + 3 * 3600  # a local time without a zone counts as UTC


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        ({"photo": "(File not included.)"}, "photo"),
        ({"file": "a", "media_type": "video_message"}, "video_note"),
        ({"file": "a", "media_type": "sticker"}, "sticker"),
        ({"file": "a.pdf", "mime_type": "application/pdf"}, "document"),
        ({"poll": {"question": "?"}}, "poll"),
        ({}, None),
    ],
)
def test_desktop_media_have_a_kind(media, kind):
    assert read_post(desktop_message(**media), "desktop").media_kind == kind


def telethon_document(*attributes: dict[str, Any]) -> dict[str, Any]:
    return {"_": "MessageMediaDocument", "document": {"_": "Document", "attributes": list(attributes)}}


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        ({"_": "MessageMediaPhoto"}, "photo"),
        ({"_": "MessageMediaWebPage"}, None),
        (telethon_document(), "document"),
        (telethon_document({"_": "DocumentAttributeVideo"}), "video"),
        (telethon_document({"_": "DocumentAttributeVideo", "round_message": True}), "video_note"),
        (telethon_document({"_": "DocumentAttributeAudio", "voice": True}), "voice"),
        (telethon_document({"_": "DocumentAttributeVideo"}, {"_": "DocumentAttributeAnimated"}), "animation"),
    ],
)
def test_telethon_media_have_a_kind(media, kind):
    assert read_post(telethon_message(media=media), "telethon").media_kind == kind


def test_telethon_has_edits_albums_and_origins():
    forward = {"from_id": {"_": "PeerChannel", "channel_id": 5}, "from_name": None}
    raw = telethon_message(edit_date="2024-12-04T10:00:28+01:00", grouped_id=139, fwd_from=forward)
    post = read_post(raw, "telethon")
    assert (post.edited_at, post.album_id, post.forwarded_from) == (PUBLISHED, "139", "-1000000000005")


def test_a_csv_row_prefers_the_message_over_its_cleaned_form():
    post = read_post(csv_row(message="Слова\nв строках", url="https://c.ru", channel_id="1234567890.0"), "csv")
    assert (post.text, post.links, post.username) == ("Слова\nв строках", ("https://c.ru",), "nauka")
    assert post.source_key == "tg/-1001234567890/57"


def test_offsets_count_utf16_units_and_may_be_wrong():
    text = "🚀🚀 тут"
    entities: list[Any] = [
        {"type": "text_link", "offset": 5, "length": 3, "url": "https://a.ru"},
        {"type": "text_link", "offset": 0, "length": 2, "url": "https://b.ru"},
        {"type": "text_link", "offset": 50, "length": 2, "url": "https://far.ru"},
        {"type": "text_link", "offset": -1, "length": 2, "url": "https://before.ru"},
        {"type": "text_link", "offset": 0, "length": 4, "url": "tg://user?id=1"},
        {"type": "text_link", "offset": "x", "length": None, "url": 5},
        None,
    ]
    assert read_post(message(text=text, entities=entities), "bot_api").links == ("https://b.ru", "https://a.ru")


KEYS = st.sampled_from(
    [
        *("update_id", "message", "channel_post", "message_id", "chat", "date", "text", "caption", "entities", "type"),
        *("offset", "length", "url", "href", "id", "_", "peer_id", "channel_id", "chat_id", "user_id", "grouped_id"),
        *("edit_date", "fwd_from", "from_id", "media", "document", "attributes", "forward_origin", "media_group_id"),
        *("sender_id", "channel", "msg_id", "cleaned_message", "msg_link", "date_unixtime", "text_entities", "action"),
        *("title", "username", "name", "media_type", "document_type", "is_forward", "forwarded_from", "photo"),
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(1, 2_000_000_000),
    st.floats(),
    st.text(alphabet=st.characters(exclude_categories=())),
    st.text(alphabet="[]()*_~`https://a.ru ", max_size=60),
    st.sampled_from(["message", "Message", "url", "text_link", "link", "public_channel", "2024-12-04", "9" * 5000]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))
DOORS = {
    "bot_api": message,
    "desktop": desktop_message,
    "telethon": telethon_message,
    "channel_list": row,
    "csv": csv_row,
}


@pytest.mark.parametrize("record_format", RECORD_FORMATS)
@given(changes=st.dictionaries(KEYS, VALUES, max_size=12), whole=st.booleans())
def test_any_json_is_a_post_or_none_or_a_bad_record(record_format, changes, whole):
    raw = {**DOORS[record_format](), **changes} if whole else changes
    post, refusal = outcome(raw, record_format)
    if post is None:
        assert set(refusal) <= set(string.ascii_letters + " ")
        return
    json.dumps([post.text, post.channel, post.links, post.url], ensure_ascii=False).encode()
    assert post.content_hash
    assert post.revised_at > 0


def outcome(raw: dict[str, Any], record_format: RecordFormat) -> tuple[Post | None, str]:
    try:
        return read_post(raw, record_format), ""
    except (NotAPost, BadRecord) as refused:
        return None, str(refused)
