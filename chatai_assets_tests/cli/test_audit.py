"""``chatai audit``: its exit code says whether the stores agree; its JSON keys are an interface."""

import json

import pytest
from click.testing import CliRunner

from chatai_assets.cli.main import cli
from chatai_assets.domain.graph.changes import EdgeRef, GraphChange
from chatai_assets.services import Services
from chatai_assets_tests.support import corpus
from chatai_assets_tests.support.pipeline import ingest_posts, migrated_settings, process_all


@pytest.fixture
def home(tmp_path):
    """A home of ten posts of which one point and one edge were taken away by hand."""
    with Services(migrated_settings(tmp_path / "home")) as services:
        ingest_posts(services, corpus.posts(3, 10))
        process_all(services)
        ((point, _), *_), (edge, *_) = services.vectors.points(), services.graph.edges()
        with services.vectors.writing() as vectors, services.graph.writing() as graph:
            vectors.delete([point])
            graph.apply(GraphChange(delete_edges=[EdgeRef(edge.type, edge.id, edge.start)]))
    return tmp_path / "home"


def chatai(home, *arguments):
    environment = {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free"}
    return CliRunner().invoke(cli, ["audit", *arguments], env=environment)


def test_what_differs_ends_in_code_one_and_a_repair_in_code_zero(home):
    found = chatai(home)
    assert found.exit_code == 1
    assert "Not as the record store has it: vectors and graph; `chatai audit --repair` mends it." in found.stderr
    assert "missing: POSTED_IN of tg/" in found.stdout or "missing: MENTIONS of tg/" in found.stdout
    mended = chatai(home, "--repair")
    assert mended.exit_code == 0, mended.stderr
    assert "vectors: 1 items written again, 0 strays removed." in mended.stdout
    after = json.loads(chatai(home, "--json").stdout)
    assert [(report["projection"], report["agrees"], report["differences"]) for report in after] == [
        ("vectors", True, {}),
        ("graph", True, {}),
    ]


def test_json_of_a_repair_says_what_was_wrong_and_whether_it_is_well_now(home):
    vectors, graph = json.loads(chatai(home, "--repair", "--json").stdout)
    assert vectors["differences"] == graph["differences"] == {"missing": 1}
    assert vectors["agrees"]
    assert graph["agrees"]
