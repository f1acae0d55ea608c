"""A small home packed as one file, so that a later version can prove that it opens what this version wrote.

Before a release, run ``python -m chatai_assets_tests.support.home_archive FILE.tar.xz``: it fills a home through the
command line on embedded stores with the free models, and packs everything except the history of Dagster's runs.
``unpack_home`` restores it. The texts are written for this module; the archive holds no path and no host name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from chatai_assets_tests.support.files import pdf

CHAT = -1_000_000_000_456
DATE = 1_700_000_000
EDITED_POST = f"tg/{CHAT}/3"
EDITED_TEXT = "Вечером доктор Мария и город Тверь видят реку Волга, а паром ушёл в Углич."
POSTS = (
    "Утром паром прибыл в город Кострома, где его встретил капитан Борис.",
    "The ferry left the harbour of Whitby and the captain Harold saw two seals.",
    "Вечером доктор Мария и город Тверь видят реку Волга.",
    "The otter cracks mussels on a flat stone near the mill of Bakewell.",
    "В саду расцвела старая яблоня, и соседка Анна сварила варенье.",
    "The gardener Olivia prunes the pear trees of Ludlow before the frost.",
    "Сегодня библиотека открыла выставку карт, которые нарисовал Пётр.",
    "A librarian named Edith found a map of Orkney between two atlases.",
    "На станции Бологое поезд ждал сорок минут, пока чинили семафор.",
    "The signalman Walter oiled the points at Settle and rang the bell twice.",
    "Лодочник Семён продал сеть и купил фонарь для пристани в Плёсе.",
    "A lantern in the boathouse of Windermere burned until the morning.",
)
DOCUMENTS = {
    "ferry-timetable.txt": "The ferry of Whitby sails at nine and at noon. In a storm it stays in the harbour.",
    "сад.md": "# Уход за садом\n\nЯблони поливают раз в неделю, а груши укрывают до первых морозов.\n",
}
UNREADABLE = "unreadable.pdf"
"""A document that stays a dead letter."""
FREE_MODELS = {"CHATAI_MODELS": "free", "CHATAI_PARSER_PROCESSES": "1", "CHATAI_SAMPLES": "0"}
NOT_PACKED = ("dagster", "inbox")


def update(number: int, text: str, *, edited: int | None = None) -> dict[str, Any]:
    """Return a channel post, or an edit of one, as the Bot API sends it."""
    chat = {"id": CHAT, "type": "channel", "title": "Пристань", "username": "pristan"}
    post = {"message_id": number, "date": DATE + number, "chat": chat, "text": text}
    if edited is None:
        return {"update_id": number, "channel_post": post}
    return {"update_id": 100 + number, "edited_channel_post": post | {"edit_date": edited}}


def write_updates(path: Path, updates: Iterable[Mapping[str, Any]]) -> Path:
    """Write updates, one a line."""
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in updates), encoding="utf-8")
    return path


def unpack_home(archive: Path, home: Path) -> Path:
    """Unpack an archive into a folder that does not exist yet."""
    with tarfile.open(archive) as packed:
        packed.extractall(home, filter="data")
    return home


def pack_home(home: Path, archive: Path) -> None:
    """Pack a home of which nothing is open; its files are mostly holes, which tar keeps."""
    owner = ("--owner=0", "--group=0", "--numeric-owner", "--sort=name")
    command = ["tar", "--create", "--xz", "--sparse", *owner, *(f"--exclude=./{name}" for name in NOT_PACKED)]
    subprocess.run([*command, "--file", archive, "--directory", home, "."], check=True)


def fill_home(home: Path, files: Path, chatai: Sequence[str]) -> None:
    """Take in posts, an edit and documents through the command line, and process them.

    Args:
        files: an empty folder for what is taken in.
        chatai: the command of the version that fills the home.
    """
    for name, text in DOCUMENTS.items():
        (files / name).write_text(text, encoding="utf-8")
    pdf(files / UNREADABLE, ["cut off"]).write_bytes(b"%PDF-1.4\n" + bytes(range(256)) * 4)
    posts = write_updates(files / "posts.jsonl", (update(number, text) for number, text in enumerate(POSTS, start=1)))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CHATAI_", "DAGSTER_"))}
    environment |= FREE_MODELS | {"CHATAI_HOME": str(home)}
    _run([*chatai, "ingest", *(str(files / name) for name in (posts.name, *DOCUMENTS, UNREADABLE))], environment)
    _run([*chatai, "process"], environment)
    edits = write_updates(files / "edits.jsonl", [update(3, EDITED_TEXT, edited=DATE + 1_000)])
    _run([*chatai, "ingest", str(edits)], environment)
    _run([*chatai, "process"], environment)
    _run([*chatai, "audit"], environment)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--chatai", default=str(Path(sys.executable).parent / "chatai"), help="The command that fills the home.")
def main(archive: Path, chatai: str) -> None:
    """Fill a home and pack it into ARCHIVE."""
    with TemporaryDirectory() as folder:
        home, files = Path(folder) / "home", Path(folder) / "files"
        files.mkdir()
        fill_home(home, files, [chatai])
        pack_home(home, archive)
    click.echo(f"{archive}: {archive.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
