"""A small internet on loopback: a site that misbehaves on request, and an internal server that must not be reached."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import sys
import threading
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address
from typing import Any

from chatai_assets.adapters.crawler.limits import CrawlLimits
from chatai_assets.adapters.crawler.ssrf import PORTS, IPAddress, is_public
from chatai_assets.adapters.crawler.transport import NetworkPolicy

TIGHT_LIMITS = CrawlLimits(
    wire_bytes=256 << 10, body_bytes=512 << 10, connect_s=3.0, silence_s=2.0, page_s=4.0, link_s=10.0, crawl_delay_s=0.0
)
SITE, INNER = "127.0.0.1", "127.0.0.2"
"""Only the site's loopback address and port count as public; the internal server has the same port."""
PARAGRAPH = "<p>Кратер на Луне весит больше, чем кажется, и это длинное предложение статьи о нём.</p>"
ARTICLE = f"<html><head><title>Луна</title></head><body><article>{PARAGRAPH * 5}</article></body></html>".encode()
MEGABYTE = b" " * (1 << 20)

Handler = Callable[[Any, "ReceivedRequest"], Awaitable[None]]


@dataclass(frozen=True)
class ReceivedRequest:
    """A request: path with query, and headers with names in lower case."""

    path: str
    headers: Mapping[str, str]

    @property
    def host(self) -> str:
        """The requested host name, without the port."""
        return self.headers["host"].rpartition(":")[0]


@dataclass
class Server:
    """Listens on one address; counts connections and sent bytes, and records requests."""

    address: str
    handler: Handler
    port: int = 0
    connections: int = 0
    sent: int = 0
    asked: list[ReceivedRequest] = field(default_factory=list)
    listening: asyncio.Server | None = None

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listen."""
        self.listening = await asyncio.start_server(self._connected, self.address, port, ssl=tls)
        self.port = self.listening.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            asked = parse_request(await reader.readuntil(b"\r\n\r\n"))
            self.asked.append(asked)
            await self.handler(CountingWriter(writer, self), asked)
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client closed the connection, as it should
        finally:
            writer.transport.abort()


def parse_request(raw: bytes) -> ReceivedRequest:
    """Return the request in the head of an HTTP message."""
    lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return ReceivedRequest(lines[0].split(" ")[1], {name.lower(): value.strip() for name, _, value in pairs})


class CountingWriter:
    """A writer that counts the bytes it sends."""

    def __init__(self, writer: asyncio.StreamWriter, server: Server) -> None:
        self._writer, self._server = writer, server

    async def send(self, data: bytes) -> None:
        """Send and wait until the buffer is drained."""
        self._writer.write(data)
        await self._writer.drain()
        self._server.sent += len(data)


def head(status: int = 200, **headers: str) -> bytes:
    """Return the head of a response; header names are written with underscores."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def page(body: bytes = ARTICLE, media_type: str = "text/html", status: int = 200, **headers: str) -> bytes:
    """Return a complete response."""
    return head(status, Content_Type=media_type, Content_Length=str(len(body)), **headers) + body


def redirect(target: str, status: int = 302) -> bytes:
    """Return a redirect response."""
    return head(status, Location=target, Content_Length="0")


