"""Command-line flags with which Chromium starts, so that it opens no connection of its own.

Three walls stand between a page and the network: ``chromium`` answers every request of a page, these flags send
whatever gets past it to a proxy that does not exist, and the process has an empty network namespace. They are not in
``chromium`` because they must be readable, and testable, where crawl4ai is not installed.
"""

from __future__ import annotations

DEAD_PROXY = "http://nowhere.invalid:1"
"""A proxy that no name server knows (RFC 6761, section 6.4)."""
LAUNCH_ARGUMENTS = (
    f"--proxy-server={DEAD_PROXY}",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--dns-prefetch-disable",
    "--no-pings",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)
