"""What all commands share: common options, progress and printing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from chatai_assets.settings import Settings

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
tenant = click.option("--tenant", default=None, help="The organization; CHATAI_TENANT or 'default' by default.")


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def log_level(settings: Settings) -> str:
    """Return the least level of log lines: at a terminal INFO lines are left out, since people see the progress."""
    at_terminal = Console(stderr=True).is_terminal
    return "WARNING" if at_terminal and settings.log_level == "INFO" else settings.log_level


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None] | None]:
    """Show a spinner with a text on stderr; yield the function that sets the text, or None if it is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(title)
        yield lambda text: shown.update(task, description=f"{title}: {text}")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, str], None] | None]:
    """Show a bar on stderr; yield the function that takes the steps left and a text, or None if it is no terminal.

    The bar is full when no steps are left of the most that there were so far. Log lines are written above it, whole.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as shown:
        task, most = shown.add_task(title, total=None), 0

        def update(left: int, text: str) -> None:
            nonlocal most
            most = max(most, left)
            shown.update(task, total=most, completed=most - left, description=f"{title}: {text}")

        yield update