@cache
def bomb(megabytes: int = 200) -> bytes:
    """Return gzip of many blanks, a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(MEGABYTE) for _ in range(megabytes)) + packer.flush()


ANSWERS: dict[str, bytes] = {
    "article": page(),
    "text": page("Просто текст о Луне.".encode(), "text/plain; charset=utf-8"),
    "gzip": page(gzip.compress(ARTICLE), Content_Encoding="gzip"),
    "deflate": page(zlib.compress(ARTICLE), Content_Encoding="deflate"),
    "gone": page(status=404),
    "forbidden": page(status=403),
    "teapot": page(status=418),
    "broken": page(status=500),
    "busy": page(status=503),
    "throttled": page(status=429),
    "nothing": head(204),
    "unasked-304": head(304),
    "partial": page(status=206),
    "empty": page(b""),
    "blank": page(b"<html><body>  </body></html>"),
    "pdf": page(b"%PDF-1.7", "application/pdf"),
    "image": page(b"\x89PNG", "image/png"),
    "json": page(b"{}", "application/json"),
    "xml": page(b"<a/>", "text/xml"),
    "script": page(b"x", "text/javascript"),
    "octets": page(b"x", "application/octet-stream"),
    "typeless": head(Content_Length="5") + b"hello",
    "many-types": page(b"x", "text/html-not"),
    "binary-text": page(bytes(range(1, 9)) * 400, "text/plain"),
    "binary-html": page(bytes(range(256)) * 40),
    "deep": page(b"<div>" * 100_000),
    "entities": page(b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><html><body>&b;</body></html>'),
    "brotli": page(b"\x0b\x02\x80", Content_Encoding="br"),
    "twice-packed": page(gzip.compress(gzip.compress(ARTICLE)), Content_Encoding="gzip, gzip"),
    "not-gzip": page(ARTICLE, Content_Encoding="gzip"),
    "bomb": page(bomb(), Content_Encoding="gzip"),
    "deflate-bomb": page(zlib.compress(MEGABYTE * 50), Content_Encoding="deflate"),
    "no-http": b"220 smtp.example ESMTP\r\n",
    "bad-length": head(Content_Type="text/html", Content_Length="-1") + ARTICLE,
    "two-lengths": b"HTTP/1.1 200 X\r\nContent-Type: text/html\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello",
    "short-body": head(Content_Type="text/html", Content_Length="99999") + ARTICLE,
    "bad-chunk": head(Content_Type="text/html", Transfer_Encoding="chunked") + b"zz\r\nhello",
    "header-flood": b"HTTP/1.1 200 X\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 99) for n in range(20_000)),
    "long-header": b"HTTP/1.1 200 X\r\nX: " + b"y" * (4 << 20),
    "no-location": head(302, Content_Length="0"),
    "to-file": redirect("file:///etc/passwd"),
    "to-gopher": redirect("gopher://127.0.0.1/"),
    "to-user": redirect("http://name:password@site.example/article"),
    "to-nonsense": redirect("http://[::bad"),
    "to-long": redirect("/" + "a" * 9_000),
    "to-split": redirect("/a\rb"),
}
"""First word of the path -> what is sent; placeholders of the port are filled in."""


async def answer(writer: Any, asked: ReceivedRequest) -> None:
    """Behave as the first word of the path says, or that of the host for ``/robots.txt``."""
    word, _, rest = asked.path.partition("?")[0].strip("/").partition("/")
    if asked.path == "/robots.txt":
        word, rest = (asked.host.partition(".")[0], "robots") if asked.host.startswith("robots-") else ("gone", "")
    if word in ANSWERS:
        await writer.send(ANSWERS[word])
    elif word in {"301", "302", "303", "307", "308"}:
        await writer.send(redirect(rest, int(word)))
    elif word == "chain":
        left = int(rest)
        await writer.send(redirect(f"/chain/{left - 1}") if left else page())
    elif word.startswith("robots-"):
        await robots(writer, asked, word, rest)
    else:
        await DRIPS[word](writer)


async def robots(writer: Any, asked: ReceivedRequest, word: str, what: str) -> None:
    """Respond as a site with an unusual robots.txt."""
    if what != "robots":
        await writer.send(page())
        return
    port = asked.headers["host"].rpartition(":")[2]
    said = {
        "robots-closed": page(b"User-agent: *\nDisallow: /", "text/plain"),
        "robots-partly": page(b"User-agent: *\nDisallow: /\nAllow: /robots-open$", "text/plain"),
        "robots-ours": page(b"User-agent: chatai-assets\nDisallow: /\n\nUser-agent: *\nAllow: /", "text/plain"),
        "robots-broken": page(status=500),
        "robots-inside": redirect(f"http://{INNER}:{port}/robots.txt"),
        "robots-loop": redirect("/robots.txt"),
        "robots-huge": page(b"User-agent: *\nDisallow: /\n" + b"#" * (4 << 20), "text/plain"),
        "robots-bomb": page(bomb(), "text/plain", Content_Encoding="gzip"),
        "robots-stars": page(b"User-agent: *\nDisallow: /" + b"a*" * 50_000 + b"$", "text/plain"),
    }
    await writer.send(said[word])


async def silent(_writer: Any) -> None:
    """Send nothing."""
    await asyncio.sleep(30)


async def half(writer: Any) -> None:
    """Send the start of a page, then nothing."""
    await writer.send(head(Content_Type="text/html") + ARTICLE[:50])
    await asyncio.sleep(30)


async def endless(writer: Any) -> None:
    """Send an endless page."""
    await writer.send(head(Content_Type="text/html"))
    while True:
        await writer.send(MEGABYTE)


async def endless_chunks(writer: Any) -> None:
    """Send endless chunks."""
    await writer.send(head(Content_Type="text/html", Transfer_Encoding="chunked"))
    while True:
        await writer.send(b"10000\r\n" + MEGABYTE[:65536] + b"\r\n")


async def giant(writer: Any) -> None:
    """Announce a gigabyte and send it."""
    await writer.send(head(Content_Type="text/html", Content_Length=str(1 << 30)))
    for _ in range(1 << 10):
        await writer.send(MEGABYTE)


async def drip(writer: Any) -> None:
    """Send a byte at a time, with short pauses."""
    await writer.send(head(Content_Type="text/html"))
    while True:
        await writer.send(b"<")
        await asyncio.sleep(0.1)


async def drip_head(writer: Any) -> None:
    """Send an endless head."""
    await writer.send(b"HTTP/1.1 200 X\r\n")
    while True:
        await writer.send(b"X: y\r\n")
        await asyncio.sleep(0.1)


async def hints(writer: Any) -> None:
    """Send informational responses for ever."""
    while True:
        await writer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.05)


DRIPS: dict[str, Callable[[Any], Awaitable[None]]] = {
    "silent": silent,
    "half": half,
    "endless": endless,
    "endless-chunks": endless_chunks,
    "giant": giant,
    "drip": drip,
    "drip-head": drip_head,
    "hints": hints,
}


@dataclass
class Internet:
    """The site, the internal server, results of name resolution, and the connections of this process."""

    site: Server
    inner: Server
    names: dict[str, Sequence[str]] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)

    @property
    def policy(self) -> NetworkPolicy:
        """The real network policy, except that the site is public."""
        return NetworkPolicy(ports=PORTS | {self.site.port}, resolve=self._resolve, permits=self._permits)

    @property
    def outside(self) -> list[tuple[str, int]]:
        """Addresses that were connected to, other than the site."""
        return [place for place in self.connected if place != (SITE, self.site.port)]

    def url(self, path: str, host: str = "site.example") -> str:
        """Return a URL of the site."""
        return f"http://{host}:{self.site.port}/{path}"

    def _permits(self, address: IPAddress, port: int) -> bool:
        return is_public(address) or (address == IPv4Address(SITE) and port == self.site.port)

    def _resolve(self, name: str) -> Sequence[str]:
        self.resolved.append(name)
        if name.endswith(".site.example") or name == "site.example" or name.startswith("robots-"):
            return [SITE]
        answers = self.names.get(name)
        if answers is None:
            raise OSError("no such name")
        if name.startswith("rebind"):  # another address for each look-up
            return [answers[(self.resolved.count(name) - 1) % len(answers)]]
        return answers


_watching: list[Internet] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _watching and isinstance(arguments[1], tuple):
        _watching[-1].connected.append((str(arguments[1][0]), int(arguments[1][1])))


sys.addaudithook(_watch)


@contextmanager
def run_internet() -> Iterator[Internet]:
    """Run both servers and record what this process connects to."""
    net = Internet(Server(SITE, answer), Server(INNER, answer))
    with _loop() as run:
        run(net.site.start())
        run(net.inner.start(net.site.port))
        _watching.append(net)
        try:
            yield net
        finally:
            _watching.remove(net)
            run(_stop(net.site, net.inner))


@contextmanager
def run_site(tls: ssl.SSLContext) -> Iterator[int]:
    """Run a site of articles over TLS; yields its port."""
    server = Server(SITE, lambda writer, _asked: writer.send(ANSWERS["article"]))
    with _loop() as run:
        run(server.start(tls=tls))
        try:
            yield server.port
        finally:
            run(_stop(server))


@contextmanager
def _loop() -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(*servers: Server) -> None:
    for server in servers:
        if server.listening:
            server.listening.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # cancelled connections are closed in the next iteration of the loop
