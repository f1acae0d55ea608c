"""The Dagster instance of a home: the same for the UI, the daemon and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.instance import InstanceRef

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.files.os_errors import describe_errno
from chatai_assets.settings import PROJECT, Settings
from chatai_assets.storage.engine import translate_errors

NOTHING_CAPTURED = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}
INSTANCE_FILE = "dagster.yaml"
SERVED_FILE = "deploy/dagster.yaml"
"""The configuration with Dagster's history in PostgreSQL, at ``DAGSTER_DATABASE_URL``."""
END_OF_PATHS = "# --- end of paths"


def home_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the instance of the UI and the daemon, for runs in this process; a context manager.

    Its history is in the home, or in PostgreSQL if ``DAGSTER_DATABASE_URL`` is set. Output of this process is not
    captured: that would start four processes per run.
    """
    ref = InstanceRef.from_dir(str(prepare_dagster_home(settings)), overrides={"compute_logs": NOTHING_CAPTURED})
    return dg.DagsterInstance.from_ref(ref)


@contextmanager
def translate_history_errors() -> Iterator[None]:
    """Raise ``StoreUnavailable`` instead of what Dagster raises if it cannot read or write its history."""
    try:
        with translate_errors("Dagster's history", part=""):
            yield
    except OSError as error:
        raise StoreUnavailable(f"Dagster's history cannot be kept: {describe_errno(error.errno)}.") from error


def prepare_dagster_home(settings: Settings) -> Path:
    """Create the folder that ``DAGSTER_HOME`` names, with the project's ``dagster.yaml``, and return it.

    With ``DAGSTER_HOME`` Dagster stores everything in that folder. So the paths in the project's file are left out:
    they are for starting Dagster in the project's folder without it. ``make run`` does the same.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    file = home / INSTANCE_FILE
    wanted = _config_text(settings)
    if not file.exists() or file.read_text(encoding="utf-8") != wanted:
        file.write_text(wanted, encoding="utf-8")
    return home


def _config_text(settings: Settings) -> str:
    if settings.dagster_database_url:
        return (PROJECT / SERVED_FILE).read_text(encoding="utf-8")
    text = (PROJECT / INSTANCE_FILE).read_text(encoding="utf-8")
    before, found, after = text.partition(END_OF_PATHS)
    return after.removeprefix("\n") if found else before
