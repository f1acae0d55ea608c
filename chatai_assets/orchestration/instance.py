"""The Dagster instance of a home: the same for the UI, the daemon and the command line."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from chatai_assets.settings import PROJECT, Settings

INSTANCE_FILE = "dagster.yaml"
END_OF_PATHS = "# --- end of paths"


def home_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the instance whose history lies in the home; a context manager."""
    return dg.DagsterInstance.from_config(str(prepare_dagster_home(settings)))


def prepare_dagster_home(settings: Settings) -> Path:
    """Make the folder that ``DAGSTER_HOME`` names, with the project's ``dagster.yaml``, and return it.

    Where Dagster is given that folder it keeps everything in it by itself, so the paths of the project's file, which
    serve those who start Dagster in the project's folder without it, are left out. ``make run`` does the same.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    file = home / INSTANCE_FILE
    wanted = _without_paths((PROJECT / INSTANCE_FILE).read_text(encoding="utf-8"))
    if not file.exists() or file.read_text(encoding="utf-8") != wanted:
        file.write_text(wanted, encoding="utf-8")
    return home


def _without_paths(text: str) -> str:
    before, found, after = text.partition(END_OF_PATHS)
    return after.removeprefix("\n") if found else before
