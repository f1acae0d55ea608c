"""Which URLs may be opened, and which addresses are the public internet's.

A link is written by a stranger and opened by a machine that sees inner networks. What is checked here is the form of
a URL and the number of an address; that the number checked is the one connected to is the business of ``network``.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from chatai_assets.adapters.crawler.limits import FetchError

IPAddress = IPv4Address | IPv6Address

PORTS = frozenset({80, 443, 8080, 8443})
"""Where web pages are. Elsewhere on public machines are services that take our address for a friend's."""
DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 4_000
LONGEST_NAME = 253
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)

NAT64 = IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = IPv6Network("2000::/3")
NON_PUBLIC_NETWORKS = tuple(
    map(
        ip_network,
        [
            "168.63.129.16/32",  # Azure's metadata service: global by number, inside by nature
            "192.0.0.0/24",  # protocol assignments, Oracle's metadata among them; Python 3.11 calls most of it global
            "192.88.99.0/24",  # 6to4 relays: where it ends, nobody knows
            "2002::/16",  # 6to4: an IPv4 address in disguise
            "2001::/23",  # Teredo among others: likewise
            "3fff::/20",  # documentation, newer than the tables of Python 3.11
        ],
    )
)


def validate_url(text: str, ports: frozenset[int] = PORTS) -> httpx.URL:
    """Return a URL that may be asked for; it is read by the parser that will send it, so that no two can disagree.

    Raises:
        PageFault: ``bad_address``, or ``forbidden`` for a port that is none of ``ports``.
    """
    if len(text) > LONGEST_URL:
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
    """Return the port a URL names or means."""
    return DEFAULT_PORTS[url.scheme] if url.port is None else url.port


def is_name(host: str) -> bool:
    """Return whether a host is a name with a dot.

    The last label of a name is no number: system resolvers take ``0x7f.1``, ``017700000001`` and ``2130706433`` for
    127.0.0.1 (WHATWG URL, "ends in a number"). Names without a dot, or with one at the end, are those of inner
    networks or a way around a comparison.
    """
    labels = host.split(".")
    if len(labels) < 2 or len(host) > LONGEST_NAME or NUMBER.fullmatch(labels[-1]):
        return False
    return all(map(LABEL.fullmatch, labels))


def parse_ip_literal(host: str) -> IPAddress | None:
    """Return the address that a host spells in its one canonical form: four decimal numbers, or IPv6 without zone."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return address if not getattr(address, "scope_id", None) else None


def is_public(address: IPAddress) -> bool:
    """Return whether an address is a machine's on the public internet.

    Python's ``is_global`` calls some multicast global and does not look into addresses that carry others. Of these
    only NAT64 is unwrapped, for in networks with IPv6 alone it is the way to all of IPv4.
    """
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.scope_id or address not in GLOBAL_UNICAST:
            return False
    closed = any(address in network for network in NON_PUBLIC_NETWORKS if network.version == address.version)
    return address.is_global and not address.is_multicast and not address.is_reserved and not closed
