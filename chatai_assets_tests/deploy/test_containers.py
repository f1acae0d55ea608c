"""What deploy/ says to Docker and Kubernetes, held against the code: no engine runs it here."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from chatai_assets.settings import PROJECT, read_settings

pytestmark = pytest.mark.one_worker

DEPLOY = PROJECT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((DEPLOY / "k8s-values.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
DEPLOYMENT = VALUES["dagster-user-deployments"]["deployments"][0]
PROJECT_FILE = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
OURS = f"chatai-assets:{PROJECT_FILE['project']['version']}"
SERVERS = {"QDRANT_URL": "http://q", "NEO4J_URI": "bolt://n", "NEO4J_USER": "n", "NEO4J_PASSWORD": "n"}
KEYS = {"GIGACHAT_API_KEY": "k", "OPENROUTER_API_KEY": "k"}


class Asked(dict[str, str]):
    """An environment that remembers which variables were looked for."""

    names: set[str]

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


@pytest.fixture(scope="module")
def known() -> set[str]:
    """All variables that the settings read."""
    environment = Asked(SERVERS | KEYS)
    environment.names = set()
    read_settings(environment)
    return environment.names


def locked(lock: str) -> dict[str, str]:
    """Return package -> version of a lock file."""
    return dict(
        re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([\w.]+)", (PROJECT / lock).read_text(encoding="utf-8"), re.MULTILINE)
    )


def images() -> Iterator[str]:
    """Yield the name of every image."""
    yield from re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    yield from (service["image"] for service in COMPOSE["services"].values())
    yield "{repository}:{tag}".format(**DEPLOYMENT["image"])


@pytest.mark.parametrize("image", sorted(set(images())))
def test_every_image_has_one_version(image: str):
    assert re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+\.?\d*(-[a-z]+)*", image)


def test_servers_have_the_versions_that_tests_and_clients_have():
    of_image = dict(image.split(":") for image in images())
    pom = (DEPLOY / "services" / "neo4j" / "pom.xml").read_text(encoding="utf-8")
    assert f"<version>{of_image['neo4j'].removesuffix('-community')}</version>" in pom
    assert of_image["qdrant/qdrant"] == f"v{locked('requirements.lock')['qdrant-client']}"


def test_our_image_has_the_projects_version_everywhere():
    assert {image for image in images() if image.startswith("chatai")} == {OURS}


def test_every_variable_is_a_setting(known: set[str]):
    ours = [service for service in COMPOSE["services"].values() if service["image"] == OURS]
    assert len(ours) == 3
    given = {name for service in ours for name in service["environment"]} | DEPLOYMENT["env"].keys()
    assert given >= SERVERS.keys() | {"DATABASE_URL", "DAGSTER_DATABASE_URL", "CHATAI_HOME"}
    assert given - known == set()
    said = re.search(r"secret chatai-settings holds (.*?) and", (DEPLOY / "k8s-values.yaml").read_text(), re.DOTALL)
    assert said
    assert set(re.findall(r"\w+_\w+", said[1])) - known == set()


def test_no_secret_stands_in_a_file():
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|AUTH|DATABASE_URL", name):
                assert re.search(r"\$\{\w+:\?\}", value), name


def test_every_file_that_is_named_exists():
    sources = [path for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for path in line.split()]
    mounted = [
        volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", [])
    ]
    paths = [*sources, *(f"deploy/{path}" for path in mounted if path.startswith("./"))]
    assert len(paths) > 5
    assert [path for path in paths if not (PROJECT / path).exists()] == []


def test_the_image_runs_for_nobody_in_particular_and_installs_what_is_locked():
    assert "pip install --require-hashes --requirement deploy/requirements.lock" in DOCKERFILE
    user = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert user == [str(DEPLOYMENT["podSecurityContext"]["runAsUser"])]


def test_the_browser_comes_with_the_versions_that_are_tested_and_no_address():
    tested, extra = locked("requirements.lock"), locked("deploy/requirements-browser.lock")
    assert {name: extra[name] for name in tested.keys() & extra.keys()}.items() <= tested.items()
    assert "crawl4ai" in extra, "make lock writes all locks"
    assert "://" not in (DEPLOY / "requirements-browser.lock").read_text(encoding="utf-8")


def test_the_image_has_the_versions_that_are_tested():
    tested, shipped = locked("requirements.lock"), locked("deploy/requirements.lock")
    common = tested.keys() & shipped.keys()
    assert {name: shipped[name] for name in common} == {name: tested[name] for name in common}
    wanted = {re.split("[^a-z0-9-]", each)[0] for each in PROJECT_FILE["project"]["dependencies"]}
    assert wanted | {"dagster-k8s"} <= shipped.keys(), "make lock writes both locks"
    assert not {"pytest-timeout", "mypy", "ruff"} & shipped.keys()


def test_limits_of_runs_are_those_of_the_projects_instance():
    ours, theirs = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8")), VALUES["dagsterDaemon"]
    assert theirs["runMonitoring"]["maxRuntimeSeconds"] == ours["run_monitoring"]["max_runtime_seconds"]
    assert theirs["runRetries"]["maxRetries"] == ours["run_retries"]["max_retries"]
    assert theirs["runRetries"]["retryOnAssetOrOpFailure"] is ours["run_retries"]["retry_on_asset_or_op_failure"]
