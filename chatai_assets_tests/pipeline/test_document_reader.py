"""What is written on scans and photos is read where tesseract is; nothing they do harms anything else."""

from __future__ import annotations

import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from shutil import which

import psutil
import pytest
from PIL import Image

from chatai_assets.adapters.ocr.tesseract import Tesseract
from chatai_assets.adapters.parsers.limits import OcrLimits
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.documents import ParsedDocument, sentence
from chatai_assets.domain.errors import ChatAIError, ChildKilled, OcrTimeBudgetExceeded, UnreadableDocument
from chatai_assets.pipeline.document_reader import DocumentReader, Upload
from chatai_assets.storage.engine import Records, open_records
from chatai_assets_tests.support.files import pdf
from chatai_assets_tests.support.scans import draw_shapes, draw_text, write_scan

pytestmark = pytest.mark.one_worker

RU = "Счёт за ремонт велосипеда: замена цепи и тормозных колодок, итого 4350 рублей. Спасибо за доверие!"
EN = "The harbour office is open from nine to five; boats that arrive later moor at the outer pier."
SHORT = "The harbour office is open from nine to five every day."
USUAL = OcrLimits()
SLEEPER = "86399.5"
"""Seconds that nobody else on this machine sleeps."""

Read = Callable[..., list[ParsedDocument | ChatAIError]]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool(1) as opened:
        yield opened


@pytest.fixture
def read(pool: ParserPool, records: Records) -> Read:
    """Reads one batch of files."""

    def outcomes(*paths: Path, ocr: OcrLimits | None = USUAL, own_pool: ParserPool = pool):
        reader = DocumentReader(own_pool, records, ocr)
        return list(reader.read_many(Upload(path, path.name, "default") for path in paths))

    return outcomes


@contextmanager
def tesseract_that(does: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ParserPool]:
    """Have a program in the place of tesseract that tells the same of itself and reads otherwise."""
    real = which("tesseract")
    program = folder / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncase "$1" in --*) exec {real} "$1";; esac\n{does}\n', encoding="ascii")
    program.chmod(0o755)
    with monkeypatch.context() as patched, ParserPool(1) as pool:
        patched.setenv("PATH", str(program.parent), prepend=":")
        yield pool


def sleepers() -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if SLEEPER in _command(process)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def likeness(one: str, other: str) -> float:
    """Return the share of characters that two texts have in common, line ends aside."""
    return SequenceMatcher(None, one.split(), other.split(), autojunk=False).ratio()


def fault(outcome: ParsedDocument | ChatAIError) -> UnreadableDocument:
    assert isinstance(outcome, UnreadableDocument)
    return outcome


def text(outcome: ParsedDocument | ChatAIError) -> str:
    assert isinstance(outcome, ParsedDocument), outcome
    return outcome.text


def test_pages_without_a_text_layer_are_recognised_among_those_that_have_one(
    tmp_path: Path, read: Read, tesseract: Tesseract
) -> None:
    layer = pdf(tmp_path / "layer.pdf", ["First comes the text layer"])
    blank = Image.new("L", (1_600, 800), 255)
    (document,) = read(write_scan(tmp_path / "mixed.pdf", [layer, draw_text(RU), blank, draw_text(EN)]))
    assert isinstance(document, ParsedDocument)
    pages = {page.number: document.text[page.start : page.end] for page in document.pages}
    assert pages[1] == "First comes the text layer"
    assert likeness(pages[2], RU) > 0.9
    assert pages[3] == ""
    assert likeness(pages[4], EN) > 0.9
    assert document.recognition is not None
    assert document.recognition.engine == f"tesseract {tesseract.version} rus+eng"
    assert [*document.recognition.pages] == [2, 4]
    assert document.recognition.summary["confidence"] > 85


