"""The command ``chatai``: parse arguments, call an operation, print.

One JSON document on stdout with ``--json``, else text for people; errors are one sentence on stderr,
and the exit code is 0 only on success. The JSON keys are an interface.
"""

from __future__ import annotations

import signal
import sys

import click

from chatai_assets.cli import (
    dead_letters,
    entities,
    erasure,
    ingest,
    items,
    maintenance,
    process,
    reindexing,
    search,
    status,
)
from chatai_assets.domain.errors import ChatAIError
from chatai_assets.observability import configure_logging
from chatai_assets.services import open_services
from chatai_assets.settings import read_settings
from chatai_assets.settings.values import InvalidSetting

MODULES = (dead_letters, entities, erasure, ingest, items, maintenance, process, reindexing, search, status)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """Telegram posts and documents as searchable knowledge."""
    settings = read_settings()
    configure_logging("WARNING" if settings.log_level == "INFO" else settings.log_level)
    context.obj = context.with_resource(open_services(settings))


for module in MODULES:
    for command in module.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run the command line: expected errors print one sentence and exit with code 1; SIGTERM acts like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(cli.main(standalone_mode=False))
    except (ChatAIError, InvalidSetting) as error:
        _end(str(error), 1)
    except click.ClickException as error:
        _end(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _end("Stopped; what was finished is kept, the rest is still pending.", 130)


def _end(sentence: str, code: int) -> None:
    click.echo(sentence, err=True)
    sys.exit(code)
