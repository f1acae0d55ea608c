"""Dead letters in Dagster: the check that names them, the sensor that tells of them, the job that replays them."""

import dagster as dg
import pytest

from chatai_assets.orchestration.checks import dead_letters_result, format_age
from chatai_assets.storage import dead_letters
from chatai_assets.storage.dead_letters import DeadLetterFilter


@pytest.fixture
def bad(home):
    """A home with two bad documents."""
    for number in range(2):
        home.document(f"{number}.pdf", f"%PDF-1.4\nnot really {number}\n".encode())
    home.run("documents", home.hour())
    return home


def letters(home):
    with home.records.reading() as connection:
        return dead_letters.list_dead_letters(connection, DeadLetterFilter(resolved=None))


def replay(home, **config):
    job = home.defs.resolve_job_def("replay_dead_letters")
    return job.execute_in_process(run_config=config, instance=home.instance, raise_on_error=False)


def test_the_check_says_how_many_how_old_which_and_what_to_do(bad):
    result = dead_letters_result(bad.records, "documents")
    assert not result.passed
    assert result.description
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert "2 of the documents were given up (corrupt: 2)" in result.description
    assert all(letter["source"] in result.description for letter in letters(bad))
    assert "chatai dead-letters replay --stream documents --all" in result.description
    assert result.metadata["by_stage"].value == {"parse": 2}
    assert result.metadata["oldest_age_s"].value in range(300)
    assert dead_letters_result(bad.records, "posts").passed


@pytest.mark.parametrize(
    ("seconds", "told"), [(5, "5 s"), (119, "119 s"), (120, "2 minutes"), (7_300, "2 hours"), (200_000, "2 days")]
)
def test_an_age_is_told_in_the_largest_fitting_unit(seconds, told):
    assert format_age(seconds) == told


def test_the_sensor_tells_of_new_letters_once(bad):
    sensor = bad.defs.resolve_sensor_def("dead_letters")

    def tick():
        return sensor.evaluate_tick(dg.build_sensor_context(instance=bad.instance, definitions=bad.defs)).skip_message

    assert "2 items were given up: 2 corrupt at parse of documents" in tick()
    assert tick() == "There is nothing to tell of."


def test_the_job_makes_the_chosen_pending_again_and_the_next_run_does_them(bad):
    first, second = (letter["id"] for letter in letters(bad))
    assert replay(bad, ids=[first]).success
    assert bad.states("documents") == {"searchable": 0, "pending": 1, "failed": 1}
    result = replay(bad, error_class="corrupt")
    (output,) = [event for event in result.all_events if event.is_successful_output]
    metadata = output.step_output_data.metadata
    assert (metadata["replayed"].value, metadata["waiting_already"].value) == (1, 1)
    bad.run("documents", bad.hour())
    assert [letter["id"] for letter in letters(bad)] == sorted([first, second], reverse=True)
    assert bad.states("documents") == {"searchable": 0, "pending": 0, "failed": 2}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "Fill in ids or error_class"),
        ({"ids": [99]}, "There is no dead letter 99"),
        ({"everything": True, "stage": "pars"}, "There is no stream or stage 'pars'"),
    ],
)
def test_the_job_says_what_is_wrong_with_its_config(bad, config, reason):
    result = replay(bad, **config)
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert reason in failed.step_failure_data.user_failure_data.description
