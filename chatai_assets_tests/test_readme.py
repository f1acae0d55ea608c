"""The documentation is true: its commands run, its links resolve, the modules that it names exist."""

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from chatai_assets.settings import PROJECT
from chatai_assets_tests.support.daemon import BIN, clean_environment, run_command

README = PROJECT / "README.md"
OPERATIONS = PROJECT / "deploy" / "operations.md"
CONTRIBUTING = PROJECT / ".github" / "CONTRIBUTING.md"
TESTS = PROJECT / "chatai_assets_tests" / "README.md"
WITH_COMMANDS = (README, OPERATIONS, CONTRIBUTING)
PAGES = [*WITH_COMMANDS, TESTS, PROJECT / "CHANGELOG.md", *sorted((PROJECT / "deploy" / "docs").rglob("*.md"))]
NAME_MODULES = [README, CONTRIBUTING, *sorted((PROJECT / "deploy" / "docs").rglob("*.md"))]
MAX_README_WORDS = 900
TARGETS_RUN_ELSEWHERE = {"run", "setup", "test", "test-scenarios", "check", "bench", "pictures"}
"""``run`` by the daemon's tests; ``setup``, ``test``, ``test-scenarios`` and ``check`` by CI. By hand: ``bench``, which
needs the corpus, and ``pictures``, whose tests of the browser CI runs as well."""

PACKAGES = {path.name for path in (PROJECT / "chatai_assets").iterdir() if path.is_dir()} | {
    "deploy",
    "chatai_assets",
    "chatai_assets_tests",
}

SCOPES = {"GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"}
"""Values of a setting."""


def commands() -> list[str]:
    """Return the lines of all ``sh`` blocks, first of the README, then of the other pages, without comments."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in WITH_COMMANDS)
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_every_command_of_the_readme_is_known():
    unknown = [line for line in commands() if shlex.split(line)[0] not in {"chatai", "make"}]
    assert not unknown
    assert any(line.startswith("chatai ") for line in commands())


def test_every_make_target_of_the_readme_exists_and_is_run():
    named = {target for line in commands() if line.startswith("make ") for target in shlex.split(line)[1:]}
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert named <= set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert named <= TARGETS_RUN_ELSEWHERE


@pytest.mark.scenario
def test_the_chatai_commands_of_the_readme_work_one_after_the_other(tmp_path: Path):
    """In an empty home, in the order of the pages; what they find is in the bundled samples."""
    environment = {
        **clean_environment(),
        "CHATAI_HOME": str(tmp_path),
        "CHATAI_MODELS": "free",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    for line in commands():
        if line.startswith("chatai "):
            done = run_command(shlex.split(line), environment)
            assert done.returncode == 0, f"{line}: {done.stderr}"
            assert "Traceback" not in done.stderr, line


def test_every_scenario_that_is_listed_is_a_command():
    text = TESTS.read_text(encoding="utf-8")
    _, _, rows = text.partition("\n| scenario |")[2].partition("\n|---|---|\n")
    cells = [row.split("|")[1] for row in rows.partition("\n\n")[0].splitlines()]
    assert cells
    for name in re.findall(r"\w+", " ".join(cells)):
        module = PROJECT / "chatai_assets_tests" / "scenarios" / f"{name}.py"
        assert 'if __name__ == "__main__"' in module.read_text(encoding="utf-8"), name


def test_the_readme_stays_short():
    assert len(README.read_text(encoding="utf-8").split()) <= MAX_README_WORDS


def relative(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_picture_and_every_place_that_is_linked_is_there(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        linked = page.parent / path
        assert linked.is_file(), target
        headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        assert not heading or heading in {each.lower().replace(" ", "-") for each in headings}, target


@pytest.mark.parametrize("page", NAME_MODULES, ids=relative)
def test_every_module_and_package_that_is_named_exists(page: Path):
    """Names in backticks: ``domain/retry.py`` is in the product, ``deploy/...`` and others in the project."""
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)*(?:/|/[\w.-]+\.\w+))`", page.read_text(encoding="utf-8"))
    places = [name for name in named if name.partition("/")[0] in PACKAGES]
    missing = [
        name for name in places if not any((root / name).exists() for root in (PROJECT, PROJECT / "chatai_assets"))
    ]
    assert missing == []


def test_decisions_are_numbered_dated_and_listed():
    folder = PROJECT / "deploy" / "docs" / "decisions"
    pages = sorted(page for page in folder.glob("*.md") if page.name != "README.md")
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(1, len(pages) + 1)]
    index = (folder / "README.md").read_text(encoding="utf-8")
    for page in pages:
        title, _, dated, *_ = page.read_text(encoding="utf-8").splitlines()
        date = re.fullmatch(r"(\d{4}-\d\d-\d\d), (accepted|replaced by \d{4})\.", dated)
        assert date, page.name
        assert f"| [{page.name[:4]}]({page.name}) | {title.partition('. ')[2]} | {date[1]} |" in index


@pytest.mark.parametrize(
    ("subject", "is_good"),
    [
        ("storage: commit a batch in one call", True),
        ("orchestration/watchdog: report the stage\n\nIts name was missing.", True),
        ("Merge branch 'main'", True),
        ("Let the bell be rung", False),
        ("storage:commit", False),
        ("storage: " + "x" * 64, False),
        ("\n\nstorage: in the body", False),
    ],
)
def test_the_hook_accepts_subjects_with_an_area(subject: str, is_good: bool):  # noqa: FBT001 - a parameter of pytest
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hook = next(hook for repo in config["repos"] for hook in repo["hooks"] if hook["id"] == "commit-subject")
    assert bool(re.search(hook["entry"], subject, re.MULTILINE | re.DOTALL)) is is_good


def test_the_hooks_do_what_make_check_does():
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    steps = re.findall(
        r"^\t\$\(BIN\)/(.+)$", makefile.partition("\ncheck: setup\n")[2].partition("\n\n")[0], re.MULTILINE
    )
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    assert steps
    for step in steps:
        words = [word for word in step.split() if word != "."]
        assert any(entry.startswith(".venv/bin/") and set(words) <= set(entry[10:].split()) for entry in entries), step


def test_the_table_of_settings_names_what_is_read_and_nothing_else():
    name = r"(?!X_)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"  # X_ stands for the name of a provider
    sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "chatai_assets" / "settings").glob("*.py")]
    read = {found for source in sources for found in re.findall(rf"\"({name})\"", source)} - SCOPES
    table = OPERATIONS.read_text(encoding="utf-8").partition("| setting |")[2].partition("\n\n")[0]
    named = re.findall(rf"^\| `({name})` \|", table, re.MULTILINE)
    assert len(named) == len(table.splitlines()) - 2
    assert sorted(named) == sorted(read)
