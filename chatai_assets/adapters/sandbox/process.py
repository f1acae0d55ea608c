"""One parser worker process, as its parent sees it: start, request, timeout, kill."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import chatai_assets
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.sandbox.protocol import HEADER, decode_message, encode_message
from chatai_assets.domain.errors import ChildKilled, Outage, UnreadableDocument

MODULE = "chatai_assets.adapters.sandbox.worker"
CRASHED = "parser_crashed"
READ_BYTES = 2**20
BYTES_PER_CHARACTER = 6
RESPONSE_OVERHEAD_BYTES = 2**26
INHERITED_VARIABLES = (
    *("PATH", "TESSDATA_PREFIX", "LANG", "LC_ALL", "LC_CTYPE", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    "CHATAI_WATCHED",  # the watchdog finds processes of a killed run by it
)


class WorkerExited(Exception):
    """The worker had exited before it received a request, which is not the file's fault."""


class ResponseTimeout(Exception):
    """The deadline passed without a response."""


class WorkerProcess:
    """A running worker process with its two pipes.

    Args:
        limits: what one document may cost.
        module: the module that the process runs.

    Raises:
        Outage: the process does not start.
    """

    def __init__(self, limits: ParserLimits, module: str = MODULE) -> None:
        self._limits = limits
        self.files = 0
        self._out_of_memory = False
        self._selector = selectors.DefaultSelector()
        folder = tempfile.mkdtemp(prefix="chatai-parser-")
        try:
            self._process = start_process(folder, module)
            self._requests, self._responses = require_pipes(self._process)
            self._selector.register(self._responses, selectors.EVENT_READ)
            self._initialise()
        finally:
            # A removed working directory can hold no files; the worker keeps it open and needs none.
            Path(folder).rmdir()

    def call(self, request: dict[str, Any], wall_s: float) -> dict[str, Any]:
        """Return the response about one file or page; after any error the worker is dead.

        Args:
            request: see ``worker``.
            wall_s: wall time in seconds, after which the worker and all its children are killed.

        Raises:
            WorkerExited: the request could not be sent.
            UnreadableDocument: ``timeout``, ``memory_limit``, ``parser_crashed``.
            ChildKilled: the system killed the worker, probably for lack of memory; the file may be innocent.
        """
        self.files += 1
        try:
            self._send(request)
        except OSError as error:
            self.kill()
            raise WorkerExited from error
        try:
            response = self._receive(time.monotonic() + wall_s)
        except ResponseTimeout as error:
            self.kill()
            raise UnreadableDocument("timeout", f"more than {wall_s:g} s") from error
        except (EOFError, ValueError) as error:
            raise self._exit_error() from error
        self._out_of_memory = response.get("fault", ("",))[0] == "memory_limit"
        return response

    @property
    def needs_replacement(self) -> bool:
        """Whether it must be replaced: after enough files, or after one file has filled its heap."""
        return self._out_of_memory or self.files >= self._limits.max_files_per_child

    def end(self) -> None:
        """Kill the process group and wait for it; from any thread, also while another waits for a response."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def kill(self) -> None:
        """Kill the worker and close its pipes; only from the thread that sends it requests."""
        self.end()
        self._selector.close()
        with suppress(OSError):
            self._requests.close()
        self._responses.close()

    def _initialise(self) -> None:
        try:
            self._send(asdict(self._limits))
            self._receive(time.monotonic() + self._limits.start_s)
        except (OSError, EOFError, ValueError, ResponseTimeout) as error:
            self.kill()
            raise Outage(f"the document parser does not start (exit status {self._process.returncode})") from error

    def _exit_error(self) -> UnreadableDocument | ChildKilled:
        """Return the error that the worker's exit status means for the file it was reading."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        status = self._process.poll()
        self.kill()
        if status is None or status >= 0:
            return UnreadableDocument(CRASHED, f"exit status {status}")
        if -status == signal.SIGXCPU:
            return UnreadableDocument("timeout", f"more than {self._limits.cpu_s} s of CPU")
        if -status == signal.SIGKILL:
            return ChildKilled("the system ended the document parser, probably for want of memory")
        return UnreadableDocument(CRASHED, signal.Signals(-status).name)

    def _send(self, message: dict[str, Any]) -> None:
        self._requests.write(encode_message(message))
        self._requests.flush()

    def _receive(self, deadline: float) -> dict[str, Any]:
        (length,) = HEADER.unpack(self._read(HEADER.size, deadline))
        if length > self._limits.max_text_chars * BYTES_PER_CHARACTER + RESPONSE_OVERHEAD_BYTES:
            raise ValueError("the answer is too long")
        return decode_message(self._read(length, deadline))

    def _read(self, size: int, deadline: float) -> bytes:
        """Return exactly ``size`` bytes.

        Raises:
            EOFError: the worker closed the pipe, that is, it exited.
            AnswerLate: at the deadline.
        """
        data = bytearray()
        while len(data) < size:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise ResponseTimeout
            part = os.read(self._responses.fileno(), min(READ_BYTES, size - len(data)))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


def start_process(folder: str, module: str) -> subprocess.Popen[bytes]:
    """Start the interpreter on a worker module, in ``folder``, in its own session, without our secrets.

    Raises:
        Outage: the system cannot start a process.
    """
    try:
        return subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=worker_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise Outage(f"the document parser cannot be started ({type(error).__name__})") from error


def worker_environment() -> dict[str, str]:
    """Return the environment of a worker: no variable that could hold a key or a password."""
    inherited = {name: value for name, value in os.environ.items() if name in INHERITED_VARIABLES}
    return inherited | {
        "PYTHONPATH": str(Path(chatai_assets.__file__).resolve().parents[1]),
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_THREAD_LIMIT": "1",  # tesseract would use four threads
        # defusedxml parses in pure Python, four times slower; ``ooxml`` already refuses what it would refuse.
        "OPENPYXL_DEFUSEDXML": "False",
    }


def require_pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return stdin and stdout of a worker that was started with both as pipes."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the worker was started without pipes")
    return process.stdin, process.stdout
