"""The house stays in order: imports go down only, the domain touches nothing, the environment has one reader."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "chatai_assets"
LAYERS = {"domain": 0, "settings": 0, "observability": 0, "adapters": 1, "stages": 2, "assembly": 3}
TOP = 4
"""``orchestration``, ``definitions``, ``cli`` and whatever else starts the program."""
OUTSIDE_DOMAIN = {
    "dagster",
    "httpx",
    "sqlalchemy",
    "neo4j",
    "qdrant_edge",
    "ladybug",
    "os",
    "time",
    "socket",
    "subprocess",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield node.module or ""


def layer_of(name: str) -> int:
    parts = name.split(".")
    return LAYERS.get(parts[1], TOP) if len(parts) > 1 else -1


def dotted(module: Path) -> str:
    return ".".join(["chatai_assets", *module.relative_to(PACKAGE).with_suffix("").parts])


@pytest.mark.parametrize("module", MODULES, ids=dotted)
def test_imports_go_down_only(module: Path):
    mine = layer_of(dotted(module))
    inside = [name for name in imports_of(module) if name.startswith("chatai_assets.")]
    assert [name for name in inside if layer_of(name) > mine] == []


@pytest.mark.parametrize("module", sorted((PACKAGE / "domain").glob("*.py")), ids=dotted)
def test_the_domain_knows_no_driver_clock_or_environment(module: Path):
    assert {name.partition(".")[0] for name in imports_of(module)} & OUTSIDE_DOMAIN == set()


def test_only_orchestration_and_the_program_import_dagster():
    importers = {dotted(module).split(".")[1] for module in MODULES if "dagster" in imports_of(module)}
    assert importers <= {"orchestration", "definitions"}


def test_only_the_browser_child_loads_the_browser():
    importers = {dotted(module) for module in MODULES for name in imports_of(module) if name.startswith("crawl4ai")}
    showing = "chatai_assets.adapters.web.browser.showing"
    assert importers == {showing}
    assert [dotted(m) for m in MODULES if showing in imports_of(m)] == ["chatai_assets.adapters.web.browser.child"]


def test_only_settings_read_the_environment():
    readers = [dotted(m) for m in MODULES if "environ" in m.read_text(encoding="utf-8").replace("environment", "")]
    passed_on = {
        "chatai_assets.adapters.models.offline.workers",
        "chatai_assets.adapters.parsers.child_process",
        "chatai_assets.orchestration.watchdog",
        "chatai_assets.orchestration.watchdog_process",
    }
    assert set(readers) - passed_on <= {"chatai_assets.settings.__init__"}, (
        "children inherit, settings read, nobody else does"
    )


def test_no_module_is_a_drawer_for_everything():
    assert [m for m in MODULES if m.stem in {"utils", "helpers", "common", "misc"}] == []
    assert [(dotted(m), n) for m in MODULES if (n := len(m.read_text(encoding="utf-8").splitlines())) > 400] == []
