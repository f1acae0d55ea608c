"""Browser worker process: renders fetched pages and returns their HTML.

Started by ``process`` as ``python -m chatai_assets.adapters.crawler.browser.worker PARENT_PID``; for the messages see
``protocol``. It has no network: subresources come from the parent, which applies the same checks as to all pages.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import shutil
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import psutil

from chatai_assets.adapters.crawler.browser.limits import BrowserLimits
from chatai_assets.adapters.crawler.browser.protocol import Message, next_message
from chatai_assets.adapters.sandbox.confinement import PARENT_CHECK_S, isolate_network, set_limit
from chatai_assets.adapters.sandbox.protocol import read_message
from chatai_assets.adapters.sandbox.worker import take_over_pipes, write_message

if TYPE_CHECKING:
    from chatai_assets.adapters.crawler.browser.chromium import ChromiumRenderer

PR_SET_CHILD_SUBREAPER = 36
MAX_MESSAGE_BYTES = 1 << 30
"""The parent is trusted, so this limit is generous."""


def main() -> None:
    """Render pages until the parent closes the pipe."""
    requests, responses = take_over_pipes()
    isolate_network_keeping_ids()
    become_subreaper()
    threading.Thread(target=exit_with_parent, args=(int(sys.argv[1]),), daemon=True, name="parent watch").start()
    settings = read_message(requests)
    if settings is not None:
        try:
            asyncio.run(run(settings, requests, responses))
        finally:
            clean_up()


async def run(settings: Message, requests: BinaryIO, responses: BinaryIO) -> None:
    """Start the browser, render the pages that are sent, and stop the browser."""
    limits = BrowserLimits(**settings["limits"])
    set_limit(resource.RLIMIT_DATA, limits.memory_bytes)
    set_limit(resource.RLIMIT_CORE, 0)
    # Imported late: its libraries start threads, and a process with threads cannot change its namespace.
    from chatai_assets.adapters.crawler.browser.chromium import ChromiumRenderer

    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, requests)
    subresources = SubresourceRequests(responses)
    tasks: set[asyncio.Task[None]] = set()
    async with ChromiumRenderer(limits, settings["program"], subresources.ask, on_loss=exit_now) as renderer:
        write_message(responses, {"ready": True})
        while (message := await next_message(stream, MAX_MESSAGE_BYTES)) is not None:
            if "part" in message:
                subresources.resolve(message)
            else:
                tasks.add(task := asyncio.create_task(render_page(renderer, message, responses)))
                task.add_done_callback(tasks.discard)
        for task in tasks:
            task.cancel()


async def render_page(renderer: ChromiumRenderer, message: Message, responses: BinaryIO) -> None:
    """Render one page and send its HTML."""
    write_message(responses, {"page": message["page"], "html": await renderer.render(message)})


class SubresourceRequests:
    """Sends requests for subresources to the parent and matches its responses to them."""

    def __init__(self, responses: BinaryIO) -> None:
        self._responses = responses
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Message]] = {}

    async def ask(self, page: int, url: str, headers: dict[str, str]) -> Message:
        """Request a subresource and return the parent's response."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            write_message(self._responses, {"part": number, "of": page, "url": url, "headers": headers})
            response: Message = await future
            return response
        finally:
            del self._waiting[number]

    def resolve(self, message: Message) -> None:
        """Pass a response to the request that waits for it, if it still does."""
        future = self._waiting.get(message["part"])
        if future and not future.done():
            future.set_result(message)


def isolate_network_keeping_ids() -> None:
    """Move into an empty network namespace; in a user namespace, map the ids, which Chromium's sandbox needs."""
    user, group, before = os.geteuid(), os.getegid(), _user_namespace()
    isolate_network()
    if _user_namespace() != before:
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _user_namespace() -> str:
    return str(Path("/proc/self/ns/user").readlink()) if sys.platform == "linux" else ""


def become_subreaper() -> None:
    """Make the kernel reparent orphaned descendants to this process, so that all of them can be killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def exit_with_parent(parent: int) -> None:
    """Exit when the parent process is gone."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    exit_now()


def exit_now() -> None:
    """Exit without closing the browser, which is gone or may hang."""
    clean_up()
    os._exit(1)


def clean_up() -> None:
    """Kill all descendants of this process and remove the files they have written."""
    descendants = psutil.Process().children(recursive=True)
    for process in descendants:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(descendants, timeout=PARENT_CHECK_S)
    shutil.rmtree(Path.cwd(), ignore_errors=True)


if __name__ == "__main__":
    main()