def test_images_are_known_by_their_bytes_and_read_whichever_way_up(
    tmp_path: Path, read: Read, tesseract: Tesseract
) -> None:
    """A phone notes in EXIF how it was held; a scanner notes nothing."""
    page = draw_text(SHORT)
    page.save(tmp_path / "a.png")
    page.save(tmp_path / "b.webp")
    held = Image.Exif()
    held[0x0112] = 6
    page.rotate(90, expand=True).save(tmp_path / "photo.txt", "JPEG", exif=held)
    draw_text(f"{RU} {EN}").rotate(180).save(tmp_path / "d.tif", save_all=True, append_images=[page])
    outcomes = read(*sorted(tmp_path.glob("?.*")), tmp_path / "photo.txt")
    told = {outcome.format: outcome for outcome in outcomes if isinstance(outcome, ParsedDocument)}
    assert {*told} == {"png", "webp", "jpeg", "tiff"}
    assert all(likeness(told[name].text, SHORT) > 0.9 for name in ("png", "webp", "jpeg"))
    fax = told["tiff"]
    pages = [fax.text[page.start : page.end] for page in fax.pages]
    assert all(likeness(page, said) > 0.9 for page, said in zip(pages, (f"{RU} {EN}", SHORT), strict=True))


def test_without_tesseract_a_scan_says_so_and_text_is_read_all_the_same(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = pdf(tmp_path / "layer.pdf", ["Here is a text layer"])
    Image.new("L", (90, 90)).save(tmp_path / "photo.png")
    scan = write_scan(tmp_path / "scan.pdf", [draw_shapes()])
    mixed = write_scan(tmp_path / "mixed.pdf", [layer, draw_shapes()])
    monkeypatch.setenv("PATH", str(tmp_path))
    of_scan, of_photo, of_mixed = read(scan, tmp_path / "photo.png", mixed)
    assert [fault(each).reason for each in (of_scan, of_photo)] == ["no_ocr", "no_ocr"]
    assert fault(of_scan).detail == "tesseract is not installed"
    assert "tesseract" in sentence("no_ocr", "ru")
    assert text(of_mixed) == "Here is a text layer"
    unwanted = read(scan, tmp_path / "photo.png", mixed, ocr=None)
    assert [fault(each).reason for each in unwanted[:2]] == ["no_text_layer", "unsupported_type"]
    assert text(unwanted[2]) == "Here is a text layer"


def test_a_missing_language_is_named(tmp_path: Path, read: Read, tesseract: Tesseract, monkeypatch) -> None:
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    (outcome,) = read(write_scan(tmp_path / "scan.pdf", [draw_shapes()]))
    assert fault(outcome).detail == "tesseract lacks rus, eng, osd"


def test_what_is_no_writing_is_no_text(tmp_path: Path, read: Read, tesseract: Tesseract) -> None:
    draw_shapes().save(tmp_path / "picture.png")
    (outcome,) = read(tmp_path / "picture.png")
    assert fault(outcome).reason == "no_text_recognised"


def test_no_page_is_recognised_twice(tmp_path: Path, read: Read, tesseract: Tesseract, monkeypatch) -> None:
    draw_text(EN).save(tmp_path / "a.png")
    (first,) = read(tmp_path / "a.png")
    with tesseract_that("exit 1", tmp_path, monkeypatch) as pool:
        again, other = read(tmp_path / "a.png", write_scan(tmp_path / "b.pdf", [draw_text(RU)]), own_pool=pool)
    assert again == first
    assert fault(other).reason == "no_text_recognised"


def test_a_batch_without_time_leaves_pages_to_the_next_one(tmp_path: Path, read: Read, tesseract: Tesseract) -> None:
    hasty = OcrLimits(max_wait_s=0)
    scan = write_scan(tmp_path / "scan.pdf", [draw_text(EN), draw_text(RU)])
    draw_text("Another letter of the harbour office").save(tmp_path / "photo.png")
    ends = [read(scan, tmp_path / "photo.png", ocr=hasty) for _ in range(3)]
    assert [[type(outcome) for outcome in batch] for batch in ends] == [
        [OcrTimeBudgetExceeded, OcrTimeBudgetExceeded],
        [ParsedDocument, OcrTimeBudgetExceeded],
        [ParsedDocument, OcrTimeBudgetExceeded],
    ]
    assert likeness(text(ends[1][0]), f"{EN} {RU}") > 0.9
    assert "harbour" in text(read(tmp_path / "photo.png", ocr=hasty)[0])


def test_pages_beyond_the_most_are_left_out(tmp_path: Path, read: Read, tesseract: Tesseract) -> None:
    (document,) = read(
        write_scan(tmp_path / "long.pdf", [draw_text(EN), draw_shapes(), draw_shapes()]), ocr=OcrLimits(max_pages=1)
    )
    assert isinstance(document, ParsedDocument)
    assert document.recognition is not None
    assert document.recognition.summary["unread"] == {"2": "left_out", "3": "left_out"}


def test_an_image_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, read: Read, tesseract: Tesseract) -> None:
    """Both say that they have 60,000 by 60,000 points."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    small = (tmp_path / "bomb.png", tmp_path / "small.png")
    Image.new("RGB", (9, 9)).save(small[1])
    packed = bytearray(small[1].read_bytes())
    packed[16:33] = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    small[0].write_bytes(packed)
    scan = write_scan(tmp_path / "small.pdf", [draw_shapes()]).read_bytes()
    declared = scan.replace(b"/Width 800", b"/Width 60000").replace(b"/Height 600", b"/Height 60000")
    (tmp_path / "bomb.pdf").write_bytes(declared)
    outcomes = read(small[0], tmp_path / "bomb.pdf")
    assert b"60000" in declared
    assert [fault(outcome).reason for outcome in outcomes] == ["no_text_recognised"] * 2
    assert fault(outcomes[0]).detail == "pages without text: 0, archive_bomb: 1"


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" * 9, b"II*\x00" + b"\xff" * 90, b"RIFF....WEBP"]
)
def test_a_damaged_image_is_corrupt(tmp_path: Path, read: Read, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert fault(read(tmp_path / "a.png")[0]).reason == "corrupt"


def test_a_page_that_hangs_leaves_the_others_and_no_process(
    tmp_path: Path, read: Read, tesseract: Tesseract, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = write_scan(tmp_path / "scan.pdf", [draw_text(EN)])
    read(scan)
    longer = write_scan(
        tmp_path / "longer.pdf", [draw_text(RU), draw_text(EN), *(draw_text(f"Page {number}") for number in range(3))]
    )
    with tesseract_that(f"exec sleep {SLEEPER}", tmp_path, monkeypatch) as pool:
        (outcome,) = read(longer, ocr=OcrLimits(page_s=1, max_lost=2), own_pool=pool)
    assert isinstance(outcome, ParsedDocument)
    assert likeness(outcome.text, EN) > 0.9
    assert outcome.recognition is not None
    assert outcome.recognition.unread == {1: "timeout", 3: "timeout", 4: "left_out", 5: "left_out"}
    wait_for(lambda: not sleepers())


def test_tesseract_ends_with_the_child_that_started_it(
    tmp_path: Path, read: Read, tesseract: Tesseract, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_the_child() -> None:
        wait_for(lambda: bool(sleepers()))
        sleepers()[0].parent().kill()  # type: ignore[union-attr] # it has one

    killer = threading.Thread(target=kill_the_child)
    with tesseract_that(f"exec sleep {SLEEPER}", tmp_path, monkeypatch) as pool:
        killer.start()
        (outcome,) = read(write_scan(tmp_path / "scan.pdf", [draw_text(EN)]), own_pool=pool)
        killer.join()
    assert isinstance(outcome, ChildKilled)
    wait_for(lambda: not sleepers())


def test_tesseract_has_no_network_and_writes_nothing(
    tmp_path: Path, read: Read, tesseract: Tesseract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails, and so does the page, unless it is walled in as its parent is."""
    header = "level\\tblock_num\\tpar_num\\tline_num\\tconf\\ttext"
    word = "5\\t1\\t1\\t1\\t99\\tconfined"
    walled = f"! (echo x > {tmp_path}/written) && [ $(wc -l < /proc/net/dev) = 3 ]"
    answer = f"cat > /dev/null; {walled} && printf '{header}\\n{word}\\n'"
    with tesseract_that(answer, tmp_path, monkeypatch) as pool:
        (outcome,) = read(write_scan(tmp_path / "scan.pdf", [draw_text(EN)]), own_pool=pool)
    assert text(outcome) == "confined"
