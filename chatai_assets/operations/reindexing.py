"""Reindexing: build a second vector index next to the active one, compare the two and switch to it.

The new index has another embedding model or a newer layout. All progress is stored in the database, so an interrupted
reindex resumes: which index is being built, what of each item is done, and which index is active. The switch is one
transaction that finds nothing left to build. A process that was writing to the other index fails to commit
(``storage.vector_indexes.require_state``) and repeats its work in the new one. The old index stays on standby; a
rollback fills it with what came since.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from chatai_assets.adapters.models.base import Embedder
from chatai_assets.adapters.vectors.collection import newest_layout
from chatai_assets.domain.errors import IndexSuperseded, OperationRefused
from chatai_assets.domain.ids import STREAMS, Stream
from chatai_assets.domain.stages import ITEM_STAGES, STAGES
from chatai_assets.observability import INDEX_SERVES, log
from chatai_assets.operations.relevance import EvalQuery, RelevanceComparison, compare
from chatai_assets.pipeline.engine import StageReport, StageRunConfig
from chatai_assets.pipeline.projections.vector_indexes import Indexes
from chatai_assets.pipeline.stages.embed import Stems
from chatai_assets.pipeline.stages.reindex import fill_hour
from chatai_assets.storage import projection_ledger as ledger
from chatai_assets.storage import reindexing as filling
from chatai_assets.storage import vector_indexes as indexes
from chatai_assets.storage.engine import Records, Transaction
from chatai_assets.storage.key_values import get_value, put_value
from chatai_assets.storage.projection_ledger import forget_generations
from chatai_assets.storage.vector_indexes import Index
from chatai_assets.storage.work_queue import due_hours

WAIT_S = 60.0
"""How long filling waits for items that may be tried again later, before it leaves them to the next time."""
POLL_S = 0.5
TELL_EVERY_S = 2.0
"""Counting what is left takes a moment."""
REFUSED = "index that was refused"
MAX_SWAP_ATTEMPTS = 1_000
"""How often in a row something may come between the last item and the swap."""

OnReindexProgress = Callable[[str], None]


class CannotReindex(OperationRefused):
    """What is asked of an index cannot, or must not, be done; says why and what to do."""

    code = "CannotReindex"


@dataclass(frozen=True, slots=True)
class ReindexContext:
    """What filling an index needs.

    Attributes:
        scope: what a run of an hour of a stream works on.
        ends: second of ``time.monotonic`` after which no further batch is begun; the rest is left to the next time.
    """

    records: Records
    indexes: Indexes
    stems: Stems
    scope: Callable[[Stream, str], StageRunConfig]
    ends: float = float("inf")
    on_progress: OnReindexProgress = lambda _: None
    clock: Callable[[], float] = time.time


@dataclass(slots=True)
class BuildProgress:
    """What filling came to.

    Attributes:
        complete: whether nothing is left to fill.
        failed: items that the new model or index does not take, for good.
        until: epoch second at which the first of those left may be tried.
    """

    counts: Counter[str] = field(default_factory=Counter)
    items: int = 0
    complete: bool = False
    failed: int = 0
    left: int = 0
    until: float | None = None

    def add(self, report: StageReport) -> None:
        """Count what a run did."""
        self.items += report.done
        self.counts.update(report.counts)


@dataclass(slots=True)
class ReindexResult:
    """What a reindexing did so far; holds no text.

    Attributes:
        index: the one that was filled.
        serves: whether it does now.
        refused: why it does not, where it was compared and found worse.
    """

    index: Index
    filled: BuildProgress = field(default_factory=BuildProgress)
    comparison: RelevanceComparison | None = None
    serves: bool = False
    refused: str = ""
    seconds: float = 0.0


def start(means: ReindexContext, name: str, embedder: Embedder) -> Index:
    """Begin to fill an index by another embedder, or go on with it; an index of that model that is kept is taken up.

    Args:
        name: of the embedder, complete.

    Raises:
        CannotReindex: it serves already, or another one is being filled.
    """
    clean_up(means)
    serving = means.indexes.serving_now()
    wanted = embedder.model, embedder.dimensions
    if wanted == (serving.model, serving.dimensions):
        raise CannotReindex(f"{name} serves already.")
    with means.records.begin() as connection:
        return _start(connection, name, wanted, means.clock())


def start_rebuild(means: ReindexContext) -> Index:
    """Start or resume filling an index of the newest layout by the model that embeds now.

    A standby index that already has that layout, as after a way back, is taken up instead of a new one.

    Raises:
        CannotReindex: an index of another model is being filled.
    """
    clean_up(means)
    active = means.indexes.serving_now()
    wanted, min_layout = (active.model, active.dimensions), max(newest_layout(), active.layout + 1)
    with means.records.begin() as connection:
        return _start(connection, active.embedder, wanted, means.clock(), min_layout)


def _start(connection: Transaction, name: str, wanted: tuple[str, int], now: float, min_layout: int = 0) -> Index:
    indexes.lock_exclusively(connection)
    known, kept = indexes.index_of(connection, "filling"), indexes.index_of(connection, "kept")
    if known:
        if wanted != (known.model, known.dimensions):
            raise CannotReindex(
                f"{known.embedder} is being filled: let that end first, or give it up with `chatai reindex --give-up`."
            )
        return known
    if kept and wanted == (kept.model, kept.dimensions) and kept.layout >= min_layout:
        return _take_up(connection, kept, now)
    if kept:
        indexes.set_states(connection, [(kept.number, "dropping")], now=now)
    index = indexes.add_index(connection, name, *wanted, "filling", layout=newest_layout(), now=now)
    filling.start_enqueueing(connection, index.number)
    return index


def start_rollback(means: ReindexContext) -> Index:
    """Take up the index that served before; raises ``CannotReindex`` where none is kept."""
    clean_up(means)
    with means.records.begin() as connection:
        indexes.lock_exclusively(connection)
        known, kept = indexes.index_of(connection, "filling"), indexes.index_of(connection, "kept")
        if kept is None:
            raise CannotReindex("No index is kept that served before.")
        if known:
            raise CannotReindex(f"{known.embedder} is being filled: give it up first, with `chatai reindex --give-up`.")
        return _take_up(connection, kept, means.clock())


def _take_up(connection: Transaction, kept: Index, now: float) -> Index:
    indexes.set_states(connection, [(kept.number, "filling")], now=now)
    filling.start_enqueueing(connection, kept.number)
    return kept


def build(means: ReindexContext, index: Index, filled: BuildProgress) -> None:
    """Fill an index until nothing is left, time is up, or what is left must wait.

    Raises:
        IndexSuperseded: the index was given up, or is active already.
        Outage: a store or the new model's provider is down; what was done so far stays done.
    """
    told = time.monotonic()
    while time.monotonic() < means.ends and _is_open(means, index):
        due = _due(means)
        for stream, hour in due:
            scope = means.scope(stream, hour)
            filled.add(fill_hour(scope, means.records, means.indexes, means.stems))
            if time.monotonic() >= means.ends:
                break
            if time.monotonic() >= told + TELL_EVERY_S:
                means.on_progress(f"{_look(means, filled):,} items left")
                told = time.monotonic()
        _look(means, filled)
        if filled.complete or not (due or _wait(means, filled)):
            return


def _is_open(means: ReindexContext, index: Index) -> bool:
    """Open all items for an index that is being filled; return whether there was time for that."""
    items = 0
    while time.monotonic() < means.ends:
        with means.records.begin() as connection:
            indexes.require_state(connection, index.number, "filling")
            opened = filling.enqueue_some(connection, index.number, now=means.clock())
        if not opened:
            return True
        items += opened
        means.on_progress(f"{items:,} items to look at")
    return False


def _due(means: ReindexContext) -> Sequence[tuple[Stream, str]]:
    with means.records.reading() as connection:
        return [
            (stream, hour)
            for stream in STREAMS
            for hour, _ in due_hours(connection, stream, now=means.clock(), stages=(filling.REINDEX,))
        ]


def _look(means: ReindexContext, filled: BuildProgress) -> int:
    with means.records.reading() as connection:
        states = filling.count_states(connection)
        filled.until = filling.next_attempt(connection)
    filled.left, filled.failed = states.get("pending", 0) + states.get("working", 0), states.get("failed", 0)
    filled.complete = not filled.left
    return filled.left


def _wait(means: ReindexContext, filled: BuildProgress) -> bool:
    """Wait a moment for what is left; return whether that is worth while."""
    worth = filled.until is None or filled.until <= means.clock() + WAIT_S
    if worth:
        time.sleep(POLL_S)
    return worth


def reindex(
    means: ReindexContext,
    filled_index: Index,
    asked: Callable[[], Sequence[EvalQuery]] | None,
    *,
    even_if_worse: bool = False,
) -> ReindexResult:
    """Fill an index, compare what it finds with what the serving one finds, and let it serve.

    Args:
        asked: the questions; None for a way back, which is not compared.
        even_if_worse: let it serve also where it finds less, or lacks items that its model does not take.

    Raises:
        IndexSuperseded: the index was given up. If another process has activated it, that is as good.
        Outage: a store or the provider is down; the next time goes on from there.
    """
    started, done = time.monotonic(), ReindexResult(filled_index)
    try:
        build(means, done.index, done.filled)
        if done.filled.complete:
            _decide(means, done, asked, even_if_worse=even_if_worse)
    except IndexSuperseded:
        done.serves = means.indexes.serving_now().number == done.index.number
        if not done.serves:
            raise
    clean_up(means)
    done.seconds = time.monotonic() - started
    return done


def _decide(
    means: ReindexContext, done: ReindexResult, asked: Callable[[], Sequence[EvalQuery]] | None, *, even_if_worse: bool
) -> None:
    if asked is not None:
        other = means.indexes.opened(done.index)
        done.comparison = compare(asked(), means.indexes.serving(), other, means.stems, means.on_progress)
        done.refused = "; ".join(done.comparison.worse)
    if done.filled.failed:
        done.refused = "; ".join(filter(None, (done.refused, f"{done.filled.failed} items could not be taken over")))
    if done.refused and not even_if_worse:
        with means.records.begin() as connection:
            put_value(connection, REFUSED, done.index.number)
        return
    done.refused = ""
    for _ in range(MAX_SWAP_ATTEMPTS):
        with means.records.begin() as connection:
            done.serves = _swap(connection, done.index, even_if_worse=even_if_worse, now=means.clock())
        if done.serves or time.monotonic() >= means.ends:
            break
        build(means, done.index, done.filled)
        if not done.filled.complete or (done.filled.failed and not even_if_worse):
            break
    if done.serves:
        log.info(INDEX_SERVES, number=done.index.number, model=done.index.model)


def _swap(connection: Transaction, index: Index, *, even_if_worse: bool, now: float) -> bool:
    """Let an index serve if nothing is left to fill; else open what was overlooked, and return False."""
    serving = next(known for known in indexes.lock_exclusively(connection) if known.state == "serving")
    indexes.require_state(connection, index.number, "filling")
    overlooked = filling.missed_items(connection, serving.projection, index.projection)
    filling.enqueue_items(connection, overlooked, now=now)
    states = filling.count_states(connection)
    if states.get("pending") or states.get("working") or (states.get("failed") and not even_if_worse):
        return False
    indexes.set_states(connection, [(serving.number, "kept"), (index.number, "serving")], now=now)
    return True


def is_building(records: Records) -> bool:
    """Return whether an index is being built that is incomplete, or was not compared since it became complete."""
    with records.reading() as connection:
        index = indexes.index_of(connection, "filling")
        if index is None:
            return False
        states = filling.count_states(connection)
        refused = get_value(connection, REFUSED) == index.number
        return not refused or bool(states.get("pending") or states.get("working"))


def clean_up(means: ReindexContext) -> None:
    """Let others reach what serves, and clear away what was work of filling and what is to be dropped."""
    means.indexes.serving().vectors.promote()
    _repeat(means.records, _clear_some)
    drop_retired(means)


def _clear_some(connection: Transaction) -> int:
    """Clear away some of the work of filling unless there is any to do; of items that were filled, say by whom."""
    # Not their rows: a commit to an index waits for these, and holds work rows that are cleared here.
    known = {index.state: index for index in indexes.lock_for_change(connection)}
    if "filling" in known:
        return 0
    serving, before = known["serving"], known.get("kept")
    if before is None or filling.enqueued_index(connection) != serving.number:
        return filling.clear_some(connection, {})
    made_by = {
        stage: (STAGES[stage].fingerprint(before.model), STAGES[stage].fingerprint(serving.model))
        for stage in ITEM_STAGES
        if STAGES[stage].model == "embedder"
    }
    return filling.clear_some(connection, made_by)


def abort(means: ReindexContext) -> Index:
    """Stop filling and drop what was filled; raises ``CannotReindex`` where nothing is being filled."""
    return _let_go(means, "filling", "No index is being filled.")


def drop_old(means: ReindexContext) -> Index:
    """Drop the index that served before; raises ``CannotReindex`` where none is kept."""
    return _let_go(means, "kept", "No index is kept that served before.")


def _let_go(means: ReindexContext, state: indexes.State, otherwise: str) -> Index:
    with means.records.begin() as connection:
        indexes.lock_exclusively(connection)
        going = indexes.index_of(connection, state)
        if going is None:
            raise CannotReindex(otherwise)
        indexes.set_states(connection, [(going.number, "dropping")], now=means.clock())
    clean_up(means)
    return going


def drop_retired(means: ReindexContext) -> None:
    """Remove retired indexes: the store, its ledger entries, and vectors that no other index needs."""
    with means.records.reading() as connection:
        known = indexes.every_index(connection)
    needed = {index.model for index in known if index.state != "dropping"}
    for going in (index for index in known if index.state == "dropping"):
        means.on_progress(f"Dropping the index of {going.embedder}")
        means.indexes.opened(going).vectors.remove()
        _repeat(means.records, partial(ledger.forget_some, projection=going.projection))
        if going.model not in needed:
            _repeat(means.records, partial(filling.drop_vectors_of, model=going.model))
        with means.records.begin() as connection:
            forget_generations(connection, going.projection)
            indexes.remove_index(connection, going.number)


def _repeat(records: Records, some: Callable[[Transaction], int]) -> None:
    """Do a share of something, each in a transaction of its own, until nothing is left of it."""
    while True:
        with records.begin() as connection:
            if not some(connection):
                return
