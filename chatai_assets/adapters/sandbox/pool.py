"""Parsing in child processes that may die: memory, time and rights are bounded, neighbours are not disturbed."""

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
"""Children that one file may crash before it is given up."""
PREFETCH_PER_WORKER = 2
"""Files for each worker that may be under way or finished before the first is taken: this bounds memory."""


class ParserPool:
    """Children that read documents; usable from any number of threads, at most ``workers`` parse at once.

    Children start when they are first needed, are replaced after ``max_files_per_child`` files, and end with the
    pool; should this process be killed, they end by themselves.

    Args:
        workers: children at most.
        limits: what one document may cost.
        module: what the children run.
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
        """Return what a file says.

        Args:
            path: where its bytes are.
            name: what its owner called it, e.g. ``"Отчёт.docx"``.
            known_format: a key of ``reading.READERS``, e.g. ``"page"`` for a page of the web; None looks at the bytes.

        Raises:
            UnreadableDocument: the file's fault, with a code of ``domain.documents.FAULTS``; that of a crash only
                after three children, for the first may have had its trouble from the file before.
            ChildKilled: the system killed the child, probably for want of memory; the file may be innocent.
            Outage: no child can be started, or the pool is closed.
        """
        document = self.read(path, name, known_format)
        if not document.has_text:
            raise no_text_error(document)
        return document

    def read(self, path: Path, name: str, known_format: str | None = None) -> ParsedDocument:
        """Return what a file says as ``parse`` does, but also a document whose pages are nothing but ``scans``."""
        request = {"path": str(path.absolute()), "name": name, "format": known_format}
        return self.ask(request, self._limits.wall_s, parse_document_response)

    def ask(self, request: dict[str, Any], wall_s: float, read: Callable[[dict[str, Any]], T]) -> T:
        """Return what ``read`` makes of a child's answer; raises as ``parse`` does.

        Args:
            request: as ``child`` tells.
            wall_s: seconds by the clock.
        """
        crashes = 0
        with self._free:
            while True:
                try:
                    return read(self._call_worker(request, wall_s))
                except WorkerExited:
                    continue  # it ended while idle; a fresh one takes its place, and one that cannot start is an outage
                except UnreadableDocument as error:
                    crashes += 1
                    if error.reason != CRASHED or crashes == MAX_CRASHES:
                        raise

    def run_all(self, calls: Iterable[Callable[[], ParsedDocument]]) -> Iterator[ParsedDocument | ChatAIError]:
        """Yield, in order, what calls of ``parse`` or ``read`` return, or their errors; all workers are used.

        Raises:
            Outage: no child can be started, or the pool is closed.
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
        """End all children, also those that are reading; their callers get an ``Outage``."""
        with self._lock:
            self._closed.set()
            idle, busy = list(self._idle), list(self._busy)
            self._idle.clear()
        for child in idle:
            child.kill()
        for child in busy:
            child.end()

    def _call_worker(self, request: dict[str, Any], wall_s: float) -> dict[str, Any]:
        child = self._acquire_worker()
        answer = None
        try:
            answer = child.ask(request, wall_s)
        except ChatAIError as error:
            if self._closed.is_set():
                raise Outage("the document parser was closed") from error
            raise
        finally:
            self._release_worker(child, alive=answer is not None)
        return answer

    def _acquire_worker(self) -> WorkerProcess:
        with self._lock:
            if self._closed.is_set():
                raise Outage("the document parser was closed")
            child = self._idle.pop() if self._idle else None
        child = child or WorkerProcess(self._limits, self._module)
        with self._lock:
            self._busy.add(child)
            closed = self._closed.is_set()
        if closed:
            self._release_worker(child, alive=False)
            raise Outage("the document parser was closed")
        return child

    def _release_worker(self, child: WorkerProcess, *, alive: bool) -> None:
        with self._lock:
            self._busy.discard(child)
            if alive and not child.needs_replacement and not self._closed.is_set():
                self._idle.append(child)
                return
        child.kill()


def run_call(call: Callable[[], ParsedDocument]) -> ParsedDocument | ChatAIError:
    """Return the document, or the error of it; an ``Outage`` is raised, since it befalls all documents."""
    try:
        return call()
    except Outage:
        raise
    except ChatAIError as error:
        return error


def no_text_error(document: ParsedDocument) -> UnreadableDocument:
    """Return what to say of a document that is nothing but scans where none is recognised."""
    if document.format == "pdf":
        return UnreadableDocument("no_text_layer", f"{len(document.pages)} pages")
    return UnreadableDocument("unsupported_type", document.format)


def parse_document_response(answer: dict[str, Any]) -> ParsedDocument:
    """Return the document of an answer.

    Raises:
        UnreadableDocument: the answer is a fault, or nonsense (``parser_crashed``).
    """
    return parse_response(answer, lambda sound: document_from_message(sound["document"]))


def parse_response(answer: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
    """Return what ``read`` makes of an answer.

    Raises:
        UnreadableDocument: the answer is a fault, or nonsense (``parser_crashed``).
    """
    try:
        if "fault" in answer:
            code, detail = answer["fault"]
            raise UnreadableDocument(str(code), str(detail))
        return read(answer)
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableDocument(CRASHED, "its answer makes no sense") from error
