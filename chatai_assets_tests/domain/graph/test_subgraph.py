from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.adapters.graph import cypher
from chatai_assets.domain.entities.resolution import separate_entity_key
from chatai_assets.domain.extraction import Entity, Extraction, Relation, co_occurrence
from chatai_assets.domain.graph.changes import build_change, fingerprints, matches_id
from chatai_assets.domain.graph.subgraph import Channel, Facts, build_subgraph, edge_start, join_id, node_of_source
from chatai_assets.domain.projection_plan import LedgerEntry, plan_index

PUSHKIN = Entity("Пушкина", "пушкин", "person")
MOSCOW = Entity("Москве", "москва", "place")
BOTH = Extraction((PUSHKIN, MOSCOW), (Relation("пушкин", "москва", "mentioned_with", weak=True),))
POST = Facts(
    "acme",
    "tg/-1001/7",
    title="О поэте",
    url="https://t.me/books/7",
    published_at=1_700_000_000,
    channel=Channel(-1001, "Книги", "books"),
    tags=("Поэзия", "поэзия", "Проза"),
    extractions={1: BOTH, 0: Extraction((PUSHKIN,))},
)
NOTHING = LedgerEntry(intended={}, confirmed={})
TEXTS = st.text(st.sampled_from("ab|~%/é"), max_size=6) | st.integers(150, 200).map(lambda size: "я" * size)


def test_a_post_is_linked_to_its_channel_tags_and_entities():
    said = build_subgraph(POST)
    assert [node.id for node in said.nodes] == [
        "acme|post|tg/-1001/7",
        "acme|channel|-1001",
        "acme|tag|поэзия",
        "acme|tag|проза",
        "acme|entity|person|pushkin",
        "acme|entity|place|moskva",
    ]
    assert [(edge.type, edge.start[1], edge.end[1]) for edge in said.edges] == [
        ("POSTED_IN", "acme|post|tg/-1001/7", "acme|channel|-1001"),
        ("TAGGED", "acme|post|tg/-1001/7", "acme|tag|поэзия"),
        ("TAGGED", "acme|post|tg/-1001/7", "acme|tag|проза"),
        ("MENTIONS", "acme|post|tg/-1001/7", "acme|entity|person|pushkin"),
        ("MENTIONS", "acme|post|tg/-1001/7", "acme|entity|place|moskva"),
        ("RELATED", "acme|entity|person|pushkin", "acme|entity|place|moskva"),
    ]
    assert {edge.source for edge in said.edges} == {"acme|tg/-1001/7"}


def test_a_mention_names_its_chunks_in_order_and_a_relation_stated_once_is_not_weak():
    stated = Extraction(BOTH.entities, (Relation("пушкин", "москва", "mentioned_with", weak=False),))
    edges = {edge.type: edge for edge in build_subgraph(Facts("t", "doc/1", extractions={2: BOTH, 0: stated})).edges}
    assert edges["MENTIONS"].properties == {
        "tenant_id": "t",
        "chunks": [0, 2],
        "count": 2,
        "forms": "москва",
        "reasons": "script",
    }
    assert edges["RELATED"].properties["weak"] is False
    assert edges["RELATED"].properties["chunks"] == [0, 2]


def test_forms_of_one_entity_are_one_node_and_the_mention_says_which_and_why():
    one = Extraction((Entity("Пушкин", "александр пушкин", "person"), MOSCOW))
    other = Extraction((Entity("Pushkin", "alexander pushkin", "person"), Entity("Moscow", "moscow", "other")))
    said = build_subgraph(Facts("t", "doc/1", extractions={0: one, 3: other}))
    assert [node.properties["name"] for node in said.nodes[1:]] == ["Aleksandr Pushkin", "Москва"]
    pushkin, moscow = (edge.properties for edge in said.edges)
    assert (pushkin["forms"], pushkin["reasons"]) == (
        "alexander pushkin\nалександр пушкин",
        "spelling, given name\nscript",
    )
    assert (moscow["forms"], moscow["reasons"]) == ("moscow\nмосква", "known name\nscript")
    assert [(mention["chunks"], mention["count"]) for mention in (pushkin, moscow)] == [([0, 3], 2), ([0, 3], 2)]


def test_an_entity_is_not_related_to_itself_by_another_of_its_names():
    forms = ("владимир путин", "vladimir putin", "москва")
    entities = tuple(Entity(form, form, kind) for form, kind in zip(forms, ("person", "person", "place"), strict=True))
    relations = tuple(Relation(a, b, "mentioned_with", weak=True) for a, b in combinations(forms, 2))
    said = build_subgraph(Facts("t", "doc/1", extractions={0: Extraction(entities, relations)}))
    (edge,) = (edge for edge in said.edges if edge.type == "RELATED")
    assert (edge.start[1], edge.end[1]) == ("t|entity|person|vladimir putin", "t|entity|place|moskva")


