"""The table of stages says everything that is known of a stage, and no other module holds such a table."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from chatai_assets.domain.ids import STREAMS, fingerprint
from chatai_assets.domain.stages import (
    ALL_STAGES,
    ITEM_STAGES,
    PAID_STAGES,
    PIPELINE_STAGES,
    SEARCH_STAGES,
    STAGES,
    Stage,
    downstream_of,
    enqueued_after,
    stages_of_asset,
)
from chatai_assets.pipeline.runner import RUNNERS

PACKAGE = Path(__file__).parents[2] / "chatai_assets"
TABLE = PACKAGE / "domain" / "stages.py"
NAMES = set(get_args(Stage))


def test_the_stages_are_those_of_their_type():
    assert get_args(Stage) == ALL_STAGES
    assert RUNNERS.keys() == NAMES
    assert ITEM_STAGES == ("parse", "tag", "enrich", "embed", "index", "link")
    assert (*ITEM_STAGES, "crawl") == PIPELINE_STAGES
    assert PAID_STAGES == ("tag", "enrich", "embed")
    assert SEARCH_STAGES == ("parse", "embed", "index")


def test_what_follows_a_stage_is_known_from_what_it_reads():
    assert {stage: downstream_of(stage) for stage in ALL_STAGES} == {
        "parse": ("tag", "enrich", "embed", "index", "link", "crawl"),
        "tag": ("link",),
        "enrich": ("link",),
        "embed": ("index",),
        "index": (),
        "link": (),
        "crawl": (),
        "reindex": (),
    }
    assert {stage: after for stage in ALL_STAGES if (after := enqueued_after(stage))} == {
        "parse": ("tag", "enrich", "embed"),
        "tag": ("link",),
        "enrich": ("link",),
        "embed": ("index",),
    }


def test_posts_are_crawled_with_the_asset_that_enriches_them():
    assert stages_of_asset("enrich", "posts") == ("enrich", "crawl")
    assert stages_of_asset("enrich", "documents") == ("enrich",)


def test_fingerprints_are_what_is_stored():
    assert STAGES["parse"].fingerprint("posts") == fingerprint("parse", "posts", "3")
    assert STAGES["tag"].fingerprint("m") == fingerprint("tag", "m", "1")
    assert STAGES["link"].fingerprint() == fingerprint("link", "2")


@pytest.mark.parametrize("stage", ITEM_STAGES)
def test_every_asset_is_described_in_both_streams(stage):
    spec = STAGES[stage]
    assert spec.descriptions.keys() == set(STREAMS)
    assert spec.pool
    assert spec.preview[0].name == "source"


def is_table(node: ast.AST) -> bool:
    """Return whether code lists what is known of several stages: three keys or cases that are stages' names."""
    if isinstance(node, ast.Dict):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
    elif isinstance(node, ast.Match):
        keys = [case.value for case in ast.walk(node) if isinstance(case, ast.Constant)]
    else:
        return False
    return len(NAMES.intersection(keys)) > 2


def test_every_stage_is_described_once():
    tables = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path != TABLE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if is_table(node)
    }
    constants = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path != TABLE
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign) and "[Stage, " in ast.unparse(node.annotation).replace("tuple[Stage, ", "")
    }
    assert (tables, constants) == (set(), set())
