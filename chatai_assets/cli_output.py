"""What all commands share: their usual options, and how they print."""

from __future__ import annotations

import json
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
tenant = click.option("--tenant", default=None, help="The organization; CHATAI_TENANT or 'default' by default.")


def print_json(value: Any) -> None:
    """Print one document."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))
