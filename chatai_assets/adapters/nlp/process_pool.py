"""Pool of worker processes, one per core, for models that run in Python; the calling process stays responsive.

Workers are started by this module's own command instead of ``multiprocessing``, so that they import only the models,
not the program that uses them. Their numeric libraries are set to one thread before they load.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from chatai_assets.domain.errors import Outage

Value = TypeVar("Value")
Method = Callable[[Sequence[str]], Sequence[Value]]

IDLE_S = 5.0
"""Longer than a batch takes to be committed; loading all models again takes about 2 s."""

_CLOSING_S = 2.0
_WATCH_EVERY_S = 1.0
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ROOT = Path(__file__).parents[3]


class _Worker:
    """One worker process and the pipe to it."""

    def __init__(self) -> None:
        self.line, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", __name__, str(theirs.fileno()), str(os.getpid())],
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal must reach the parent only, which closes the worker
            )

    def stop(self, grace_s: float) -> None:
        """End the worker: an idle one exits when the pipe closes, a busy one is killed after ``grace_s`` seconds."""
        self.line.close()
        try:
            self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class ModelWorkers:
    """A small pool of processes that run methods of offline models on batches of texts.

    The processes start with the first batches and keep their models while there is work; left idle they end, for the
    stages that follow need the memory. When this process ends, however it does, they end too. Calls from several
    threads take turns.

    Args:
        processes: how many; with 0 or 1 everything runs in the calling process.
        answer_within_s: seconds one batch may take; a worker that is silent for longer counts as stuck.
        idle_s: how long they wait for the next call.
    """

    def __init__(self, processes: int, answer_within_s: float, *, idle_s: float = IDLE_S) -> None:
        self._processes = processes
        self._answer_within_s = answer_within_s
        self._idle_s = idle_s
        self._dismissal: threading.Timer | None = None
        self._workers: list[_Worker] = []
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def map(self, method: Method[Value], texts: Sequence[str], batch_size: int = 32) -> list[Value]:
        """Return what ``method`` answers to the texts, one value each, in order.

        Args:
            method: takes texts and returns as many values; picklable, such as ``OfflineEmbedder().embed``.
            texts: all of them.
            batch_size: texts handed over together; small enough that all workers get some.

        Raises:
            Outage: a worker died or is stuck; the next call starts new ones.
            Exception: whatever the method raised in the worker.
        """
        batches = [texts[first : first + batch_size] for first in range(0, len(texts), batch_size)]
        here = self._processes <= 1
        answers = [method(batch) for batch in batches] if here else self._answers(method, batches)
        return [value for answer in answers for value in answer]

    def close(self) -> None:
        """End the workers; the pool can be used again and then starts new ones."""
        with self._turn:
            self._stay()
            self._stop(_CLOSING_S)

    def _stay(self) -> None:
        if self._dismissal:
            self._dismissal.cancel()
            self._dismissal = None

    def _dismiss_later(self) -> None:
        self._dismissal = threading.Timer(self._idle_s, self.close)
        self._dismissal.daemon = True
        self._dismissal.start()

    def _stop(self, grace_s: float) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.stop(grace_s)

    def _answers(self, method: Method[Value], batches: Sequence[Sequence[str]]) -> list[Sequence[Value]]:
        with self._turn:
            self._stay()
            try:
                return self._exchange(method, batches)
            except BaseException:  # answers still under way would be taken for those of the next call
                self._stop(grace_s=0)
                raise
            finally:
                self._dismiss_later()

    def _exchange(self, method: Method[Value], batches: Sequence[Sequence[str]]) -> list[Sequence[Value]]:
        """Keep every worker at one batch until all are answered."""
        waiting = list(reversed(range(len(batches))))
        while len(self._workers) < min(self._processes, len(batches)):
            self._workers.append(_Worker())
        under_way: dict[Connection, int] = {}
        idle = [worker.line for worker in self._workers]
        answers: dict[int, Sequence[Value]] = {}
        while waiting or under_way:
            while waiting and idle:
                line, index = idle.pop(), waiting.pop()
                self._send(line, method, batches[index])
                under_way[line] = index
            for line in self._ready(list(under_way)):
                answers[under_way.pop(line)] = self._answer(line)
                idle.append(line)
        return [answers[index] for index in range(len(batches))]

    def _send(self, line: Connection, method: Method[Value], batch: Sequence[str]) -> None:
        try:
            line.send((method, list(batch)))
        except OSError as error:
            raise self._death(line) from error

    def _ready(self, lines: Sequence[Connection]) -> list[Connection]:
        ready = wait(lines, self._answer_within_s)
        if not ready:
            raise Outage(f"no offline model worker answered within {self._answer_within_s:g} s")
        return cast("list[Connection]", ready)

    def _answer(self, line: Connection) -> Sequence[Any]:
        try:
            answer = line.recv()
        except (EOFError, OSError) as error:
            raise self._death(line) from error
        if isinstance(answer, BaseException):
            raise answer
        return cast("Sequence[Any]", answer)

    def _death(self, line: Connection) -> Outage:
        worker = next(worker for worker in self._workers if worker.line is line)
        try:
            code = worker.process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            return Outage("an offline model worker closed its line")
        return Outage(f"an offline model worker died (exit code {code})")


def serve(line: Connection, parent: int) -> None:
    """Answer batches until the other end of the line is closed or the parent is gone.

    ``PR_SET_PDEATHSIG`` is no use here: it fires when the *thread* that started us ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    try:
        while True:
            method, batch = line.recv()
            line.send(_outcome(method, batch))
    except (EOFError, OSError):
        return


def _outcome(method: Method[Any], batch: Sequence[str]) -> list[Any] | Exception:
    try:
        return list(method(batch))
    except Exception as error:  # noqa: BLE001 - raised again on the other side of the line
        return error


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
