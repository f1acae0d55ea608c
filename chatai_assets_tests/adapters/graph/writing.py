"""A process that writes to a graph, to be watched or killed: ``python -m ... FOLDER FIRST``.

It applies the changes from number FIRST on and prints each one's number when it is durable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from chatai_assets.adapters.graph.ladybug import LadybugGraph
from chatai_assets.domain.graph import Channel, Facts, Subgraph, subgraph
from chatai_assets.domain.graph_change import GraphChange, change_of, fingerprints
from chatai_assets.domain.index_plan import Recorded, plan_index
from chatai_assets.domain.linking import Entity, Extraction, Relation

ITEMS = 150
VERSIONS = 8


def version(item: int, number: int) -> Subgraph:
    """Return what one of the items says in one of its versions; every third is gone in every second version."""
    if item % 3 == 0 and number % 2:
        return Subgraph()
    forms = [f"name {(item * 7 + number * part) % 40}" for part in range(3)]
    entities = tuple(Entity(form, form, "person") for form in dict.fromkeys(forms))
    relation = Relation(forms[0], forms[-1], "mentioned_with", weak=True)
    return subgraph(
        Facts(
            "t",
            f"tg/-100{item % 3}/{item}",
            title=f"version {number} " + "x" * (number * 100),
            channel=Channel(-1000 - item % 3, "news"),
            tags=tuple(f"tag {(item + number * part) % 30}" for part in range(3)),
            extractions={number: Extraction(entities, (relation,))},
        )
    )


def changes() -> Iterator[GraphChange]:
    """Yield the changes that lead from each version of all items to the next."""
    before = [Subgraph()] * ITEMS
    for number in range(VERSIONS):
        said = [version(item, number) for item in range(ITEMS)]
        recorded = [Recorded(intended={}, confirmed=fingerprints(old)) for old in before]
        plans = (plan_index(fingerprints(new), known) for new, known in zip(said, recorded, strict=True))
        yield change_of(zip(plans, said, strict=True))
        before = said


def main() -> None:
    """Apply the changes, each in a turn of its own."""
    folder, first = sys.argv[1:]
    graph = LadybugGraph(Path(folder))
    sys.stdout.write("ready\n")
    for number, change in enumerate(changes()):
        if number >= int(first):
            sys.stdout.flush()
            with graph.writing() as writer:
                writer.apply(change)
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
