"""The parser child: reads one file after another and answers with JSON.

Started by ``sandbox`` as ``python -m chatai_assets.adapters.sandbox.worker PARENT_PID``. The first message holds the
limits and is answered when the child is ready; every further one is ``{"path": .., "name": .., "format": ..}`` and
answered with a document, or ``{"path": .., "format": .., "page": .., "cpu_s": ..}``: what page of a scan that is, and
what it says if ``cpu_s`` allows to recognise it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from chatai_assets.adapters.ocr.tesseract import programs
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.registry import read_document
from chatai_assets.adapters.sandbox.confinement import allow_cpu, drop_privileges
from chatai_assets.adapters.sandbox.protocol import document_message, packed, received
from chatai_assets.domain.errors import UnreadableDocument


def main() -> None:
    """Serve until the pipe from the parent is closed."""
    requests, answers = private_pipes()
    opening = received(requests)
    if opening is None:
        return
    limits = ParserLimits(**opening)
    drop_privileges(limits, int(sys.argv[1]), programs())
    send(answers, {"ready": True})
    while (request := received(requests)) is not None:
        allow_cpu(limits.cpu_s)
        send(answers, answer_to(request, limits))


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes to the parent, taken off 0 and 1: what a library prints must not become an answer."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return requests, answers


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message."""
    stream.write(packed(message))
    stream.flush()


def answer_to(request: dict[str, Any], limits: ParserLimits) -> dict[str, Any]:
    """Return the document or the fault as a message; the words of foreign errors stay here, they may quote the file."""
    try:
        if "page" in request:
            return page_message(request, limits)
        document = read_document(Path(request["path"]), request["name"], limits, request["format"])
        return {"document": document_message(document)}
    except UnreadableDocument as fault:
        return {"fault": [fault.reason, fault.detail]}
    except MemoryError:
        return {"fault": ["memory_limit", f"more than {limits.memory_bytes // 2**20} MB"]}
    except RecursionError:
        return {"fault": ["corrupt", "nested too deeply"]}
    except Exception as error:  # noqa: BLE001 (hostile files make libraries raise anything; this process exists to contain it)
        return {"fault": ["corrupt", type(error).__name__]}


def page_message(request: dict[str, Any], limits: ParserLimits) -> dict[str, Any]:
    """Return the hash of a page of a scan, null where it is blank, or its text."""
    from chatai_assets.adapters.ocr.page_images import page_image
    from chatai_assets.adapters.ocr.tesseract import recognised

    image = page_image(Path(request["path"]), request["format"] == "pdf", request["page"])
    if not request["cpu_s"]:
        return {"image": None if image.is_blank else image.hash}
    return asdict(recognised(image, limits.memory_bytes // 2, request["cpu_s"]))


if __name__ == "__main__":
    main()
