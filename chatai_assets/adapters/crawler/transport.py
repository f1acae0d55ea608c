"""HTTP transport that connects only to the public internet.

The check is where sockets are opened: the name is resolved there, its addresses are checked, and the connection goes to
a checked address. A redirect, a different second answer of a DNS server or a proxy from the environment cannot bypass
it. TLS verifies the host name, since only the socket knows the address.
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
"""Threads for DNS look-ups; a slow server must not delay look-ups at others."""
TRIES = 3
"""Addresses of one name to try."""


def system_addresses(name: str) -> list[str]:
    """Return the addresses of a name from the system resolver; ``OSError`` if it has none."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_allowed(address: IPAddress, _port: int) -> bool:
    """Return whether pages may be fetched from an address."""
    return is_public(address)


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """What may be connected to; tests use another one.

    Attributes:
        ports: that a URL may have.
        resolve: name -> addresses; blocks, raises ``OSError``.
        permits: whether an address and port may be connected to.
        tls: certificates that sites are verified with.
    """

    ports: frozenset[int] = PORTS
    resolve: Callable[[str], Sequence[str]] = system_addresses
    permits: Callable[[IPAddress, int], bool] = is_allowed
    tls: ssl.SSLContext = field(default_factory=lambda: httpx.create_ssl_context(trust_env=False))


class WebTransport(httpx.AsyncHTTPTransport):
    """httpx transport on checked connections, for one request.

    After a cancelled request httpcore's pool may consider its connection busy for ever, and slow requests are
    cancelled: a shared pool would fill up with such connections.

    Args:
        policy: what may be connected to.
        resolvers: see ``new_resolvers``.
    """

    def __init__(self, policy: NetworkPolicy, resolvers: ThreadPoolExecutor) -> None:
        super().__init__(verify=policy.tls, trust_env=False)
        backend = _CheckedBackend(policy, resolvers)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=policy.tls, network_backend=backend)


def new_resolvers() -> ThreadPoolExecutor:
    """Return an executor for DNS look-ups."""
    return ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolver")


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, policy: NetworkPolicy, resolvers: ThreadPoolExecutor) -> None:
        self._policy = policy
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
            FetchError: ``forbidden`` if any of its addresses is not public, ``unreachable`` if it has none.
            httpcore.ConnectError, httpcore.ConnectTimeout: no address accepts a connection.
        """
        failure: Exception = FetchError("unreachable")
        for address in (await self._find_addresses(host, port))[:TRIES]:
            try:
                return await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, *_arguments: Any, **_options: Any) -> httpcore.AsyncNetworkStream:
        """Refuse: web pages are never on a local socket."""
        raise FetchError("forbidden")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _find_addresses(self, host: str, port: int) -> list[IPAddress]:
        given = parse_ip_literal(host)
        addresses = [given] if given else await self._resolve(host)
        if not all(self._policy.permits(address, port) for address in addresses):
            raise FetchError("forbidden")  # a mix of internal and public addresses is an attack
        return addresses

    async def _resolve(self, host: str) -> list[IPAddress]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._resolvers, self._policy.resolve, host)
        except (OSError, UnicodeError) as error:
            raise FetchError("unreachable") from error
        addresses = [parse_ip_literal(text) for text in found]
        if None in addresses:
            raise FetchError("forbidden")  # an address with a zone is link-local
        return [address for address in addresses if address]
