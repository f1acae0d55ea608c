"""``chatai cleanup``; its JSON keys are an interface."""

import json
import time

from click.testing import CliRunner

from chatai_assets.cli.main import cli
from chatai_assets.services import Services
from chatai_assets_tests.support.pipeline import (
    contents,
    find_inconsistencies,
    ingest_posts,
    message,
    migrated_settings,
    process_all,
)

DAY_S = 86_400


def test_what_has_expired_is_gone_without_a_daemon_and_the_rest_is_not(tmp_path):
    home = tmp_path / "home"
    with Services(migrated_settings(home)) as services:
        ingest_posts(services, [message(1, "Вчера Мария видела Байкал.")], now=time.time() - 31 * DAY_S)
        ingest_posts(services, [message(2, "Вчера Мария видела Париж.")], now=time.time() - 29 * DAY_S)
        process_all(services)
    environment = {"CHATAI_HOME": str(home), "CHATAI_MODELS": "free"}
    done = CliRunner().invoke(cli, ["cleanup", "--json"], env=environment)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["expired"], told["gone"]["posts"], told["gone"]["points"]) == (1, 1, 1)
    with Services(migrated_settings(home)) as services:
        found = contents(services)
        assert [payload["source"].rpartition("/")[2] for payload in found["points"].values()] == ["2"]
        assert find_inconsistencies(found) == []
    again = CliRunner().invoke(cli, ["cleanup"], env=environment)
    assert again.output.startswith("0 items had expired and are gone; dropped or rolled up: ")
