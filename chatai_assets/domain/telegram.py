"""Raw Telegram update or export row -> Post."""

from __future__ import annotations

from dataclasses import dataclass

from chatai_assets.domain.keys import canonical_json, digest, post_key


@dataclass(frozen=True, slots=True)
class Post:
    """A message of a channel or chat, whichever door it came through.

    Attributes:
        chat_id: as the Bot API writes it: ``-100...`` for channels and supergroups.
        channel: the title of the chat.
        username: public name without ``@``; None for private chats.
        text: plain text, normalised (NFC, ``\\n`` line ends, no control characters, trimmed); may be empty.
        links: absolute http(s) URLs in the order of the text, each once.
        published_at: epoch seconds, UTC.
        edited_at: epoch seconds of the last edit; None if never edited.
        url: ``https://t.me/...`` where the chat has a public name or is a channel.
        forwarded_from: title of where it was forwarded from.
        album_id: the same for all messages of one album.
        media_kind: ``photo video document audio voice sticker poll ...``; None for text alone.
    """

    chat_id: int
    message_id: int
    channel: str
    text: str
    published_at: int
    username: str | None = None
    links: tuple[str, ...] = ()
    edited_at: int | None = None
    url: str | None = None
    forwarded_from: str | None = None
    album_id: str | None = None
    media_kind: str | None = None

    @property
    def source_key(self) -> str:
        """``tg/<chat id>/<message id>``."""
        return post_key(self.chat_id, self.message_id)

    @property
    def revised_at(self) -> int:
        """Epoch seconds by which revisions of this post are ordered."""
        return self.edited_at or self.published_at

    @property
    def content_hash(self) -> str:
        """What a reader would call the content: two revisions with the same hash are the same."""
        return digest(self.text, canonical_json(list(self.links)))
