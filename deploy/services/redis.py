"""Redis from Debian, in the foreground: ``python3 deploy/services/redis.py [--folder F] [--port N]``.

Without ``--folder`` nothing is written to disk.
"""

from __future__ import annotations

import subprocess

from serving import arguments, ensure_program, folder_or_temporary, free_port, run_script, serve


def main() -> None:
    """Install and start."""
    options = arguments(__doc__ or "")
    server = ensure_program("redis-server", ["redis-server"], installed_only=options.installed_only)
    client = ensure_program("redis-cli", ["redis-tools"], installed_only=options.installed_only)
    if options.install:
        return
    with folder_or_temporary(options.folder, "chatai-redis-") as base:
        port = options.port or free_port()
        kept = ["--appendonly", "yes"] if options.folder else ["--save", ""]
        serve(
            [server, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(base), *kept],
            reach={"REDIS_URL": f"redis://127.0.0.1:{port}/0"},
            is_ready=lambda: subprocess.run(
                [client, "-h", "127.0.0.1", "-p", str(port), "ping"], check=False, capture_output=True
            ).stdout.startswith(b"PONG"),
            log=base / "server.log",
            until_eof=options.until_eof,
        )


if __name__ == "__main__":
    run_script(main)
