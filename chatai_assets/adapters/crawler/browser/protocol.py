"""What the browser child and its parent say to each other: the frames of the parsers, over streams of asyncio.

The parent opens with ``{"program": .., "limits": ..}``, answered with ``{"ready": true}`` when the browser is there.
Then ``{"page": number, "url": .., "body": ..}`` shows a page, answered with ``{"page": number, "html": ..}``, null
where that failed. What a page asks for meanwhile comes as ``{"part": number, "of": page, "url": .., "headers": ..}``,
answered with ``{"part": number, "status": .., "headers": .., "body": ..}`` or ``{"part": number, "refused": true}``.
Bodies are base64.
"""

from __future__ import annotations

import asyncio
from typing import Any

from chatai_assets.adapters.sandbox.protocol import HEADER, decode_message

Message = dict[str, Any]


async def next_message(stream: asyncio.StreamReader, most_bytes: int) -> Message | None:
    """Return the next message, None at the end of the stream.

    Raises:
        ValueError: it is longer than ``most_bytes``, or none.
    """
    try:
        (length,) = HEADER.unpack(await stream.readexactly(HEADER.size))
        if length > most_bytes:
            raise ValueError("the message is too long")
        return decode_message(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
