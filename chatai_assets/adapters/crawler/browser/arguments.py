"""What Chromium is told when it starts, so that it opens no connection by itself.

``showing`` answers what pages ask for; this is the wall behind it, and an empty network namespace the one behind both.
"""

from __future__ import annotations

NOWHERE = "http://nowhere.invalid:1"
"""RFC 6761: no name server knows it."""
ARGUMENTS = (
    f"--proxy-server={NOWHERE}",
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
