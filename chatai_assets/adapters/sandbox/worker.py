"""Parser worker process: reads one file after another and responds with JSON.

Started by ``process`` as ``python -m chatai_assets.adapters.sandbox.worker PARENT_PID``. The first message holds the
limits and is answered when the worker is ready. Every further one is one of two requests:
``{"path": .., "name": .., "format": ..}`` returns the parsed document;
``{"path": .., "format": .., "page": .., "cpu_s": ..}`` returns the hash of one page of a scan, or, if ``cpu_s`` is not
zero, the text recognised on it.
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
    """Handle requests until the parent closes the pipe."""
    requests, responses = take_over_pipes()
    first = read_message(requests)
    if first is None:
        return
    limits = ParserLimits(**first)
    drop_privileges(limits, int(sys.argv[1]), allowed_programs())
    write_message(responses, {"ready": True})
    while (request := read_message(requests)) is not None:
        set_cpu_limit(limits.cpu_s)
        write_message(responses, handle_request(request, limits))


def take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes to the parent, moved off stdin and stdout so that a library's output is never a response."""
    requests = os.fdopen(os.dup(0), "rb")
    responses = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    return requests, responses


def write_message(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message."""
    stream.write(encode_message(message))
    stream.flush()


def handle_request(request: dict[str, Any], limits: ParserLimits) -> dict[str, Any]:
    """Return the document or the error as a message, without messages of library errors: they may quote the file."""
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
    except Exception as error:  # noqa: BLE001 (hostile files make libraries raise anything; this process contains it)
        return {"fault": ["corrupt", type(error).__name__]}


def handle_page_request(request: dict[str, Any], limits: ParserLimits) -> dict[str, Any]:
    """Return the hash of a page of a scan, null if it is blank, or its recognised text."""
    from chatai_assets.adapters.ocr.page_images import load_page_image
    from chatai_assets.adapters.ocr.tesseract import recognise_page

    image = load_page_image(Path(request["path"]), request["format"] == "pdf", request["page"])
    if not request["cpu_s"]:
        return {"image": None if image.is_blank else image.hash}
    return asdict(recognise_page(image, limits.memory_bytes // 2, request["cpu_s"]))


if __name__ == "__main__":
    main()
