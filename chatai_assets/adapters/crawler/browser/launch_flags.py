"""Command-line flags of Chromium that prevent it from opening connections.

There are three barriers between a page and the network: ``chromium`` handles every request of a page, these flags send
whatever bypasses it to a proxy that does not exist, and the process has an empty network namespace. The flags are in
their own module so that they can be tested without crawl4ai.
"""

from __future__ import annotations

DEAD_PROXY = "http://nowhere.invalid:1"
"""A proxy whose name never resolves (RFC 6761, section 6.4)."""
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
