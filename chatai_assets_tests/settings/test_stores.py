import pytest

from chatai_assets.services import Services
from chatai_assets.settings import read_settings
from chatai_assets.settings.stores import Neo4jServer, QdrantServer
from chatai_assets.settings.values import InvalidSetting

NEO4J = {"NEO4J_URI": "neo4j+s://graph:7687", "NEO4J_USER": "reader", "NEO4J_PASSWORD": "p4ssword"}
QDRANT = {"QDRANT_URL": "https://vectors:6333", "QDRANT_API_KEY": "k3y", "QDRANT_GRPC_PORT": "6334"}


def test_no_variable_selects_no_server(tmp_path):
    settings = read_settings({"CHATAI_HOME": str(tmp_path)})
    assert (settings.qdrant, settings.neo4j) == (None, None)
    assert settings.database_url.startswith("sqlite:")


def test_the_variables_say_where_the_servers_are():
    settings = read_settings(NEO4J | QDRANT)
    assert settings.neo4j == Neo4jServer.read(NEO4J)
    assert dict(settings.neo4j) == {"uri": "neo4j+s://graph:7687", "user": "reader", "password": "p4ssword"}
    assert settings.qdrant == QdrantServer(url="https://vectors:6333", api_key="k3y", grpc_port=6334)


def test_a_secret_is_not_shown_with_the_settings():
    shown = repr(read_settings(NEO4J | QDRANT))
    assert "p4ssword" not in shown
    assert "k3y" not in shown


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (NEO4J | {"NEO4J_URI": "graph:7687"}, "NEO4J_URI must begin with one of"),
        (NEO4J | {"NEO4J_PASSWORD": ""}, "needs NEO4J_USER and NEO4J_PASSWORD"),
        (QDRANT | {"QDRANT_URL": "vectors:6333"}, "QDRANT_URL must begin with http"),
        (QDRANT | {"QDRANT_GRPC_PORT": "many"}, "QDRANT_GRPC_PORT must be a whole number"),
    ],
)
def test_what_cannot_be_used_is_said_at_the_start(environ, said):
    with pytest.raises(InvalidSetting, match=said):
        read_settings(environ)


def test_what_is_set_is_used(tmp_path):
    free = {"CHATAI_HOME": str(tmp_path), "CHATAI_MODELS": "free"}
    with Services(read_settings(free)) as embedded:
        assert [type(part).__name__ for part in (embedded.vectors, embedded.graph)] == ["EdgeVectors", "LadybugGraph"]
    with Services(read_settings(free | NEO4J | {"QDRANT_URL": "http://127.0.0.1:1"})) as served:
        assert [type(part).__name__ for part in (served.vectors, served.graph)] == ["QdrantVectors", "Neo4jGraph"]
