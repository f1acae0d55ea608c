"""Links of posts -> pages, stored by URL, and chunks of their text that belong to the post.

Search finds the text of a page as its post's; a page that cannot be read leaves its post as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chatai_assets.adapters.crawler.base import PageReader
from chatai_assets.domain.errors import ChatAIError, Deferred, PageUnavailable
from chatai_assets.domain.failure_policy import next_attempt
from chatai_assets.domain.ids import ItemKey, canonical_json, digest
from chatai_assets.domain.stages import STAGES
from chatai_assets.domain.text.chunking import chunk_text
from chatai_assets.domain.web_pages import TRANSIENT, WebLink, WebPage, page_links
from chatai_assets.pipeline.engine import BatchResult, StageReport, StageRunConfig, run_batches
from chatai_assets.pipeline.stage_services import StageServices
from chatai_assets.storage import items as content
from chatai_assets.storage import web_pages as pages
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.enrichment import EnrichmentRow
from chatai_assets.storage.items import ChunkWithText, ClaimedItem
from chatai_assets.storage.web_pages import LinkedPage, LinkedPages, PageChunk, PageKey, PageRow

SPEC = STAGES["crawl"]
PAGES_PER_POST = 3
BATCH_ITEMS = 200
"""Posts of one transaction: their pages are read at a time, in about a minute at most."""
FRESH_S = 6 * 3_600.0
"""For how long a page that was read is not asked for again."""
PATIENCE_S = 24 * 3_600.0
"""Seconds from its arrival after which a post does not wait for pages that their site's throttle holds back."""
LATER_S = 60.0


def run(config: StageRunConfig, services: StageServices) -> StageReport:
    """Read the pages to which the posts of an hour link; where pages are not to be read, no post waits for them."""
    records, reader = services.records, services.pages
    with records.begin() as connection:
        if reader is None:
            pages.discard_crawl(connection, config.hour)
            return StageReport("crawl", config.stream, config.hour)
        pages.enqueue_crawl(connection, config.hour, now=config.clock())
    handler = CrawlHandler(config, records, reader)
    return run_batches(config, records, handler, batch_items=min(BATCH_ITEMS, config.batch_items))


class LinkingPost(ClaimedItem):
    """What is read of a post to read its pages."""

    links: list[str] | None
    received_at: float


@dataclass(frozen=True, slots=True)
class _Post:
    key: ItemKey
    urls: tuple[str, ...]
    attempts: int
    received_at: float

    @property
    def places(self) -> list[PageKey]:
        return [PageKey.of_url(self.key.tenant_id, url) for url in self.urls]


class CrawlHandler:
    """Handler of the stage ``crawl``."""

    spec = SPEC
    fingerprint = SPEC.fingerprint()

    def __init__(self, config: StageRunConfig, records: Records, reader: PageReader) -> None:
        self.config = config
        self.records = records
        self.reader = reader

    def on_permanent_failure(self, connection: Transaction, failures: Mapping[ItemKey, ChatAIError]) -> None:
        """Nothing: a post is what it is without its pages."""

    def process_batch(self, owner: str) -> BatchResult:
        with self.records.reading() as connection:
            items = content.claimed_items(connection, "posts", owner, LinkingPost)
            attempts = {ItemKey.of(row): row["attempts"] for row in content.claimed_work(connection, owner)}
            wanted = [_post(item, attempts) for item in items if ItemKey.of(item) in attempts]
            stored = pages.find_pages(connection, {place for post in wanted for place in post.places})
            had = _contents(pages.page_chunks(connection, owner))
            crawled = pages.pages_of_owner(connection, owner)
        asked, read = self._read(wanted, stored)
        now = {**stored, **read}
        result = BatchResult(write=lambda _connection, _keys: None)
        for post in wanted:
            fault = self._must_wait(post, now)
            if fault:
                result.failures[post.key] = fault
        finished = [post for post in wanted if post.key not in result.failures]
        self._complete(result, finished, now, read, had, crawled)
        result.counts.update(links_asked=asked)
        return result

    def _read(self, wanted: Sequence[_Post], stored: Mapping[PageKey, PageRow]) -> tuple[int, dict[PageKey, PageRow]]:
        """Read the pages that are not fresh; return how many they were, and the rows that changed."""
        moment = self.config.clock()
        stale = {
            place: _link(url, stored.get(place))
            for post in wanted
            for place, url in zip(post.places, post.urls, strict=True)
            if not _is_fresh(stored.get(place), moment)
        }
        answers = zip(stale, self.reader.read(list(stale.values())), strict=True) if stale else ()
        rows = {place: _page_row(place, page, stored.get(place), moment) for place, page in answers}
        return len(stale), {place: row for place, row in rows.items() if row is not None}

    def _must_wait(self, post: _Post, known: Mapping[PageKey, PageRow]) -> ChatAIError | None:
        """Return why a post is to be tried again: a page of it may still come."""
        faults = {known[place]["fault"] for place in post.places}
        if "not_asked" in faults and self.config.clock() - post.received_at < PATIENCE_S:
            return Deferred("A linked page waits for its site's turn.", LATER_S)
        unavailable = PageUnavailable("A linked page cannot be had now.")
        if faults & TRANSIENT and next_attempt(unavailable, post.attempts + 1, self.config.max_attempts):
            return unavailable
        return None

    def _complete(
        self,
        result: BatchResult,
        finished: Sequence[_Post],
        known: Mapping[PageKey, PageRow],
        read: Mapping[PageKey, PageRow],
        had: Mapping[ItemKey, set[tuple[str, int, str]]],
        crawled: Mapping[ItemKey, LinkedPages],
    ) -> None:
        chunks = {post.key: _chunk_rows(post, known) for post in finished}
        changed = {key for key, rows in chunks.items() if _contents(rows).get(key, set()) != had.get(key, set())}
        values: dict[ItemKey, LinkedPages] = {
            post.key: {"pages": [_linked_page(url, known[at]) for url, at in _places(post)]} for post in finished
        }
        news = {key: value for key, value in values.items() if value != crawled.get(key)}

        def write(connection: Transaction, held: set[ItemKey]) -> None:
            # Pages belong to their URLs: what was fetched is stored even if the post was taken away.
            pages.store_pages(connection, list(read.values()))
            mine = changed & held
            pages.replace_page_chunks(connection, mine, [row for key in mine for row in chunks[key]])
            pages.write_crawl(connection, [self._row(key, value) for key, value in news.items() if key in held])

        result.write = write
        # The index is opened again by embedding: before that, it would not find the vectors of the new chunks.
        result.requeue = {"embed": sorted(changed)}
        result.unchanged = len(finished) - len(changed | news.keys())
        result.counts = Counter(pages_read=sum(row["fault"] is None for row in read.values()))
        result.counts.update(f"pages_{row['fault']}" for row in read.values() if row["fault"])
        result.preview = [
            {"source": post.key.source_key, "links": len(post.urls), "page_chunks": len(chunks[post.key])}
            for post in finished[:10]
        ]

    def _row(self, key: ItemKey, value: LinkedPages) -> EnrichmentRow:
        return {
            "tenant_id": key.tenant_id,
            "post_id": key.source_key,
            "content_hash": digest(canonical_json(value)),
            "value": value,
            "model": "",
            "written_at": self.config.clock(),
        }


