"""Definitions with a tagger that hangs; everything else is as in production.

``HANG`` names how it hangs; without it the tagger is the free one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any

from chatai_assets.adapters.models.fake import FirstWordsTagger
from chatai_assets.orchestration import resources
from chatai_assets.orchestration.build import build_defs
from chatai_assets.services import Services
from chatai_assets.settings import Settings, read_settings


def loop_in_python() -> None:
    while True:
        pass


def loop_in_c() -> None:
    """Hold the interpreter's lock: no signal handler and no other thread ever runs again."""
    deque(repeat(0), maxlen=0)


def silent_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def child_process() -> None:
    subprocess.Popen(["sleep", "1000"]).wait()


def swallowed_exception() -> None:
    while True:
        with suppress(BaseException):
            time.sleep(1000)


HANGS: dict[str, Callable[[], None]] = {
    hang.__name__: hang for hang in (loop_in_python, loop_in_c, silent_socket, child_process, swallowed_exception)
}


class HangingTagger(FirstWordsTagger):
    """The free tagger, which hangs if ``HANG`` is set."""

    def tag(self, questions: Sequence[Any]) -> Any:
        if hang := os.environ.get("HANG"):
            HANGS[hang]()
        return super().tag(questions)


def services_with_hanging_tagger(settings: Settings) -> Services:
    """Return the parts of a run."""
    services = Services(settings)
    services.__dict__["tagger"] = HangingTagger()
    return services


setattr(resources, "open_services", services_with_hanging_tagger)  # noqa: B010 - not a name for others to import
defs = build_defs(read_settings())
