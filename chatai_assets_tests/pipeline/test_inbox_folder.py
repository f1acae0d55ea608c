"""The inbox folder: only complete files are taken, each is moved once, and a refused one says why."""

import json
import os
import time
from pathlib import Path

import pytest

from chatai_assets.pipeline.inbox_folder import FolderLimits, take_folder, take_samples
from chatai_assets.pipeline.ingest import Intake
from chatai_assets.services import Services, open_services
from chatai_assets.settings import PROJECT, read_settings

POST = {"id": 1, "type": "message", "date": "2024-01-01T00:00:00", "date_unixtime": "1704067200", "text": "Привет, мир"}


@pytest.fixture
def services(tmp_path: Path):
    with open_services(read_settings({"CHATAI_HOME": str(tmp_path / "home"), "CHATAI_MODELS": "free"})) as opened:
        yield opened


@pytest.fixture
def folder(services: Services) -> Path:
    services.settings.inbox_folder.mkdir(parents=True)
    return services.settings.inbox_folder


def intake(services: Services) -> Intake:
    return Intake(services.records, services.blobs, "t", "folder", 1 << 20)


def later() -> float:
    """Return a moment at which files written now have been left alone for a while."""
    return time.time() + 10


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def export(path: Path, *messages: dict[str, object]) -> Path:
    chat = {"name": "Канал", "type": "public_channel", "id": 5, "messages": list(messages)}
    path.write_text(json.dumps(chat), encoding="utf-8")
    return path


def test_complete_files_are_taken_and_moved_to_done_with_their_folders(services, folder):
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "note.txt").write_text("Some words.", encoding="utf-8")
    export(folder / "result.json", POST)
    report = take_folder(folder, intake(services), clock=later)
    assert (report.taken, report.arrivals.posts, report.arrivals.documents) == (2, 1, 1)
    assert names(folder) == {"done/result.json", "done/deep/er/note.txt"}
    assert take_folder(folder, intake(services), clock=later).taken == 0


def test_a_file_that_was_just_written_waits(services, folder):
    (folder / "note.txt").write_text("Some words.", encoding="utf-8")
    report = take_folder(folder, intake(services))
    assert (report.taken, report.unfinished) == (0, 1)
    assert names(folder) == {"note.txt"}


def test_a_file_copied_with_an_old_date_waits_all_the_same(services, folder):
    note = folder / "note.txt"
    note.write_text("Some words.", encoding="utf-8")
    os.utime(note, (1_000_000_000, 1_000_000_000))
    assert take_folder(folder, intake(services)).taken == 0


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="only Linux tells who has a file open")
def test_a_file_that_somebody_still_writes_waits(services, folder):
    with (folder / "big.txt").open("w", encoding="utf-8") as file:
        file.write("The first half")
        file.flush()
        assert take_folder(folder, intake(services), clock=later).unfinished == 1
    assert take_folder(folder, intake(services), clock=later).taken == 1


@pytest.mark.parametrize("name", ["a.pdf.part", "a.pdf.crdownload", "a.tmp", "A.PDF.PART"])
def test_names_of_unfinished_downloads_wait(services, folder, name):
    (folder / name).write_text("Some words.", encoding="utf-8")
    assert take_folder(folder, intake(services), clock=later).unfinished == 1


def test_hidden_files_are_not_looked_at(services, folder):
    (folder / ".secret.txt").write_text("Some words.", encoding="utf-8")
    (folder / "~$note.docx").write_text("lock", encoding="utf-8")
    report = take_folder(folder, intake(services), clock=later)
    assert (report.taken, report.unfinished) == (0, 0)


def test_a_file_of_the_same_name_is_kept_beside_the_first(services, folder):
    for words in ("First words.", "Second words.", "Third words."):
        (folder / "note.txt").write_text(words, encoding="utf-8")
        take_folder(folder, intake(services), clock=later)
    assert names(folder) == {"done/note.txt", "done/note (2).txt", "done/note (3).txt"}


