"""What must be in all stores after some arrivals: computed from the texts alone, by pure functions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.adapters.models.fake import CapitalisedExtractor, FirstWordsTagger
from chatai_assets.domain.graph.subgraph import Channel, Facts, build_subgraph
from chatai_assets.domain.ids import hour_of, point_id, post_key
from chatai_assets.domain.text.chunking import BODY, chunk_text
from chatai_assets_tests.support.pipeline import CHAT

TENANTS = ("north", "south")
POISON = "Отрава"
"""A word that the tagger of the state machine refuses while its switch is on."""
TEXTS = (
    "Вчера поезд прибыл в город Казань.",
    "Сегодня доктор Мария и город Москва видят реку Волга.",
    "",
    f"{POISON} стоит в углу, где жил кот Василий и город Пермь.",
    "Длинный\n" + " ".join(["Там стоит город Уфа снова."] * 130),
)


@dataclass
class Item:
    """What is known of one post.

    Attributes:
        text: of the latest revision.
        date: by which it is known.
        hour: in which it arrived.
        seen: revisions that arrived, as (date, text).
    """

    text: str | None = None
    date: int = 0
    hour: str = ""
    seen: set[tuple[int, str]] = field(default_factory=set)


@dataclass
class Model:
    """All posts, by tenant and source key."""

    items: defaultdict[tuple[str, str], Item] = field(default_factory=lambda: defaultdict(Item))
    newest_hour: str = ""

    def arrive(self, tenant: str, number: int, text: str, date: int, now: float) -> None:
        """Record the arrival of a revision: the latest, a late one, a duplicate, or one without text."""
        self.newest_hour = max(self.newest_hour, hour_of(now))
        item = self.items[tenant, post_key(CHAT, number)]
        if (item.text is None and not text) or (date, text) in item.seen:
            return
        if text == item.text:
            item.seen.add((date, text))
            item.date = max(item.date, date)
        else:
            item.seen.add((date, text))
            if item.text is None or date >= item.date:
                item.text, item.date, item.hour = text, date, self.newest_hour

    @property
    def known(self) -> dict[tuple[str, str], Item]:
        """The ingested posts."""
        return {key: item for key, item in self.items.items() if item.text is not None}


@cache
def expected_tags(text: str) -> tuple[str, ...]:
    """Return the tags of a text."""
    return tuple(FirstWordsTagger().tag([ModelInput("", text)])[0]) if text else ()


@cache
def expected_chunks(text: str) -> tuple[str, ...]:
    """Return the chunks of a text."""
    return tuple(chunk.text for chunk in chunk_text(text)) if text else ()


def expected_points(key: tuple[str, str], text: str) -> frozenset[str]:
    """Return the ids of the points of a post."""
    return frozenset(str(point_id(*key, BODY, ordinal)) for ordinal in range(len(expected_chunks(text))))


@cache
def expected_parts(key: tuple[str, str], text: str, *, tagged: bool) -> frozenset[str]:
    """Return the names of the nodes and edges of a post."""
    if not text:
        return frozenset()
    questions = [ModelInput("", chunk) for chunk in expected_chunks(text)]
    facts = Facts(
        tenant_id=key[0],
        source_key=key[1],
        title="",
        url=None,
        published_at=0,
        channel=Channel(CHAT, "", None),
        format=None,
        tags=expected_tags(text) if tagged else (),
        extractions=dict(enumerate(CapitalisedExtractor().extract(questions))),
    )
    return frozenset(build_subgraph(facts).parts)
