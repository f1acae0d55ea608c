"""The browser worker process, as its parent sees it: start, render, serve subresources, kill."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Self

import psutil

from chatai_assets.adapters.crawler.browser.limits import BrowserLimits, RenderError
from chatai_assets.adapters.crawler.browser.protocol import Message, next_message
from chatai_assets.adapters.crawler.exchange import WebResponse
from chatai_assets.adapters.sandbox.process import worker_environment
from chatai_assets.adapters.sandbox.protocol import encode_message

MODULE = "chatai_assets.adapters.crawler.browser.worker"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
INSTALLED_BY_PLAYWRIGHT = Path("Library/Caches" if sys.platform == "darwin" else ".cache") / "ms-playwright"
BYTES_PER_CHARACTER = 6

FetchSubresource = Callable[[str, dict[str, str]], Awaitable[Message]]
"""URL and headers -> response message for a page's request, without its number."""


class BrowserProcess:
    """A running worker with its two pipes; used from one event loop.

    Args:
        limits: what rendering may cost.
        process: of the worker.
        folder: contains everything that it writes.
    """

    def __init__(self, limits: BrowserLimits, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._limits = limits
        self._process = process
        self._folder = folder
        self._numbers = count()
        self._pending: dict[int, tuple[asyncio.Future[str], FetchSubresource]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_alive = True

    @classmethod
    async def start(cls, limits: BrowserLimits) -> Self:
        """Start a worker and its browser.

        Raises:
            RenderError: it does not start.
        """
        folder = Path(tempfile.mkdtemp(prefix="chatai-browser-"))
        try:
            process = await _spawn(folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise RenderError(f"no process ({type(error).__name__})") from error
        worker = cls(limits, process, folder)
        try:
            async with asyncio.timeout(limits.start_s):
                await worker._initialise()
        except (TimeoutError, RenderError) as error:
            await worker.end()
            raise RenderError("the browser does not start") from error
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether it can render another page."""
        return self._is_alive

    async def render(self, response: WebResponse, ask: FetchSubresource) -> str:
        """Return the HTML of a page after its scripts have run.

        Args:
            response: the fetched page.
            ask: fetches the subresources that it requests.

        Raises:
            RenderError: it failed, or timed out; after a timeout other pages may fail as well.
        """
        number = next(self._numbers)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pending[number] = future, ask
        try:
            async with asyncio.timeout(self._limits.page_s + 2 * self._limits.end_s):
                self._send({"page": number, "url": str(response.url), "body": b64encode(response.body).decode("ascii")})
                return await future
        except TimeoutError as error:
            await self.end()
            raise RenderError("the browser does not answer") from error
        finally:
            del self._pending[number]

    async def end(self) -> None:
        """Stop the browser, killing it if it does not exit in time, and remove its files."""
        self._is_alive = False
        if self._process.stdin:
            self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.end_s):
                await self._process.wait()
        if self._process.returncode is None:
            self._kill()
            await self._process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _initialise(self) -> None:
        self._send({"program": find_chromium(), "limits": asdict(self._limits)})
        if await self._next_message() is None:
            raise RenderError("the browser ended")
        self._start_task(self._listen())

    async def _listen(self) -> None:
        """Handle the worker's messages until it exits; then fail all pending pages."""
        try:
            while (message := await self._next_message()) is not None:
                if "part" in message:
                    self._start_task(self._serve_subresource(message))
                else:
                    self._finish_page(message)
        finally:
            self._is_alive = False
            for future, _ in self._pending.values():
                if not future.done():
                    future.set_exception(RenderError("the browser ended"))

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_subresource(self, message: Message) -> None:
        _, ask = self._pending.get(message["of"], (None, None))
        response = await ask(message["url"], message["headers"]) if ask else {"refused": True}
        self._send({**response, "part": message["part"]})

    def _finish_page(self, message: Message) -> None:
        future, _ = self._pending.get(message["page"], (None, None))
        if future is None or future.done():
            return
        if message["html"] is None:
            future.set_exception(RenderError("the page failed"))
        else:
            future.set_result(message["html"])

    async def _next_message(self) -> Message | None:
        if self._process.stdout is None:
            raise ValueError("the worker was started without pipes")
        try:
            return await next_message(self._process.stdout, self._limits.html_bytes * BYTES_PER_CHARACTER)
        except ValueError:
            return None  # a worker that sends malformed messages is treated as dead

    def _send(self, message: Message) -> None:
        if self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(encode_message(message))

    def _kill(self) -> None:
        """Kill the worker and all its descendants; the browser's processes are in sessions of their own."""
        with suppress(psutil.NoSuchProcess):
            descendants = psutil.Process(self._process.pid).children(recursive=True)
            for process in descendants:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


async def check_browser() -> None:
    """Start a browser and stop it.

    Raises:
        RenderError: it does not start.
    """
    await (await BrowserProcess.start(BrowserLimits())).end()


def find_chromium() -> str | None:
    """Return the path of the system's Chromium; None without one, when playwright must have installed one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


async def _spawn(folder: Path) -> asyncio.subprocess.Process:
    """Start the interpreter on the worker's module, in ``folder``, in its own session, without our secrets."""
    variables = {
        "PLAYWRIGHT_BROWSERS_PATH": str(Path.home() / INSTALLED_BY_PLAYWRIGHT),
        **worker_environment(),
        **dict.fromkeys(
            ("HOME", "TMPDIR", "CRAWL4_AI_BASE_DIRECTORY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(folder)
        ),
        "CRAWL4AI_NO_CLOUD_NOTICE": "1",
        "PYTHON_DOTENV_DISABLED": "1",  # crawl4ai would load a .env from the folders above it
        "CRAWL4AI_CHROMIUM_SANDBOX": "false" if os.geteuid() == 0 else "true",  # Chromium refuses it to root
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
        env=variables,
        start_new_session=True,
    )
