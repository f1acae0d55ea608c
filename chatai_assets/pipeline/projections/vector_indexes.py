"""The vector indexes of a home with their stores and embedders, for stages, searches and maintenance.

The record store is asked each time which index is active, so that a long-running process notices a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatai_assets.adapters.models.base import Embedder
from chatai_assets.adapters.vectors.base import VectorStore
from chatai_assets.adapters.vectors.collection import newest_layout
from chatai_assets.domain.errors import ProviderMisconfigured
from chatai_assets.storage import vector_indexes as indexes
from chatai_assets.storage.engine import Records
from chatai_assets.storage.projection_ledger import Projection
from chatai_assets.storage.vector_indexes import Index, State

MOVES = 3
"""How often in a row the active index may change during one operation before that is an outage."""


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """A vector index that can be read and written.

    Attributes:
        embedders: open the embedder of its texts and the embedder of a question, on first use.
    """

    about: Index
    vectors: VectorStore
    embedders: tuple[Callable[[], Embedder], Callable[[], Embedder]]

    @property
    def projection(self) -> Projection:
        """Its name in the ledger."""
        return self.about.projection

    @property
    def model(self) -> str:
        """The key of its vectors."""
        return self.about.model

    @property
    def embedder(self) -> Embedder:
        """Embeds many texts at once."""
        return self.embedders[0]()

    @property
    def query_embedder(self) -> Embedder:
        """Embeds a question, in this process."""
        return self.embedders[1]()


class Indexes:
    """All vector indexes of a home.

    Args:
        first: adds the index of a home that has none.
        opened: opens an index; nothing is read or written yet.
    """

    def __init__(self, records: Records, first: Callable[[], Index], opened: Callable[[Index], OpenIndex]) -> None:
        self._records = records
        self._first = first
        self._opened = opened

    def serving(self) -> OpenIndex:
        """Return the index that is searched."""
        return self._opened(self.serving_now())

    def serving_now(self) -> Index:
        """Return what is known of the index that is searched; nothing is opened."""
        return self.of("serving") or self._first()

    def all(self) -> Sequence[OpenIndex]:
        """Return every index that may hold points, open."""
        return [self._opened(index) for index in self.known()]

    def known(self) -> Sequence[Index]:
        """Return what is known of every index that may hold points, the first at least; nothing is opened."""
        self.serving_now()
        with self._records.reading() as connection:
            return indexes.all_indexes(connection)

    def of(self, state: State) -> Index | None:
        """Return the index of a state, if there is one."""
        with self._records.reading() as connection:
            return indexes.index_of(connection, state)

    def opened(self, index: Index) -> OpenIndex:
        """Return an index, open."""
        return self._opened(index)


def newer_layout(index: Index) -> str:
    """Return a sentence that says that a newer layout than that of an index is available; "" if there is none."""
    newest = newest_layout()
    if index.layout >= newest:
        return ""
    return (
        f"The vector index of {index.embedder} has layout {index.layout}, and layout {newest} is available: "
        f"`chatai reindex --rebuild`."
    )


def check_model(index: OpenIndex, embedder: Embedder) -> None:
    """Make sure that an embedder is the one whose vectors an index holds.

    Raises:
        ProviderMisconfigured: settings or a release have changed what that embedder does.
    """
    found = (embedder.model, embedder.dimensions)
    if found != (index.model, index.about.dimensions):
        raise ProviderMisconfigured(
            f"The vector index was made with {index.model} ({index.about.dimensions} dimensions), but "
            f"{index.about.embedder} is {found[0]} ({found[1]}) now: `chatai reindex --to {index.about.embedder}`."
        )
