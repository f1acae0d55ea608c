"""OCR with tesseract, an optional system program.

It runs as a child of the parser worker and inherits its confinement: no network, no file writes, killed with the
worker. Russian and English are recognised together; rotated pages are read as well (``--psm 1``).
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
from chatai_assets.domain.ocr import DPI, OcrPage, OcrWord, build_page

if TYPE_CHECKING:  # it imports libraries that most parser workers never need
    from chatai_assets.adapters.ocr.page_images import PageImage

PROGRAM = "tesseract"
PARENT_DEATH_PROGRAM = "setpriv"
"""From util-linux: makes the kernel kill a program when its parent dies."""
LANGUAGES = "rus+eng"
REQUIRED_DATA = ("rus", "eng", "osd")
"""Data files of tesseract; ``osd`` detects the orientation of a page."""
INSTALL = "apt-get install tesseract-ocr tesseract-ocr-rus tesseract-ocr-eng"
INFO_TIMEOUT_S = 10.0
WORD_LEVEL = "5"
EXIT_CODES: dict[int, str] = {-signal.SIGXCPU: "timeout", -signal.SIGKILL: "timeout", -signal.SIGABRT: "memory_limit"}
"""Exit status -> error code. Tesseract aborts when an allocation fails."""


class TesseractNotFound(Exception):
    """Tesseract or one of its data files is not installed; the message says which."""


@dataclass(frozen=True, slots=True)
class Tesseract:
    """An installed tesseract.

    Attributes:
        version: e.g. ``"5.3.0"``.
    """

    version: str

    @property
    def name(self) -> str:
        """Name under which its results are cached; other versions and languages give other results."""
        return f"{PROGRAM} {self.version} {LANGUAGES}"


def find_tesseract() -> Tesseract:
    """Return the tesseract installed on this system.

    Raises:
        NoTesseract: the program or a data file is missing.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise TesseractNotFound("tesseract is not installed")
    installed = set(_run_for_info(program, "--list-langs").split())
    missing = [name for name in REQUIRED_DATA if name not in installed]
    if missing:
        raise TesseractNotFound(f"tesseract lacks {', '.join(missing)}")
    version = _run_for_info(program, "--version").split()
    return Tesseract(version[1] if len(version) > 1 else "of unknown version")


def _run_for_info(program: str, option: str) -> str:
    try:
        process = subprocess.run([program, option], capture_output=True, timeout=INFO_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise TesseractNotFound(f"tesseract does not run ({type(error).__name__})") from error
    return (process.stdout or process.stderr).decode("utf-8", "replace")


def allowed_programs() -> frozenset[str]:
    """Return the paths of the programs that a parser worker may start: tesseract and ``setpriv``."""
    return frozenset(path for name in (PARENT_DEATH_PROGRAM, PROGRAM) if (path := shutil.which(name)))


def recognise_page(image: PageImage, memory_bytes: int, cpu_s: int) -> OcrPage:
    """Return the text on an image. The caller's parent process limits the wall time.

    Args:
        memory_bytes: private memory that tesseract may use.
        cpu_s: seconds of CPU that tesseract may use.

    Raises:
        UnreadableDocument: ``timeout`` (of CPU), ``memory_limit``, ``corrupt``.
    """
    options = ("-l", LANGUAGES, "--psm", "1", "--dpi", str(DPI))
    command = [*_parent_death_command(), shutil.which(PROGRAM) or PROGRAM, "stdin", "stdout", *options, "tsv"]
    # A system program; the untrusted image goes through stdin, never into the command line.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
        if sys.platform == "linux":
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (cpu_s, cpu_s))
        output, _ = process.communicate(image.as_pgm())
    if process.returncode:
        code = EXIT_CODES.get(process.returncode, "corrupt")
        raise UnreadableDocument(code, f"tesseract ended with {process.returncode}")
    return build_page(list(parse_words(output.decode("utf-8", "replace"))))


def _parent_death_command() -> Sequence[str]:
    program = shutil.which(PARENT_DEATH_PROGRAM)
    return (program, "--pdeathsig", "KILL", "--") if program else ()


def parse_words(tsv: str) -> Iterator[OcrWord]:
    """Yield the words in tesseract's TSV output."""
    paragraphs: dict[tuple[str, str], int] = {}
    for row in csv.DictReader(tsv.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] == WORD_LEVEL and row["text"].strip():
            paragraph = (row["block_num"], row["par_num"])
            number = paragraphs.setdefault(paragraph, len(paragraphs))
            yield OcrWord(row["text"].strip(), number, int(row["line_num"]), float(row["conf"]))
