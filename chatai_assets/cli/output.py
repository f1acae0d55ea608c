"""What all commands share: their usual options, and how they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
tenant = click.option("--tenant", default=None, help="The organization; CHATAI_TENANT or 'default' by default.")


def print_json(value: Any) -> None:
    """Print one document."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None] | None]:
    """Show on a terminal what is going on; elsewhere give None."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(title)
        yield lambda text: shown.update(task, description=f"{title}: {text}")