def _post(item: LinkingPost, attempts: Mapping[ItemKey, int]) -> _Post:
    urls = page_links(item["links"] or (), PAGES_PER_POST) if item["has_text"] else ()
    return _Post(ItemKey.of(item), urls, attempts[ItemKey.of(item)], item["received_at"])


def _is_fresh(stored: PageRow | None, now: float) -> bool:
    return stored is not None and stored["fault"] not in TRANSIENT and now - stored["checked_at"] < FRESH_S


def _link(url: str, stored: PageRow | None) -> WebLink:
    return WebLink(url, stored["etag"], stored["modified"]) if stored is not None and stored["text"] else WebLink(url)


def _page_row(place: PageKey, page: WebPage, stored: PageRow | None, now: float) -> PageRow | None:
    """Return the row of a page; None if the stored one is better."""
    if page.error_code in TRANSIENT and stored is not None and stored["text"]:
        return None
    if page.unchanged and stored is not None:
        return {**stored, "checked_at": now}
    return {
        "tenant_id": place.tenant_id,
        "url_hash": place.url_hash,
        "url": page.url,
        "fault": page.error_code,
        "page_hash": digest(page.text)[:32] if page.text else None,
        "title": page.title,
        "text": page.text or None,
        "etag": page.etag,
        "modified": page.modified,
        "checked_at": now,
    }


def _chunk_rows(post: _Post, known: Mapping[PageKey, PageRow]) -> list[ChunkWithText]:
    """Return the chunks of a post's pages; two links to the same text are one part."""
    pages_of_post = (known[place] for place in post.places)
    texts = {page["page_hash"]: page["text"] for page in pages_of_post if page["page_hash"] and page["text"]}
    return [
        {
            "tenant_id": post.key.tenant_id,
            "source_key": post.key.source_key,
            "part": part,
            "ordinal": chunk.ordinal,
            "text": chunk.text,
            "start": chunk.start,
            "end": chunk.end,
            "page": None,
            "text_hash": digest(chunk.text)[:32],
        }
        for part, text in texts.items()
        for chunk in chunk_text(text)
    ]


def _linked_page(url: str, page: PageRow) -> LinkedPage:
    """Return what is stored of a page with its post."""
    return {"url": url, "part": page["page_hash"], "title": page["title"], "fault": page["fault"]}


def _places(post: _Post) -> Iterable[tuple[str, PageKey]]:
    return zip(post.urls, post.places, strict=True)


def _contents(rows: Iterable[ChunkWithText] | Iterable[PageChunk]) -> dict[ItemKey, set[tuple[str, int, str]]]:
    found: dict[ItemKey, set[tuple[str, int, str]]] = {}
    for row in rows:
        found.setdefault(ItemKey.of(row), set()).add((row["part"], row["ordinal"], row["text_hash"]))
    return found
