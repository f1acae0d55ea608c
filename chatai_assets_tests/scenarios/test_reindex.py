"""The short form of ``reindex``; the long one is a command."""

from random import SystemRandom

import pytest

from chatai_assets_tests.scenarios import reindex


@pytest.mark.parametrize("kind", ["embedded", "postgresql"])
def test_another_model_comes_to_serve_and_nobody_misses_anything(tmp_path, request, kind):
    servers = {"DATABASE_URL": request.getfixturevalue("database_url")} if kind == "postgresql" else {}
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    plan = reindex.Plan(items=150, searches_per_second=5, kills=2, seed=seed, changes=4, lives_s=(0.2, 0.6))
    outcome = reindex.run(tmp_path, plan, servers)
    assert (outcome.faults, outcome.again) == ([], 0)
    assert "meaning alone" in outcome.refused
