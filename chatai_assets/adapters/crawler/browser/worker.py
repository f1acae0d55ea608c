"""The browser child: shows pages that were fetched, and says what their scripts have made of them.

Started by ``process`` as ``python -m chatai_assets.adapters.crawler.browser.worker PARENT_PID``; the messages are those
of ``protocol``. It has no network: whatever a page asks for comes from the parent, whose walls are those of all pages.
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
LONGEST_MESSAGE = 1 << 30
"""Bytes; the parent is trusted."""


def main() -> None:
    """Serve until the pipe from the parent is closed."""
    requests, answers = take_over_pipes()
    isolate_network_keeping_ids()
    become_subreaper()
    threading.Thread(target=exit_with_parent, args=(int(sys.argv[1]),), daemon=True, name="parent watch").start()
    opening = read_message(requests)
    if opening is not None:
        try:
            asyncio.run(run(opening, requests, answers))
        finally:
            clean_up()


async def run(opening: Message, requests: BinaryIO, answers: BinaryIO) -> None:
    """Start the browser, show what is sent and end the browser."""
    limits = BrowserLimits(**opening["limits"])
    set_limit(resource.RLIMIT_DATA, limits.memory_bytes)
    set_limit(resource.RLIMIT_CORE, 0)
    # Its libraries start threads, and a process with threads cannot leave the network.
    from chatai_assets.adapters.crawler.browser.chromium import ChromiumRenderer

    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, requests)
    conversation = SubresourceRequests(answers)
    tasks: set[asyncio.Task[None]] = set()
    async with ChromiumRenderer(limits, opening["program"], conversation.ask, on_loss=exit_now) as pages:
        write_message(answers, {"ready": True})
        while (message := await next_message(stream, LONGEST_MESSAGE)) is not None:
            if "part" in message:
                conversation.hear(message)
            else:
                tasks.add(task := asyncio.create_task(render_page(pages, message, answers)))
                task.add_done_callback(tasks.discard)
        for task in tasks:
            task.cancel()


async def render_page(pages: ChromiumRenderer, message: Message, answers: BinaryIO) -> None:
    """Show one page and say what it is."""
    write_message(answers, {"page": message["page"], "html": await pages.shown(message)})


class SubresourceRequests:
    """What pages ask for, and who waits for which answer."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Message]] = {}

    async def ask(self, page: int, url: str, headers: dict[str, str]) -> Message:
        """Return the parent's answer."""
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            write_message(self._answers, {"part": number, "of": page, "url": url, "headers": headers})
            answer: Message = await answered
            return answer
        finally:
            del self._waiting[number]

    def hear(self, message: Message) -> None:
        """Take an answer; nobody may wait for it any more."""
        answered = self._waiting.get(message["part"])
        if answered and not answered.done():
            answered.set_result(message)


def isolate_network_keeping_ids() -> None:
    """Leave the network; in a user namespace, keep one's number, without which Chromium has no sandbox."""
    user, group, before = os.geteuid(), os.getegid(), _user_namespace()
    isolate_network()
    if _user_namespace() != before:
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _user_namespace() -> str:
    return str(Path("/proc/self/ns/user").readlink()) if sys.platform == "linux" else ""


def become_subreaper() -> None:
    """Have the kernel make this process the parent of descendants that lose theirs: none is out of sight."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def exit_with_parent(parent: int) -> None:
    """End when the parent is another than it was."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    exit_now()


def exit_now() -> None:
    """End without closing the browser, which is gone or must not be waited for."""
    clean_up()
    os._exit(1)


def clean_up() -> None:
    """Kill what this process has started, and what that has started, and remove what they have written."""
    below = psutil.Process().children(recursive=True)
    for process in below:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(below, timeout=PARENT_CHECK_S)
    shutil.rmtree(Path.cwd(), ignore_errors=True)


if __name__ == "__main__":
    main()
