"""Every command that README.md and its manual show is run here, or is a target of the Makefile that others run."""

import os
import re
import shlex
from pathlib import Path

import pytest

from chatai_assets.settings import PROJECT
from chatai_assets_tests.support.daemon import BIN, clean_environment, run_command

README = PROJECT / "README.md"
OPERATIONS = PROJECT / "deploy" / "operations.md"
TESTS = PROJECT / "chatai_assets_tests" / "README.md"
TARGETS_RUN_ELSEWHERE = {"run", "test", "test-scenarios", "check", "bench", "pictures"}
"""``run`` by the daemon's tests; ``test``, ``test-scenarios`` and ``check`` by CI. By hand: ``bench``, which needs the
corpus, and ``pictures``, whose tests of the browser CI runs as well."""

SCOPES = {"GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"}
"""Values of a setting."""


def commands() -> list[str]:
    """Return the lines of all ``sh`` blocks, first of the README, then of the manual, without comments."""
    told = "\n".join(path.read_text(encoding="utf-8") for path in (README, OPERATIONS))
    blocks = re.findall(r"^```sh\n(.*?)^```", told, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_every_command_of_the_readme_is_known():
    strange = [line for line in commands() if shlex.split(line)[0] not in {"chatai", "make"}]
    assert not strange
    assert any(line.startswith("chatai ") for line in commands())


def test_every_make_target_of_the_readme_exists_and_is_run():
    named = {target for line in commands() if line.startswith("make ") for target in shlex.split(line)[1:]}
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert named <= set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert named <= TARGETS_RUN_ELSEWHERE


@pytest.mark.scenario
def test_the_chatai_commands_of_the_readme_work_one_after_the_other(tmp_path: Path):
    """As they stand there, in an empty home; what they find is in the bundled samples."""
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


def test_every_scenario_that_is_told_of_is_a_command():
    told = TESTS.read_text(encoding="utf-8")
    _, _, rows = told.partition("\n| scenario |")[2].partition("\n|---|---|\n")
    cells = [row.split("|")[1] for row in rows.partition("\n\n")[0].splitlines()]
    assert cells
    for name in re.findall(r"\w+", " ".join(cells)):
        module = PROJECT / "chatai_assets_tests" / "scenarios" / f"{name}.py"
        assert 'if __name__ == "__main__"' in module.read_text(encoding="utf-8"), name


@pytest.mark.parametrize("page", [README, OPERATIONS, TESTS], ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_every_picture_and_every_place_that_is_linked_is_there(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        linked = page.parent / path
        assert linked.is_file(), target
        headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        assert not heading or heading in {each.lower().replace(" ", "-") for each in headings}, target


def test_the_table_of_settings_names_what_is_read_and_nothing_else():
    name = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"
    sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "chatai_assets" / "settings").glob("*.py")]
    read = {found for source in sources for found in re.findall(rf"[\"`]({name})[\"`]", source)} - SCOPES
    table = OPERATIONS.read_text(encoding="utf-8").partition("| setting |")[2].partition("\n\n")[0]
    told = set(re.findall(name, table)) - SCOPES
    assert read - told == set()
    assert told - read == {"DAGSTER_HOME"}, "which is Dagster's own"