def test_a_refused_file_goes_to_rejected_with_a_sentence_why(services, folder):
    (folder / "huge.txt").write_bytes(b"x" * ((1 << 20) + 1))
    report = take_folder(folder, intake(services), clock=later)
    assert (report.taken, report.rejected) == (0, 1)
    assert names(folder) == {"rejected/huge.txt", "rejected/huge.txt.reason.txt"}
    assert "large" in (folder / "rejected" / "huge.txt.reason.txt").read_text(encoding="utf-8")


def test_links_and_pipes_are_refused_and_never_opened(services, folder, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("Not for us.", encoding="utf-8")
    (folder / "file.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (folder / "folder").symlink_to(tmp_path / "outside")
    (folder / "nowhere.txt").symlink_to(tmp_path / "nowhere.txt")
    os.mkfifo(folder / "pipe.txt")
    report = take_folder(folder, intake(services), clock=later)
    assert (report.taken, report.rejected, report.arrivals.documents) == (0, 4, 0)
    assert {path.name for path in folder.iterdir()} == {"rejected"}
    assert "link" in (folder / "rejected" / "folder.reason.txt").read_text(encoding="utf-8")
    assert "regular" in (folder / "rejected" / "pipe.txt.reason.txt").read_text(encoding="utf-8")
    assert (tmp_path / "outside" / "secret.txt").exists()


@pytest.mark.parametrize("name", ["д" * 125 + ".txt", "a." + "b" * 250], ids=["stem", "suffix"])
def test_the_longest_names_can_be_moved_twice(services, folder, name):
    for words in ("First words.", "Second words."):
        (folder / name).write_text(words, encoding="utf-8")
        assert take_folder(folder, intake(services), clock=later).taken == 1
    moved = [path.name for path in (folder / "done").iterdir()]
    assert [(found[0], found[-3:]) for found in moved] == 2 * [(name[0], name[-3:])]


STRANGE_NAMES = {"newline": "two\nlines \N{GRINNING FACE}.txt", "bytes": os.fsdecode(b"bad\xff\xfename.txt")}


@pytest.mark.parametrize("name", STRANGE_NAMES.values(), ids=STRANGE_NAMES.keys())
def test_strange_names_are_taken(services, folder, name):
    (folder / name).write_text("Some words.", encoding="utf-8")
    assert take_folder(folder, intake(services), clock=later).arrivals.documents == 1
    assert [path.name for path in (folder / "done").iterdir()] == [name]


def test_records_that_were_not_taken_are_named_beside_the_file_that_was(services, folder):
    export(folder / "result.json", POST, {"id": "no number", "type": "message", "text": "x"})
    report = take_folder(folder, intake(services), clock=later)
    assert (report.taken, report.rejected, report.arrivals.posts) == (1, 0, 1)
    assert "Record 2" in (folder / "done" / "result.json.reason.txt").read_text(encoding="utf-8")


def test_one_look_takes_a_bounded_number_of_files(services, folder):
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"Words {number}.", encoding="utf-8")
    report = take_folder(folder, intake(services), limits=FolderLimits(files=2), clock=later)
    assert (report.taken, report.left) == (2, 3)
    assert take_folder(folder, intake(services), limits=FolderLimits(seconds=0), clock=later).left == 3


def test_samples_are_taken_once_and_only_into_an_empty_home(services, tmp_path):
    samples = PROJECT / "chatai_assets" / "samples"
    report = take_samples(samples, intake(services))
    assert report is not None
    assert report.posts > 0
    assert report.documents > 0
    assert take_samples(samples, intake(services)) is None
    with open_services(read_settings({"CHATAI_HOME": str(tmp_path / "other")})) as other:
        (tmp_path / "note.txt").write_text("Words.", encoding="utf-8")
        other.settings.inbox_folder.mkdir(parents=True)
        export(other.settings.inbox_folder / "result.json", POST)
        take_folder(other.settings.inbox_folder, intake(other), clock=later)
        assert take_samples(samples, intake(other)) is None
