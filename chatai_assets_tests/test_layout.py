"""Every package stays small enough to read, every name means one thing, and every module has its tests."""

import ast
import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "chatai_assets"
GLOSSARY = TESTS.parent / "deploy" / "docs" / "glossary.md"
MODULES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py" and "versions" not in path.parent.name
]
MAX_MODULES = 18
LARGE_PACKAGES = {
    "domain": 20,  # one concept each; packages of their own would hold one or two modules
    "storage": 28,  # one module for each table or group of tables
}
MIN_LINES, MAX_LINES = 25, 500
SHORT_MODULES = {
    "adapters/crawler/base.py": "the protocol, which must not load the crawler's libraries",
    "adapters/graph/ladybug_generation.py": "read without loading ladybug",
    "definitions.py": "what Dagster loads",
    "orchestration/jobs/launchpad.py": "shared by jobs that take one source key",
    "orchestration/partitions.py": "the one place that knows what a partition is",
    "storage/migrations/env.py": "Alembic's entry",
    "storage/schema/metadata.py": "naming conventions that all tables share",
}
LONG_MODULES: dict[str, str] = {}
COVERING_TESTS = TESTS / "covering_tests.tsv"
"""Modules without a test file at the mirrored path: module, the file that covers it."""


def place(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def defined_types(module: Path) -> Iterator[str]:
    """Yield the public classes and type aliases of a module."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
            yield from (each.id for each in node.targets if isinstance(each, ast.Name) and each.id[:1].isupper())


def has_small_letters(name: str) -> bool:
    return not name.isupper() and not name.startswith("_")


def test_a_package_has_at_most_eighteen_modules():
    sizes = Counter(module.parent.relative_to(PACKAGE).as_posix() for module in MODULES)
    assert {name: size for name, size in sizes.items() if size > LARGE_PACKAGES.get(name, MAX_MODULES)} == {}


def test_a_module_is_neither_a_splinter_nor_a_heap():
    lines = {place(module): len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert {name: n for name, n in lines.items() if n < MIN_LINES and name not in SHORT_MODULES} == {}
    assert {name: n for name, n in lines.items() if n > MAX_LINES and name not in LONG_MODULES} == {}


def test_no_module_is_part_of_another():
    heads = {
        place(module): ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "" for module in MODULES
    }
    assert [name for name, head in heads.items() if "part of ``" in head] == []


def test_names_of_classes_and_type_aliases_are_unique():
    homes = defaultdict(list)
    for module in MODULES:
        for name in set(filter(has_small_letters, defined_types(module))):
            homes[name].append(place(module))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_one_stem_is_one_concept():
    """A module name recurs only where it means the same concept, which has a line in the glossary."""
    homes = defaultdict(list)
    for module in MODULES:
        homes[module.stem].append(place(module))
    glossary = GLOSSARY.read_text(encoding="utf-8")
    repeated = {stem: found for stem, found in homes.items() if len(found) > 1}
    named = {stem for stem in repeated if f"/{stem}.py`" in glossary or f"`{stem}.py`" in glossary}
    assert {stem: repeated[stem] for stem in repeated.keys() - named} == {}


def test_no_module_is_a_drawer_for_everything():
    assert [place(module) for module in MODULES if module.stem in {"utils", "helpers", "common", "misc", "tools"}] == []


def test_every_stage_is_described_once():
    """No other module holds a table keyed by stage; what is made from the table of stages is no such table."""
    tables = [
        f"{place(module)}:{node.lineno}"
        for module in MODULES
        if place(module) != "domain/stages.py"
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign)
        and ast.unparse(node.annotation).startswith(("dict[Stage", "Mapping[Stage"))
        and isinstance(node.value, ast.Dict)
    ]
    assert tables == []


def covering_tests() -> dict[str, str]:
    with COVERING_TESTS.open(encoding="utf-8", newline="") as file:
        return dict(csv.reader(file, delimiter="\t"))


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_each_module_has_its_tests(module: Path):
    relative = module.relative_to(PACKAGE)
    mirrored = TESTS / relative.parent / f"test_{relative.name}"
    covering = covering_tests().get(place(module))
    assert mirrored.is_file() or covering, f"write {mirrored.relative_to(TESTS)}, or name what covers the module"
    assert covering is None or (TESTS / covering).is_file()


def test_covering_tests_are_named_for_modules_without_tests_of_their_own():
    named = covering_tests()
    assert list(named) == sorted(named)
    assert named.keys() <= {place(module) for module in MODULES}
    own = [name for name in named if (TESTS / Path(name).parent / f"test_{Path(name).name}").is_file()]
    assert own == []
