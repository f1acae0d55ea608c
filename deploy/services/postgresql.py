"""PostgreSQL from Debian, in the foreground: ``python3 deploy/services/postgresql.py [--folder F] [--port N]``.

Started by root, it runs as the user ``postgres``, for it refuses to be root; started by anybody else, as that user.
Without ``--folder`` the data is temporary and nothing is synced to disk: fast, and gone after the stop.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from pathlib import Path
from typing import Any

from serving import arguments, ensure, folder_or_temporary, free_port, run_script, serve

VERSIONS = Path("/usr/lib/postgresql")
CAREFREE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def main() -> None:
    """Install, make a cluster where there is none, start."""
    options = arguments(__doc__ or "")
    programs = Path(ensure(_newest_programs, ["postgresql"], installed_only=options.installed_only))
    if options.install:
        return
    with folder_or_temporary(options.folder, "chatai-postgresql-") as base:
        port, user, data = options.port or free_port(), _user(base), base / "data"
        if not (data / "PG_VERSION").exists():
            made = [
                str(programs / "initdb"),
                "-D",
                str(data),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "-N",
            ]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL, **user)
        settings = ["listen_addresses=127.0.0.1", "max_connections=200", *(() if options.folder else CAREFREE)]
        chosen = [part for setting in settings for part in ("-c", setting)]
        serve(
            [str(programs / "postgres"), "-D", str(data), "-k", str(base), "-p", str(port), *chosen],
            reach={"DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/postgres"},
            is_ready=lambda: not subprocess.call([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]),
            log=base / "server.log",
            until_eof=options.until_eof,
            stop_by=signal.SIGINT,  # SIGTERM would wait for those who are connected
            **user,
        )


def _newest_programs() -> str | None:
    found = sorted(VERSIONS.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return str(found[-1].parent) if found else None


def _user(base: Path) -> dict[str, Any]:
    """Return for ``subprocess`` who the server is, and let that user have the folder."""
    if os.geteuid() != 0:
        return {"cwd": base}
    user = pwd.getpwnam("postgres")
    os.chown(base, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": base}


if __name__ == "__main__":
    run_script(main)
