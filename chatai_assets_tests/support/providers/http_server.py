"""HTTP/1.1 as far as one client that we know needs it, with connections that can be cut at will."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

MAX_BODY = 32 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body or b"null")

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered; ``cut`` says the connection goes away instead: before the answer, or in the middle of it."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: str = ""


Handler = Callable[[Request], Awaitable[Response]]


async def serve(handler: Handler, port: int) -> asyncio.Server:
    """Listen on 127.0.0.1; port 0 takes a free one."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                if not await _write(writer, await handler(request)):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as it may
        finally:
            writer.transport.abort()

    return await asyncio.start_server(connected, "127.0.0.1", port, backlog=512)


@contextmanager
def serving(handler: Handler, port: int = 0) -> Iterator[int]:
    """Serve from a thread of its own; give the port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(serve(handler, port))

    def work() -> None:
        loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=work, name="server", daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    line = (await reader.readline()).decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = {}
    while (raw := (await reader.readline()).decode("latin-1")) not in {"\r\n", "\n", ""}:
        name, _, value = raw.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if length > MAX_BODY:
        return None
    return Request(line[0], line[1], headers, await reader.readexactly(length))


async def _write(writer: asyncio.StreamWriter, response: Response) -> bool:
    """Write an answer; return whether the connection still stands."""
    if response.cut == "before":
        return False
    body = response.body if isinstance(response.body, bytes) else json.dumps(response.body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", **response.headers, "Content-Length": str(len(body))}
    head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase if response.status < 512 else 'Error'}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    writer.write(head.encode("latin-1") + (body[: len(body) // 2] if response.cut else body))
    await writer.drain()
    return not response.cut
