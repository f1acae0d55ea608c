import pytest

from chatai_assets.domain.telegram.deletions import deleted_post_keys

BUSINESS = {"update_id": 1, "deleted_business_messages": {"chat": {"id": 77}, "message_ids": [5, 6]}}
CHANNEL = {"_": "UpdateDeleteChannelMessages", "channel_id": 1234567890, "messages": [7], "pts": 1, "pts_count": 1}


def test_deletions_name_the_deleted_posts():
    assert deleted_post_keys(BUSINESS, "bot_api") == ("tg/77/5", "tg/77/6")
    assert deleted_post_keys(CHANNEL, "telethon") == ("tg/-1001234567890/7",)


@pytest.mark.parametrize(
    "record",
    [
        {"update_id": 1, "channel_post": {"message_id": 1}},
        {"update_id": 1, "deleted_business_messages": {"chat": {}, "message_ids": [5]}},
        {"update_id": 1, "deleted_business_messages": {"chat": {"id": 77}, "message_ids": "all"}},
        {
            "update_id": 1,
            "deleted_business_messages": {"chat": {"id": 7}, "message_ids": [0, -1, "five", None]},
        },
        {"_": "UpdateDeleteMessages", "messages": [7]},
        CHANNEL,
    ],
)
def test_a_record_without_post_ids_deletes_nothing(record):
    assert deleted_post_keys(record, "bot_api") == ()
