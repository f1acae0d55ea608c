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

from chatai_assets.adapters.ocr.tesseract import allowed_programs
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.parsers.registry import read_document
from chatai_assets.adapters.sandbox.confinement import drop_privileges, set_cpu_limit
from chatai_assets.adapters.sandbox.protocol import document_to_message, encode_message, read_message
from chatai_assets.domain.errors import UnreadableDocument


def main() -> None:
    """Serve until the pipe from the parent is closed."""
    requests, answers = take_over_pipes()
    opening = read_message(requests)
    if opening is None:
        return
    limits = ParserLimits(**opening)
    drop_privileges(limits, int(sys.argv[1]), allowed_programs())
    write_message(answers, {"ready": True})
    while (request := read_message(requests)) is not None:
        set_cpu_limit(limits.cpu_s)
        write_message(answers, handle_request(request, limits))


def take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes to the parent, taken off 0 and 1: what a library prints must not become an answer."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return requests, answers


def write_message(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message."""
    stream.write(encode_message(message))
    stream.flush()


def handle_request(request: dict[str, Any], limits: ParserLimits) -> dict[str, Any]:
    """Return the document or the fault as a message; the words of foreign errors stay here, they may quote the file."""
    try:
        if "page" in request:
            return handle_page_request(request, limits)
        document = read_document(Path(request["path"]), request["name"], limits, request["format"])
        return {"document": document_to_message(document)}
    except UnreadableDocument as fault:
        return {"fault": [fault.reason, fault.detail]}
    except MemoryError:
        return {"fault": ["memory_limit", f"more than {limits.memory_bytes // 2**20} MB"]}
    except RecursionError:
        return {"fault": ["corrupt", "nested too deeply"]}
    except Exception as error:  # noqa: BLE001 (hostile files make libraries raise anything; this process exists to contain it)
        return {"fault": ["corrupt", type(error).__name__]}


def handle_page_request(request: dict[str, Any], limits: ParserLimits) -> dict[str, Any]:
    """Return the hash of a page of a scan, null where it is blank, or its text."""
    from chatai_assets.adapters.ocr.page_images import load_page_image
    from chatai_assets.adapters.ocr.tesseract import recognise_page

    image = load_page_image(Path(request["path"]), request["format"] == "pdf", request["page"])
    if not request["cpu_s"]:
        return {"image": None if image.is_blank else image.hash}
    return asdict(recognise_page(image, limits.memory_bytes // 2, request["cpu_s"]))


if __name__ == "__main__":
    main()
