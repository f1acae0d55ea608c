"""What every graph store does; one suite, run on each implementation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import pairwise, permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatai_assets.adapters.graph.base import GraphCounts, GraphStore
from chatai_assets.adapters.graph.ladybug import LadybugGraph
from chatai_assets.domain.extraction import Entity, Extraction, Relation
from chatai_assets.domain.graph.changes import GraphChange, build_change, fingerprints
from chatai_assets.domain.graph.subgraph import Channel, Edge, Facts, Node, Subgraph, build_subgraph
from chatai_assets.domain.projection_plan import LedgerEntry, plan_index
from chatai_assets_tests.support.server_processes import Reach
from chatai_assets_tests.support.servers import empty_graph, open_neo4j

NOTHING = LedgerEntry(intended={}, confirmed={})
Content = tuple[list[Node], list[Edge]]


@contextmanager
def ladybug_graph() -> Iterator[GraphStore]:
    with TemporaryDirectory() as folder:
        yield LadybugGraph(Path(folder) / "graph", turn_timeout_s=5)


def neo4j_graph(server: Reach) -> Callable[[], AbstractContextManager[GraphStore]]:
    @contextmanager
    def empty() -> Iterator[GraphStore]:
        empty_graph(server)
        with closing(open_neo4j(server)) as store:
            yield store

    return empty


@pytest.fixture(params=["ladybug", "neo4j"])
def fresh(request):
    """A context manager that gives an empty graph; property tests enter it once per example."""
    return neo4j_graph(request.getfixturevalue("neo4j_server")) if request.param == "neo4j" else ladybug_graph


@pytest.fixture
def graph(fresh):
    with fresh() as store:
        yield store


class Sources:
    """What a stage does for its items, with the ledger in memory."""

    def __init__(self, graph: GraphStore) -> None:
        self.graph = graph
        self.ledger: dict[str, LedgerEntry] = {}

    def link(self, versions: Mapping[str, Subgraph], *, confirmed: bool = True) -> GraphChange:
        plans = []
        for key, said in versions.items():
            recorded = self.ledger.get(key, NOTHING)
            desired = fingerprints(said)
            plans.append((plan_index(desired, recorded), said))
            self.ledger[key] = LedgerEntry(plan_index(desired, recorded).intention, recorded.confirmed)
        change = build_change(plans)
        with self.graph.writing() as writer:
            writer.apply(change)
        if confirmed:
            self.ledger.update({key: LedgerEntry({}, fingerprints(said)) for key, said in versions.items()})
        return change


def content(graph: GraphStore) -> Content:
    return in_order([*graph.nodes(), *graph.edges()])


def said_by(parts: Iterator[Subgraph] | list[Subgraph]) -> Content:
    """What the graph must hold."""
    return in_order({key: part for said in parts for key, part in said.parts.items()}.values())


def in_order(parts: Collection[Node | Edge]) -> Content:
    nodes = [part for part in parts if isinstance(part, Node)]
    edges = [part for part in parts if isinstance(part, Edge)]
    return sorted(nodes, key=lambda n: (n.label, n.id)), sorted(edges, key=lambda e: (e.type, e.id))


def about(*forms: str) -> Extraction:
    entities = tuple(Entity(form, form, "person") for form in forms)
    pairs = pairwise(forms)
    return Extraction(entities, tuple(Relation(a, b, "mentioned_with", weak=True) for a, b in pairs))


POST = Facts(
    "acme",
    "tg/-1001/7",
    title='Строка "в кавычках",\nвторая \\ строка',
    url="https://t.me/books/7",
    published_at=1_700_000_000,
    channel=Channel(-1001, "Книги", None),
    tags=("Поэзия", "проза"),
    extractions={0: about("пушкин", "гоголь"), 3: about("пушкин")},
)
DOCUMENT = Facts("acme", "doc/1", format="pdf", tags=("проза",), extractions={0: about("гоголь", "пушкин", "герцен")})


def test_an_unwritten_graph_is_empty(graph):
    assert graph.count() == GraphCounts(0, 0)
    assert content(graph) == ([], [])


def test_nodes_and_edges_are_read_back_as_they_were_written(graph):
    said = [build_subgraph(POST), build_subgraph(DOCUMENT)]
    Sources(graph).link({"post": said[0], "document": said[1]})
    assert content(graph) == said_by(said)
    assert graph.count() == GraphCounts(8, 12)


@pytest.mark.parametrize(
    "title",
    [
        None,
        "",
        " ",
        '"',
        '""',
        "\\",
        "\\N",
        "NULL",
        "null",
        "a,b",
        "a\nb\r\nc",
        "\t",
        "[1,2]",
        "{a: 1}",
        "#",
        "$x",
        "😀",
    ],
    ids=repr,
)
def test_a_title_is_read_back_character_by_character(graph, title):
    said = build_subgraph(Facts("t", "doc/1", title=title))
    Sources(graph).link({"doc": said})
    assert content(graph) == said_by([said])


def test_a_change_applied_twice_changes_nothing(graph):
    sources = Sources(graph)
    change = sources.link({"post": build_subgraph(POST), "document": build_subgraph(DOCUMENT)})
    before = content(graph)
    with graph.writing() as writer:
        writer.apply(change)
        writer.apply(change)
        writer.apply(GraphChange())
    assert content(graph) == before


def test_a_new_version_replaces_the_old_one(graph):
    sources = Sources(graph)
    sources.link({"post": build_subgraph(POST)})
    shorter = build_subgraph(
        Facts("acme", "tg/-1001/7", title="Новое", channel=POST.channel, extractions={0: about("гоголь")})
    )
    sources.link({"post": shorter})
    assert content(graph) == said_by([shorter])


def test_removing_a_source_keeps_what_other_sources_share(graph):
    sources = Sources(graph)
    sources.link({"post": build_subgraph(POST), "document": build_subgraph(DOCUMENT)})
    sources.link({"post": Subgraph()})
    assert content(graph) == said_by([build_subgraph(DOCUMENT)])
    sources.link({"document": Subgraph()})
    assert graph.count() == GraphCounts(0, 0)


def test_a_tag_dropped_by_one_item_and_added_by_another_of_the_batch_stays(graph):
    sources = Sources(graph)
    sources.link({"one": build_subgraph(Facts("t", "doc/1", tags=("a",))), "two": build_subgraph(Facts("t", "doc/2"))})
    swapped = {"one": build_subgraph(Facts("t", "doc/1")), "two": build_subgraph(Facts("t", "doc/2", tags=("a",)))}
    sources.link(swapped)
    assert content(graph) == said_by(list(swapped.values()))


def test_two_tenants_with_one_channel_share_nothing(graph):
    sources = Sources(graph)
    theirs = build_subgraph(Facts("other", POST.source_key, channel=POST.channel, tags=POST.tags))
    sources.link({"ours": build_subgraph(POST), "theirs": theirs})
    sources.link({"ours": Subgraph()})
    assert content(graph) == said_by([theirs])


def test_removing_unknown_edges_and_nodes_is_not_an_error(graph):
    sources = Sources(graph)
    sources.ledger["doc"] = LedgerEntry(intended=dict.fromkeys(build_subgraph(DOCUMENT).parts, ""), confirmed={})
    sources.link({"doc": Subgraph()})
    assert graph.count() == GraphCounts(0, 0)


def test_an_error_of_the_caller_propagates_and_keeps_applied_changes(graph):
    change = build_change([(plan_index(fingerprints(build_subgraph(POST)), NOTHING), build_subgraph(POST))])

    def write_and_fail():
        with graph.writing() as writer:
            writer.apply(change)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert content(graph) == said_by([build_subgraph(POST)])


SPELLINGS = ("юрий гагарин", "yuri gagarin", "гагарин юрий", "yuriy gagarin")


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sets(st.sampled_from(SPELLINGS))), max_size=6),
    st.booleans(),
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_entity_exists_as_long_as_one_of_its_forms_is_mentioned(fresh, steps, confirmed):
    """Posts gain, change and lose forms of one name in any order; a model that knows only sets says what is left."""
    left: dict[int, set[str]] = {}
    with fresh() as graph:
        sources = Sources(graph)
        for number, forms in steps:
            left[number] = forms
            facts = Facts("t", f"doc/{number}", extractions={0: about(*sorted(forms))})
            sources.link({str(number): build_subgraph(facts) if forms else Subgraph()}, confirmed=confirmed)
        mentions = [edge for edge in graph.edges() if edge.type == "MENTIONS"]
        entities = [node for node in graph.nodes() if node.label == "Entity"]
        related = [edge for edge in graph.edges() if edge.type == "RELATED"]
    assert [node.id for node in entities] == ["t|entity|person|iuri gagarin"] * any(left.values())
    assert {edge.source: edge.properties["forms"] for edge in mentions} == {
        f"t|doc/{number}": "\n".join(sorted(forms)) for number, forms in left.items() if forms
    }
    assert sum(edge.properties["count"] for edge in mentions) == sum(len(forms) for forms in left.values())
    assert related == []


@pytest.mark.scenario
def test_an_entity_is_removed_with_its_last_post_in_any_order(graph):
    forms = enumerate(SPELLINGS[:3])
    said = {str(number): build_subgraph(in_spelling(number, form)) for number, form in forms}
    for order in permutations(said):
        sources = Sources(graph)
        sources.link(said)
        assert [node.properties["kind"] for node in graph.nodes() if node.label == "Entity"] == ["person", "place"]
        living = dict(said)
        for key in order:
            sources.link({key: Subgraph()})
            del living[key]
            assert content(graph) == said_by(list(living.values()))


def in_spelling(number: int, form: str) -> Facts:
    named = (Entity(form, form, "person"), Entity("Байконур", "байконур", "place"))
    tie = Relation("байконур", form, "mentioned_with", weak=True)
    return Facts("t", f"doc/{number}", extractions={0: Extraction(named, (tie,))})


def test_the_generation_is_found_with_and_without_opening_the_graph(graph):
    assert graph.generation() is None
    for before, mark in ((None, "one"), ("one", "two")):
        with graph.writing() as writer:
            assert writer.generation == before
            writer.apply(
                build_change([(plan_index(fingerprints(build_subgraph(DOCUMENT)), NOTHING), build_subgraph(DOCUMENT))])
            )
            writer.write_generation(mark)
        assert graph.generation() == mark
    assert content(graph) == said_by([build_subgraph(DOCUMENT)])
    assert graph.count().nodes == len(build_subgraph(DOCUMENT).nodes)


NAMES = st.sampled_from(["a", "b", "c|~%", "д" * 170, "ПУТИН".lower(), "putin", '"x", [y]\\'])
VERSIONS = st.builds(
    Facts,
    st.sampled_from(["t", "u|v"]),
    st.sampled_from(["tg/-1001/1", "tg/-1001/2", "tg/-1002/1", "doc/1"]),
    title=st.sampled_from([None, "one", "two"]),
    tags=st.lists(NAMES, max_size=3).map(tuple),
    extractions=st.dictionaries(
        st.integers(0, 2), st.lists(NAMES, max_size=3).map(lambda names: about(*names)), max_size=2
    ),
)
BATCHES = st.lists(st.lists(st.tuples(VERSIONS, st.booleans()), max_size=4), max_size=4)


@pytest.mark.scenario
@given(BATCHES, st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_history_the_graph_holds_only_the_latest_versions(fresh, batches, data):
    latest: dict[str, Subgraph] = {}
    with fresh() as graph:
        sources = Sources(graph)
        for batch in batches:
            versions = {f"{facts.tenant_id} {facts.source_key}": (facts, gone) for facts, gone in batch}
            said = {
                key: Subgraph() if gone else build_subgraph(in_channel(facts))
                for key, (facts, gone) in versions.items()
            }
            sources.link(said, confirmed=data.draw(st.booleans()))
            latest |= said
        assert content(graph) == said_by(list(latest.values()))


def in_channel(facts: Facts) -> Facts:
    if facts.source_key.startswith("doc/"):
        return facts
    chat_id = int(facts.source_key.split("/")[1])
    return Facts(**{name: getattr(facts, name) for name in Facts.__slots__} | {"channel": Channel(chat_id, "Новости")})
