"""The browser child as its parent sees it."""

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

Ask = Callable[[str, dict[str, str]], Awaitable[Message]]
"""URL and headers -> what to answer a page that asks for it, but the number."""


class BrowserProcess:
    """A running child with its two pipes; used from one event loop.

    Args:
        folder: all that it writes is in there.
    """

    def __init__(self, limits: BrowserLimits, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._limits = limits
        self._process = process
        self._folder = folder
        self._numbers = count()
        self._shown: dict[int, tuple[asyncio.Future[str], Ask]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_alive = True

    @classmethod
    async def start(cls, limits: BrowserLimits) -> Self:
        """Start a child and its browser.

        Raises:
            NotShown: it does not start.
        """
        folder = Path(tempfile.mkdtemp(prefix="chatai-browser-"))
        try:
            process = await _spawn(folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise RenderError(f"no process ({type(error).__name__})") from error
        child = cls(limits, process, folder)
        try:
            async with asyncio.timeout(limits.start_s):
                await child._initialise()
        except (TimeoutError, RenderError) as error:
            await child.end()
            raise RenderError("the browser does not start") from error
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def is_alive(self) -> bool:
        """Whether it can show another page."""
        return self._is_alive

    async def show(self, answer: WebResponse, ask: Ask) -> str:
        """Return a page as it is after its scripts have run, as HTML.

        Raises:
            NotShown: it failed, or took too long; then also the pages beside it may fail.
        """
        number = next(self._numbers)
        shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._shown[number] = shown, ask
        try:
            async with asyncio.timeout(self._limits.page_s + 2 * self._limits.end_s):
                self._send({"page": number, "url": str(answer.url), "body": b64encode(answer.body).decode("ascii")})
                return await shown
        except TimeoutError as error:
            await self.end()
            raise RenderError("the browser does not answer") from error
        finally:
            del self._shown[number]

    async def end(self) -> None:
        """End the browser, first in peace, and remove what it has written."""
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
        if await self._next() is None:
            raise RenderError("the browser ended")
        self._begin(self._listen())

    async def _listen(self) -> None:
        """Hear the child until it ends; then no page is shown any more."""
        try:
            while (message := await self._next()) is not None:
                if "part" in message:
                    self._begin(self._answer(message))
                else:
                    self._take(message)
        finally:
            self._is_alive = False
            for shown, _ in self._shown.values():
                if not shown.done():
                    shown.set_exception(RenderError("the browser ended"))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Message) -> None:
        _, ask = self._shown.get(message["of"], (None, None))
        said = await ask(message["url"], message["headers"]) if ask else {"refused": True}
        self._send({**said, "part": message["part"]})

    def _take(self, message: Message) -> None:
        shown, _ = self._shown.get(message["page"], (None, None))
        if shown is None or shown.done():
            return
        if message["html"] is None:
            shown.set_exception(RenderError("the page failed"))
        else:
            shown.set_result(message["html"])

    async def _next(self) -> Message | None:
        if self._process.stdout is None:
            raise ValueError("the child was started without pipes")
        try:
            return await next_message(self._process.stdout, self._limits.html_bytes * BYTES_PER_CHARACTER)
        except ValueError:
            return None  # whoever talks nonsense is as good as gone

    def _send(self, message: Message) -> None:
        if self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(encode_message(message))

    def _kill(self) -> None:
        """Kill the child and all below it; the browser's processes are in sessions of their own."""
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(self._process.pid).children(recursive=True)
            for process in below:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


async def check_browser() -> None:
    """Start a browser and end it.

    Raises:
        NotShown: it does not start.
    """
    await (await BrowserProcess.start(BrowserLimits())).end()


def find_chromium() -> str | None:
    """Return the path of the system's Chromium; None where there is none, and playwright must have one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


async def _spawn(folder: Path) -> asyncio.subprocess.Process:
    """Start the interpreter on the child's module, in ``folder``, in a session of its own, without our secrets."""
    given = {
        "PLAYWRIGHT_BROWSERS_PATH": str(Path.home() / INSTALLED_BY_PLAYWRIGHT),
        **worker_environment(),
        **dict.fromkeys(
            ("HOME", "TMPDIR", "CRAWL4_AI_BASE_DIRECTORY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(folder)
        ),
        "CRAWL4AI_NO_CLOUD_NOTICE": "1",
        "PYTHON_DOTENV_DISABLED": "1",  # it would look for a .env in the folders above crawl4ai
        "CRAWL4AI_CHROMIUM_SANDBOX": "false" if os.geteuid() == 0 else "true",  # Chromium refuses it to root
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
        env=given,
        start_new_session=True,
    )
