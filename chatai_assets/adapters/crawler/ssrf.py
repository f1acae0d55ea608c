"""Validates URLs and IP addresses against server-side request forgery (SSRF).

Links are untrusted, and the crawler may see internal networks. This module checks the form of a URL and whether an
address is public; ``transport`` makes sure that the checked address is the one connected to.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from chatai_assets.adapters.crawler.limits import FetchError

IPAddress = IPv4Address | IPv6Address

PORTS = frozenset({80, 443, 8080, 8443})
"""Ports of web pages. Other ports of public hosts may run services that trust our address."""
DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL_CHARS = 4_000
MAX_NAME_CHARS = 253
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)

NAT64 = IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = IPv6Network("2000::/3")
NON_PUBLIC_NETWORKS = tuple(
    map(
        ip_network,
        [
            "168.63.129.16/32",  # Azure's metadata service: a global address for an internal service
            "192.0.0.0/24",  # protocol assignments, among them Oracle's metadata service; mostly global for Python 3.11
            "192.88.99.0/24",  # 6to4 relays: the destination is unknown
            "2002::/16",  # 6to4: contains an IPv4 address
            "2001::/23",  # Teredo among others: contains an IPv4 address
            "3fff::/20",  # documentation, newer than the tables of Python 3.11
        ],
    )
)


def validate_url(text: str, ports: frozenset[int] = PORTS) -> httpx.URL:
    """Return a URL that may be requested, parsed by the library that sends it so that two parsers cannot disagree.

    Raises:
        FetchError: ``bad_address``, or ``forbidden`` for a port outside ``ports``.
    """
    if len(text) > MAX_URL_CHARS:
        raise FetchError("bad_address")
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError("bad_address") from error
    if url.scheme not in DEFAULT_PORTS or url.userinfo or not (is_name(host) or parse_ip_literal(host)):
        raise FetchError("bad_address")
    if effective_port(url) not in ports:
        raise FetchError("forbidden")
    return url.copy_with(fragment=None)


def effective_port(url: httpx.URL) -> int:
    """Return the port of a URL, or the default port of its scheme."""
    return DEFAULT_PORTS[url.scheme] if url.port is None else url.port


def is_name(host: str) -> bool:
    """Return whether a host is a name with a dot.

    The last label must not be a number: system resolvers read ``0x7f.1``, ``017700000001`` and ``2130706433`` as
    127.0.0.1 (WHATWG URL, "ends in a number"). Names without a dot, or with one at the end, belong to internal networks
    or try to evade a comparison.
    """
    labels = host.split(".")
    if len(labels) < 2 or len(host) > MAX_NAME_CHARS or NUMBER.fullmatch(labels[-1]):
        return False
    return all(map(LABEL.fullmatch, labels))


def parse_ip_literal(host: str) -> IPAddress | None:
    """Return the address that a host is in canonical form: four decimal numbers, or IPv6 without a zone; else None."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return address if not getattr(address, "scope_id", None) else None


def is_public(address: IPAddress) -> bool:
    """Return whether an address belongs to a host on the public internet.

    Python's ``is_global`` accepts some multicast addresses and ignores addresses embedded in others. Only NAT64 is
    unwrapped, because IPv6-only networks reach all of IPv4 through it.
    """
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.scope_id or address not in GLOBAL_UNICAST:
            return False
    closed = any(address in network for network in NON_PUBLIC_NETWORKS if network.version == address.version)
    return address.is_global and not address.is_multicast and not address.is_reserved and not closed
