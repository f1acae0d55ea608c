"""Pool of parser worker processes with limited memory, time and privileges; a crash affects no other document."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.sandbox.process import CRASHED, MODULE, WorkerExited, WorkerProcess
from chatai_assets.adapters.sandbox.protocol import document_from_message
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import ChatAIError, Outage, UnreadableDocument

T = TypeVar("T")

MAX_CRASHES = 3
"""Workers that one file may crash before it counts as unreadable."""
PREFETCH_PER_WORKER = 2
"""Files per worker that may be in progress or finished before the first result is consumed; this limits memory."""


class ParserPool:
    """Worker processes that read documents; thread-safe, at most ``workers`` parse at once.

    Workers start on first use, are replaced after ``max_files_per_child`` files and end with the pool. They exit by
    themselves if this process is killed.

    Args:
        workers: maximum number of worker processes.
        limits: what one document may cost.
        module: the module that the workers run.
    """

    def __init__(self, workers: int, limits: ParserLimits | None = None, module: str = MODULE) -> None:
        self._module = module
        self._limits = limits or ParserLimits()
        self._workers = workers
        self._free = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def parse(self, path: Path, name: str, known_format: str | None = None) -> ParsedDocument:
        """Return the text of a file.

        Args:
            path: where its bytes are.
            name: its original name, e.g. ``"Отчёт.docx"``.
            known_format: a name of ``parsers.formats.FORMATS``, e.g. ``"page"`` for a web page; None detects it.

        Raises:
            UnreadableDocument: the file is unreadable, with a code of ``domain.documents.FAULTS``. A crash counts only
                after three workers, since an earlier file may have caused the first one.
            ChildKilled: the system killed the worker, probably for lack of memory; the file may be innocent.
            Outage: no worker can be started, or the pool is closed.
        """
        document = self.read(path, name, known_format)
        if not document.has_text:
            raise no_text_error(document)
        return document

    def read(self, path: Path, name: str, known_format: str | None = None) -> ParsedDocument:
        """Return the text of a file like ``parse``, but also documents that consist of ``scans`` only."""
        request = {"path": str(path.absolute()), "name": name, "format": known_format}
        return self.call(request, self._limits.wall_s, parse_document_response)

    def call(self, request: dict[str, Any], wall_s: float, read: Callable[[dict[str, Any]], T]) -> T:
        """Send a request to a worker and return its response as ``read`` converts it; raises like ``parse``.

        Args:
            request: see ``worker``.
            wall_s: wall time in seconds.
            read: converts the response.
        """
        crashes = 0
        with self._free:
            while True:
                try:
                    return read(self._call_worker(request, wall_s))
                except WorkerExited:
                    continue  # it exited while idle: try another; a worker that cannot start is an outage
                except UnreadableDocument as error:
                    crashes += 1
                    if error.reason != CRASHED or crashes == MAX_CRASHES:
                        raise

    def run_all(self, calls: Iterable[Callable[[], ParsedDocument]]) -> Iterator[ParsedDocument | ChatAIError]:
        """Run calls of ``parse`` or ``read`` on all workers and yield their results or errors in order.

        Raises:
            Outage: no worker can be started, or the pool is closed.
        """
        with ThreadPoolExecutor(self._workers, thread_name_prefix="parser") as threads:
            pending: deque[Future[ParsedDocument | ChatAIError]] = deque()
            try:
                for call in calls:
                    pending.append(threads.submit(run_call, call))
                    if len(pending) >= self._workers * PREFETCH_PER_WORKER:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def close(self) -> None:
        """Kill all workers, including busy ones, whose callers get an ``Outage``."""
        with self._lock:
            self._closed.set()
            idle, busy = list(self._idle), list(self._busy)
            self._idle.clear()
        for worker in idle:
            worker.kill()
        for worker in busy:
            worker.end()

    def _call_worker(self, request: dict[str, Any], wall_s: float) -> dict[str, Any]:
        worker = self._acquire_worker()
        response = None
        try:
            response = worker.call(request, wall_s)
        except ChatAIError as error:
            if self._closed.is_set():
                raise Outage("the document parser was closed") from error
            raise
        finally:
            self._release_worker(worker, alive=response is not None)
        return response

    def _acquire_worker(self) -> WorkerProcess:
        with self._lock:
            if self._closed.is_set():
                raise Outage("the document parser was closed")
            worker = self._idle.pop() if self._idle else None
        worker = worker or WorkerProcess(self._limits, self._module)
        with self._lock:
            self._busy.add(worker)
            closed = self._closed.is_set()
        if closed:
            self._release_worker(worker, alive=False)
            raise Outage("the document parser was closed")
        return worker

    def _release_worker(self, worker: WorkerProcess, *, alive: bool) -> None:
        with self._lock:
            self._busy.discard(worker)
            if alive and not worker.needs_replacement and not self._closed.is_set():
                self._idle.append(worker)
                return
        worker.kill()


def run_call(call: Callable[[], ParsedDocument]) -> ParsedDocument | ChatAIError:
    """Return the document or its error. An ``Outage`` is raised, since it affects all documents."""
    try:
        return call()
    except Outage:
        raise
    except ChatAIError as error:
        return error


def no_text_error(document: ParsedDocument) -> UnreadableDocument:
    """Return the error for a document of scans only, when OCR is not available."""
    if document.format == "pdf":
        return UnreadableDocument("no_text_layer", f"{len(document.pages)} pages")
    return UnreadableDocument("unsupported_type", document.format)


def parse_document_response(response: dict[str, Any]) -> ParsedDocument:
    """Return the document in a response.

    Raises:
        UnreadableDocument: the response is an error, or malformed (``parser_crashed``).
    """
    return parse_response(response, lambda message: document_from_message(message["document"]))


def parse_response(response: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
    """Return a response as ``read`` converts it.

    Raises:
        UnreadableDocument: the response is an error, or malformed (``parser_crashed``).
    """
    try:
        if "fault" in response:
            code, detail = response["fault"]
            raise UnreadableDocument(str(code), str(detail))
        return read(response)
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableDocument(CRASHED, "its answer makes no sense") from error
