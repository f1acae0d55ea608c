"""Recognising the text on an image with tesseract, an optional program of the system.

The program runs as a child of the parser child and within its walls: no network, nothing written, and dead as soon as
the parser child is. Text in two alphabets is read at once, pages that lie on their side or head as well (``--psm 1``).
"""

from __future__ import annotations

import csv
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatai_assets.domain.errors import UnreadableDocument
from chatai_assets.domain.ocr import OcrPage, OcrWord, build_page

if TYPE_CHECKING:  # it loads libraries that most parser children never need
    from chatai_assets.adapters.ocr.page_images import PageImage

PROGRAM = "tesseract"
PARENT_DEATH_PROGRAM = "setpriv"
"""Of util-linux: has the kernel end a program with its parent."""
LANGUAGES = "rus+eng"
REQUIRED_DATA = ("rus", "eng", "osd")
"""Files of tesseract; the last one tells which way up a page is."""
INSTALL = "apt-get install tesseract-ocr tesseract-ocr-rus tesseract-ocr-eng"
DPI = 300
"""What tesseract's models were trained on; images have what they have, and it makes little of the difference."""
INFO_TIMEOUT_S = 10.0
WORD_LEVEL = "5"
EXIT_CODES: dict[int, str] = {-signal.SIGXCPU: "timeout", -signal.SIGKILL: "timeout", -signal.SIGABRT: "memory_limit"}
"""How it ended -> code; what it cannot allocate it ends of by itself."""


class TesseractNotFound(Exception):
    """Tesseract or a language of it is not installed; says which."""


@dataclass(frozen=True, slots=True)
class Tesseract:
    """The program that was found.

    Attributes:
        version: e.g. ``"5.3.0"``.
    """

    version: str

    @property
    def name(self) -> str:
        """What names the engine where its results are kept: other versions and languages read otherwise."""
        return f"{PROGRAM} {self.version} {LANGUAGES}"


def find_tesseract() -> Tesseract:
    """Return the tesseract of this system.

    Raises:
        NoTesseract: it, or a language, is missing.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise TesseractNotFound("tesseract is not installed")
    there = set(_run_for_info(program, "--list-langs").split())
    missing = [name for name in REQUIRED_DATA if name not in there]
    if missing:
        raise TesseractNotFound(f"tesseract lacks {', '.join(missing)}")
    version = _run_for_info(program, "--version").split()
    return Tesseract(version[1] if len(version) > 1 else "of unknown version")


def _run_for_info(program: str, option: str) -> str:
    try:
        done = subprocess.run([program, option], capture_output=True, timeout=INFO_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise TesseractNotFound(f"tesseract does not run ({type(error).__name__})") from error
    return (done.stdout or done.stderr).decode("utf-8", "replace")


def allowed_programs() -> frozenset[str]:
    """Return the programs that a parser child may start: tesseract, and what ties it to the child."""
    return frozenset(path for name in (PARENT_DEATH_PROGRAM, PROGRAM) if (path := shutil.which(name)))


def recognise_page(image: PageImage, memory_bytes: int, cpu_s: int) -> OcrPage:
    """Return the text on an image; whoever started this process bounds the time by the clock.

    Args:
        memory_bytes: private memory that tesseract may have.
        cpu_s: seconds of CPU, likewise.

    Raises:
        UnreadableDocument: ``timeout`` (of CPU), ``memory_limit``, ``corrupt``.
    """
    options = ("-l", LANGUAGES, "--psm", "1", "--dpi", str(DPI))
    command = [*_parent_death_command(), shutil.which(PROGRAM) or PROGRAM, "stdin", "stdout", *options, "tsv"]
    # A program of the system; the stranger's bytes go through its input.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
        if sys.platform == "linux":
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (cpu_s, cpu_s))
        told, _ = process.communicate(image.as_pgm())
    if process.returncode:
        code = EXIT_CODES.get(process.returncode, "corrupt")
        raise UnreadableDocument(code, f"tesseract ended with {process.returncode}")
    return build_page(list(parse_words(told.decode("utf-8", "replace"))))


def _parent_death_command() -> Sequence[str]:
    leash = shutil.which(PARENT_DEATH_PROGRAM)
    return (leash, "--pdeathsig", "KILL", "--") if leash else ()


def parse_words(told: str) -> Iterator[OcrWord]:
    """Yield the words of tesseract's TSV."""
    paragraphs: dict[tuple[str, str], int] = {}
    for row in csv.DictReader(told.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] == WORD_LEVEL and row["text"].strip():
            place = (row["block_num"], row["par_num"])
            number = paragraphs.setdefault(place, len(paragraphs))
            yield OcrWord(row["text"].strip(), number, int(row["line_num"]), float(row["conf"]))