def test_an_undirected_relation_is_one_edge_in_either_order():
    ties = ("борис иванов", "андрей петров"), ("boris ivanov", "андрей петров")
    extractions = {
        number: Extraction(
            tuple(Entity(form, form, "person") for form in forms),
            (co_occurrence(*forms),),
        )
        for number, forms in enumerate(ties)
    }
    said = build_subgraph(Facts("t", "doc/1", extractions=extractions))
    (edge,) = (edge for edge in said.edges if edge.type == "RELATED")
    assert edge.properties["chunks"] == [0, 1]


def test_overrides_come_before_all_rules():
    said = build_subgraph(
        Facts(
            "t",
            "doc/1",
            extractions={0: BOTH},
            overrides={("person", "пушкин"): separate_entity_key("person", "пушкин")},
        )
    )
    assert said.nodes[1].id == "t|entity|person|#пушкин"
    assert said.nodes[1].properties["name"] == "Пушкин"
    mentions = {edge.end[1]: edge.properties["reasons"] for edge in said.edges if edge.type == "MENTIONS"}
    assert mentions == {"t|entity|person|#пушкин": "by hand", "t|entity|place|moskva": "script"}


def test_an_entity_with_an_altered_name_does_not_match_its_id():
    city = next(node for node in build_subgraph(POST).nodes if node.properties.get("kind") == "place")
    assert matches_id(city)
    for altered in ({"name": "Moskau"}, {"form": "moscow"}, {"kind": "person"}):
        assert not matches_id(city._replace(properties={**city.properties, **altered}))


def test_a_relation_without_both_ends_in_its_chunk_is_dropped():
    lost = Extraction((PUSHKIN,), (Relation("пушкин", "москва", "born_in", weak=False),))
    assert [edge.type for edge in build_subgraph(Facts("t", "doc/1", extractions={0: lost})).edges] == ["MENTIONS"]


def test_nodes_and_edges_carry_the_properties_that_the_schema_declares():
    parts = [build_subgraph(POST), build_subgraph(Facts("t", "doc/1", format="pdf", tags=("a",)))]
    for said in parts:
        assert all(set(node.properties) == set(cypher.NODES[node.label]) for node in said.nodes)
        assert all(set(edge.properties) == set(cypher.EDGES[edge.type]) for edge in said.edges)
        assert all((edge.start[0], edge.end[0]) in cypher.ENDPOINTS[edge.type] for edge in said.edges)


def test_the_same_tag_of_two_tenants_is_two_nodes():
    one, other = (build_subgraph(Facts(tenant, "doc/1", tags=("a",))) for tenant in ("one", "other"))
    assert not one.parts.keys() & other.parts.keys()


@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS, min_size=1, max_size=4))
def test_different_parts_never_share_an_id(one, other):
    assert (join_id(*one) == join_id(*other)) == (one == other)


@given(tenant=TEXTS, key=TEXTS, form=TEXTS, tag=TEXTS)
def test_the_start_of_an_edge_is_read_from_its_id(tenant, key, form, tag):
    entities = (Entity("x", form, "person"), Entity("y", f"{form}2", "other"))
    relation = Relation(form, f"{form}2", "likes", weak=False)
    said = build_subgraph(Facts(tenant, f"doc/{key}", tags=(tag,), extractions={0: Extraction(entities, (relation,))}))
    assert {edge.type for edge in said.edges} == {"TAGGED", "MENTIONS", "RELATED"}
    for edge in said.edges:
        assert edge_start(edge.type, edge.id) == edge.start
        assert node_of_source(edge.source) == (said.nodes[0].label, said.nodes[0].id)
        assert edge.id.startswith(f"{edge.source}|")


def test_a_batch_writes_shared_nodes_once():
    said = [build_subgraph(Facts("t", f"doc/{number}", tags=("a",))) for number in range(3)]
    change = build_change((plan_index(fingerprints(each), NOTHING), each) for each in said)
    assert [node.id for node in change.nodes] == ["t|document|doc/0", "t|tag|a", "t|document|doc/1", "t|document|doc/2"]
    assert len(change.edges) == 3


def test_a_removed_tag_releases_its_node_and_keeps_the_document():
    before, after = (
        build_subgraph(Facts("t", "doc/1", tags=("a", "b"))),
        build_subgraph(Facts("t", "doc/1", tags=("b",))),
    )
    recorded = LedgerEntry(intended={}, confirmed=fingerprints(before))
    change = build_change([(plan_index(fingerprints(after), recorded), after)])
    assert not change.nodes
    assert not change.edges
    assert [(edge.id, edge.start) for edge in change.delete_edges] == [("t|doc/1|a", ("Document", "t|document|doc/1"))]
    assert change.release_nodes == (("Tag", "t|tag|a"),)


def test_unchanged_parts_are_not_written_again():
    said = build_subgraph(POST)
    assert build_change([(plan_index(fingerprints(said), LedgerEntry({}, fingerprints(said))), said)]).empty


def test_a_new_title_changes_only_the_fingerprint_of_the_source_node():
    before, after = (
        fingerprints(build_subgraph(Facts("t", "doc/1", title=title, tags=("a",)))) for title in ("one", "two")
    )
    assert {key for key in before if before[key] != after[key]} == {"Document t|document|doc/1"}
