"""Messages between the browser worker and its parent: those of ``sandbox.protocol``, over asyncio streams.

The parent starts with ``{"program": .., "limits": ..}``; the worker responds ``{"ready": true}`` when the browser runs.
The parent sends ``{"page": number, "url": .., "body": ..}`` to render a page; the worker responds
``{"page": number, "html": ..}``, null on failure. Meanwhile the worker requests subresources of a page with
``{"part": number, "of": page, "url": .., "headers": ..}``; the parent responds
``{"part": number, "status": .., "headers": .., "body": ..}`` or ``{"part": number, "refused": true}``. Bodies are
base64.
"""

from __future__ import annotations

import asyncio
from typing import Any

from chatai_assets.adapters.sandbox.protocol import HEADER, decode_message

Message = dict[str, Any]


async def next_message(stream: asyncio.StreamReader, max_bytes: int) -> Message | None:
    """Return the next message; None at the end of the stream.

    Raises:
        ValueError: it is longer than ``max_bytes``, or not JSON.
    """
    try:
        (length,) = HEADER.unpack(await stream.readexactly(HEADER.size))
        if length > max_bytes:
            raise ValueError("the message is too long")
        return decode_message(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
