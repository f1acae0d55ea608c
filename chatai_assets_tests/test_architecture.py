"""The house stays in order: imports go down only, the domain touches nothing, the environment has one reader."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "chatai_assets"
LAYERS = {
    "domain": 0,
    "observability": 0,
    "settings": 1,
    "files": 2,
    "storage": 3,
    "adapters": 3,
    "llm": 4,
    "pipeline": 5,
    "operations": 6,
    "services": 7,
    "orchestration": 8,
}
TOP = 9
"""``cli`` and ``definitions``: what starts the program."""
SAME_LAYER = [{"storage", "adapters"}, {"domain", "observability"}]
"""Packages of one layer that do not import each other."""
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


def is_neighbour(importer: str, imported: str) -> bool:
    a, b = importer.split(".")[1:2], imported.split(".")[1:2]
    return a != b and any({*a, *b} == pair for pair in SAME_LAYER)


def dotted(module: Path) -> str:
    return ".".join(["chatai_assets", *module.relative_to(PACKAGE).with_suffix("").parts])


@pytest.mark.parametrize("module", MODULES, ids=dotted)
def test_imports_go_down_only(module: Path):
    mine = layer_of(dotted(module))
    inside = [name for name in imports_of(module) if name.startswith("chatai_assets.")]
    assert [name for name in inside if layer_of(name) > mine or is_neighbour(dotted(module), name)] == []


@pytest.mark.parametrize("module", sorted((PACKAGE / "domain").rglob("*.py")), ids=dotted)
def test_the_domain_knows_no_driver_clock_or_environment(module: Path):
    assert {name.partition(".")[0] for name in imports_of(module)} & OUTSIDE_DOMAIN == set()


def test_only_orchestration_and_the_program_import_dagster():
    importers = {dotted(module).split(".")[1] for module in MODULES if "dagster" in imports_of(module)}
    assert importers <= {"orchestration", "definitions"}


def test_only_storage_imports_sqlalchemy():
    importers = [dotted(m) for m in MODULES for name in imports_of(m) if name.partition(".")[0] == "sqlalchemy"]
    assert [name for name in importers if not name.startswith("chatai_assets.storage.")] == []
    tables = [dotted(m) for m in MODULES for name in imports_of(m) if name.startswith("chatai_assets.storage.schema")]
    assert [name for name in tables if not name.startswith("chatai_assets.storage.")] == []


def test_only_the_browser_child_loads_the_browser():
    importers = {dotted(module) for module in MODULES for name in imports_of(module) if name.startswith("crawl4ai")}
    showing = "chatai_assets.adapters.crawler.browser.chromium"
    assert importers == {showing}
    assert [dotted(m) for m in MODULES if showing in imports_of(m)] == ["chatai_assets.adapters.crawler.browser.worker"]


def test_only_settings_read_the_environment():
    readers = [dotted(m) for m in MODULES if "environ" in m.read_text(encoding="utf-8").replace("environment", "")]
    passed_on = {
        "chatai_assets.adapters.nlp.process_pool",
        "chatai_assets.adapters.sandbox.process",
        "chatai_assets.orchestration.watchdog.client",
        "chatai_assets.orchestration.watchdog.process",
    }
    assert set(readers) - passed_on <= {"chatai_assets.settings.__init__"}, (
        "children inherit, settings read, nobody else does"
    )


def test_no_module_is_a_drawer_for_everything():
    assert [m for m in MODULES if m.stem in {"utils", "helpers", "common", "misc"}] == []
    assert [(dotted(m), n) for m in MODULES if (n := len(m.read_text(encoding="utf-8").splitlines())) > 400] == []
