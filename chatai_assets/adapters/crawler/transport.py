"""Connections to the public internet and to nothing else.

The check stands at the one place where sockets are opened: a name is resolved there, its addresses are checked, and
the connection goes to an address that was checked. A redirect, a second answer of a DNS server or a proxy of the
environment cannot get around it. TLS is for the name, since only the socket knows the address.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from chatai_assets.adapters.crawler.limits import FetchError
from chatai_assets.adapters.crawler.ssrf import PORTS, IPAddress, is_public, parse_ip_literal

RESOLVERS = 16
"""Threads that wait for DNS; a server that answers slowly must not hold up the names of others."""
TRIES = 3
"""Addresses of one name that are tried."""


def system_addresses(name: str) -> list[str]:
    """Return the addresses of a name as the system resolves it; ``OSError`` if it has none."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_allowed(address: IPAddress, _port: int) -> bool:
    """Return whether pages may be fetched from an address."""
    return is_public(address)


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """What counts as the web; another one in tests.

    Attributes:
        ports: that a URL may name.
        resolve: name -> addresses; blocks, raises ``OSError``.
        permits: whether an address and port may be connected to.
        tls: with which certificates sites are checked.
    """

    ports: frozenset[int] = PORTS
    resolve: Callable[[str], Sequence[str]] = system_addresses
    permits: Callable[[IPAddress, int], bool] = is_allowed
    tls: ssl.SSLContext = field(default_factory=lambda: httpx.create_ssl_context(trust_env=False))


class WebTransport(httpx.AsyncHTTPTransport):
    """httpx's transport on checked connections, for one request.

    After a request that was cancelled, as slow ones are, httpcore's pool may take its connection for busy for ever; a
    pool that all requests share would be full of such some day.

    Args:
        resolvers: see ``new_resolvers``.
    """

    def __init__(self, world: NetworkPolicy, resolvers: ThreadPoolExecutor) -> None:
        super().__init__(verify=world.tls, trust_env=False)
        backend = _CheckedBackend(world, resolvers)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=world.tls, network_backend=backend)


def new_resolvers() -> ThreadPoolExecutor:
    """Return the threads in which names are resolved."""
    return ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolver")


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, world: NetworkPolicy, resolvers: ThreadPoolExecutor) -> None:
        self._world = world
        self._resolvers = resolvers
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the signature is httpcore's)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a public address of a host.

        Raises:
            PageFault: ``forbidden`` if any of its addresses is not public, ``unreachable`` if it has none.
            httpcore.ConnectError, httpcore.ConnectTimeout: nobody answers there.
        """
        failure: Exception = FetchError("unreachable")
        for address in (await self._addresses(host, port))[:TRIES]:
            try:
                return await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, *_arguments: Any, **_options: Any) -> httpcore.AsyncNetworkStream:
        """Refuse: no page lives on a socket of this machine."""
        raise FetchError("forbidden")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[IPAddress]:
        given = parse_ip_literal(host)
        addresses = [given] if given else await self._resolved(host)
        if not all(self._world.permits(address, port) for address in addresses):
            raise FetchError("forbidden")  # one inner address among outer ones is a trap, not a site
        return addresses

    async def _resolved(self, host: str) -> list[IPAddress]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._resolvers, self._world.resolve, host)
        except (OSError, UnicodeError) as error:
            raise FetchError("unreachable") from error
        addresses = [parse_ip_literal(text) for text in found]
        if None in addresses:
            raise FetchError("forbidden")  # an address with a zone is a neighbour's
        return [address for address in addresses if address]
