"""A process that writes to a graph, to be watched or killed: ``python -m ... FOLDER FIRST``.

It applies the changes from number FIRST on and prints its steps; ``applied N`` means that a change is durable.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import click

from chatai_assets.adapters.graph.base import GraphStore
from chatai_assets.adapters.graph.ladybug import LadybugGraph
from chatai_assets.domain.extraction import Entity, Extraction, Relation
from chatai_assets.domain.graph.changes import GraphChange, build_change, fingerprints
from chatai_assets.domain.graph.subgraph import Channel, Edge, Facts, Node, Subgraph, build_subgraph
from chatai_assets.domain.projection_plan import LedgerEntry, plan_index
from chatai_assets_tests.support.bad_disk import allow_tracing

ITEMS = 150
VERSIONS = 8


def version(item: int, number: int) -> Subgraph:
    """Return the subgraph of one version of an item; every third item is deleted in every second version."""
    if number < 0 or (item % 3 == 0 and number % 2):
        return Subgraph()
    shape = number % VERSIONS
    forms = [f"name {(item * 7 + shape * part) % 40}" for part in range(3)]
    entities = tuple(Entity(form, form, "person") for form in dict.fromkeys(forms))
    relation = Relation(forms[0], forms[-1], "mentioned_with", weak=True)
    return build_subgraph(
        Facts(
            "t",
            f"tg/-100{item % 3}/{item}",
            title=f"version {number} " + "x" * (shape * 100),
            channel=Channel(-1000 - item % 3, "news"),
            tags=tuple(f"tag {(item + shape * part) % 30}" for part in range(3)),
            extractions={number: Extraction(entities, (relation,))},
        )
    )


def changes(first: int = 0, items: int = ITEMS) -> Iterator[tuple[int, GraphChange]]:
    """Yield number and change that lead from each version of all items to the next, without end."""
    before = [version(item, first - 1) for item in range(items)]
    for number in count(first):
        said = [version(item, number) for item in range(items)]
        recorded = [LedgerEntry(intended={}, confirmed=fingerprints(old)) for old in before]
        plans = (plan_index(fingerprints(new), known) for new, known in zip(said, recorded, strict=True))
        yield number, build_change(zip(plans, said, strict=True))
        before = said


def expected_parts(number: int, items: int = ITEMS) -> dict[str, Node | Edge]:
    """Return what a graph holds after a change, as ``read_parts`` does."""
    return {key: part for item in range(items) for key, part in version(item, number).parts.items()}


def read_parts(graph: GraphStore) -> dict[str, Node | Edge]:
    """Return what a graph holds, by label or type and id."""
    nodes: dict[str, Node | Edge] = {f"{node.label} {node.id}": node for node in graph.nodes()}
    return nodes | {f"{edge.type} {edge.id}": edge for edge in graph.edges()}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("first", type=int)
@click.option("--items", default=ITEMS)
@click.option("--versions", default=VERSIONS, help="After how many to stop.")
def main(folder: Path, first: int, items: int, versions: int) -> None:
    """Apply the changes, each under its own lock."""
    allow_tracing()
    graph = LadybugGraph(folder)
    for number, change in changes(first, items):
        if number >= versions:
            break
        click.echo(f"opening {number}")
        with graph.writing() as writer:
            click.echo(f"applying {number}")
            writer.apply(change)
            click.echo(f"applied {number}")
            writer.write_generation(str(number))
            click.echo(f"signed {number}")
        click.echo(f"closed {number}")


if __name__ == "__main__":
    main()
