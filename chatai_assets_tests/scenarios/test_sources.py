"""The short form of ``sources``; the long one is a command."""

from random import SystemRandom

from chatai_assets_tests.scenarios import sources


def test_stores_hold_the_living_latest_revisions_whatever_changed_and_whoever_was_killed(tmp_path):
    seed = SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    outcome = sources.run(tmp_path, sources.Plan(items=60, kills=3, seed=seed, share=0.07))
    assert outcome.faults == []
    assert outcome.needless == 0
    assert outcome.again <= outcome.in_flight
    assert outcome.kills == 3
    assert 0 < outcome.new_chunks <= outcome.embedded
