"""Neo4j 5 Community from its Maven artifacts, in the foreground: ``python3 deploy/services/neo4j.py [--folder F]``.

Maven resolves ``neo4j/pom.xml`` once into ``~/.cache/chatai/services`` (``CHATAI_SERVICES_CACHE``); Java 17 runs it.
Without ``--folder`` the data is temporary. The password is for this server alone, which listens on loopback only.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from serving import Missing, arguments, ensure_program, folder_or_temporary, free_port, run_script, serve

POM = Path(__file__).parent / "neo4j" / "pom.xml"
USER, PASSWORD = "neo4j", "loopback-only"
OPENED = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent", "java.lang")
"""Packages of java.base that Neo4j reaches into."""
JVM = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""A small server that starts fast."""
SETTINGS = """\
server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:{port}
server.http.enabled=false
server.https.enabled=false
server.memory.pagecache.size=64m
server.bolt.thread_pool_max_size=64
server.bolt.connection_keep_alive=3s
dbms.usage_report.enabled=false
db.tx_log.preallocate=false
db.tx_log.rotation.size=16m
db.logs.query.enabled=OFF
"""


def main() -> None:
    """Install, set the password where there is none, start."""
    options = arguments(__doc__ or "")
    java = ensure_program("java", ["openjdk-17-jre-headless"], installed_only=options.installed_only)
    jars = _jars(installed_only=options.installed_only)
    if options.install:
        return
    with folder_or_temporary(options.folder, "chatai-neo4j-") as home:
        port = options.port or free_port()
        _prepare(home, port)
        run = [java, *JVM, *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED), "-cp", f"{jars}/*"]
        if not (home / "data" / "dbms").exists():
            _set_password(run, home)
        serve(
            [*run, "org.neo4j.server.CommunityEntryPoint", f"--home-dir={home}", f"--config-dir={home / 'conf'}"],
            reach={"NEO4J_URI": f"bolt://127.0.0.1:{port}", "NEO4J_USER": USER, "NEO4J_PASSWORD": PASSWORD},
            is_ready=lambda: _answers(port),
            log=home / "server.log",
            until_eof=options.until_eof,
            # A clean stop takes ten seconds: worth it for data that stays.
            stop_by=signal.SIGTERM if options.folder else signal.SIGKILL,
        )


def _jars(*, installed_only: bool) -> Path:
    """Return the folder of Neo4j's jars; Maven fills it once, whoever comes first."""
    cache = Path(os.environ.get("CHATAI_SERVICES_CACHE") or Path.home() / ".cache" / "chatai" / "services")
    version = re.findall(r"<version>(.+?)</version>", POM.read_text(encoding="utf-8"))[-1]
    jars = cache / f"neo4j-{version}"
    if jars.is_dir():
        return jars
    if installed_only:
        raise Missing("Neo4j was never fetched here; run once: python3 deploy/services/neo4j.py --install")
    maven = ensure_program("mvn", ["maven"], installed_only=False)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "neo4j.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _fetch(maven, jars)
    return jars


def _fetch(maven: str, jars: Path) -> None:
    unfinished = jars.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}", "-DincludeScope=runtime"]
    subprocess.run([maven, "-B", "-q", "-f", POM, *copy], check=True, stdout=sys.stderr)
    unfinished.rename(jars)


def _prepare(home: Path, port: int) -> None:
    for name in ("conf", "data", "logs", "run", "plugins", "import"):
        (home / name).mkdir(exist_ok=True)
    (home / "conf" / "neo4j.conf").write_text(SETTINGS.format(port=port), encoding="ascii")


def _set_password(run: list[str], home: Path) -> None:
    command = [*run, "org.neo4j.server.startup.Neo4jAdminCommand", "dbms", "set-initial-password", PASSWORD]
    environment = os.environ | {"NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def _answers(port: int) -> bool:
    """Return whether the server shakes hands in Bolt; it listens only when its databases are there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(bytes.fromhex("6060b017 00000405 00000005 00000004 00000000"))
        return len(connection.recv(4)) == 4
    return False


if __name__ == "__main__":
    run_script(main)
