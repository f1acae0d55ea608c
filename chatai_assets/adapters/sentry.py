"""Sentry as a channel of announcements: one event each, by the envelope endpoint, so that its answer is known.

Sentry's own SDK sends from a thread of its own and does not tell whether an event was taken; an announcement that was
not taken is to be told again. Contract: https://develop.sentry.dev/sdk/foundations/transport/envelopes/ and
https://docs.sentry.io/concepts/key-terms/dsn-explainer/.
"""

from __future__ import annotations

import json
import re
import time
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import httpx

from chatai_assets.settings.values import InvalidSetting

_NUMBER = re.compile(r"\d[\d,]*")

TRIES = 3
PAUSE_S = 1.0


class Sentry:
    """A project of Sentry that takes announcements as warnings.

    Args:
        dsn: ``https://KEY@HOST/PROJECT``, as Sentry shows it.

    Raises:
        InvalidSetting: that is no such address; it is not quoted.
    """

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        path, _, project = parts.path.rpartition("/")
        if parts.scheme not in ("https", "http") or not (parts.username and parts.hostname and project.isdigit()):
            raise InvalidSetting("SENTRY_DSN must look like https://KEY@HOST/PROJECT, as Sentry shows it.")
        self._endpoint = f"{parts.scheme}://{_host(parts)}{path}/api/{project}/envelope/"
        self._headers = {
            "content-type": "application/x-sentry-envelope",
            "x-sentry-auth": f"Sentry sentry_version=7, sentry_client=chatai-assets/1, sentry_key={parts.username}",
        }

    def notify(self, body: str, title: str, timeout: float) -> bool:
        """Send one event; return whether Sentry took it.

        Args:
            timeout: seconds that all attempts together may take.
        """
        ends = time.monotonic() + timeout
        envelope = _envelope(title, body)  # the same id in every attempt, so that Sentry shows it once
        with httpx.Client(headers=self._headers, trust_env=False) as client:
            for attempt in range(TRIES):
                if attempt:
                    time.sleep(PAUSE_S)
                if (left := ends - time.monotonic()) <= 0:
                    break
                if self._is_taken(client, envelope, left):
                    return True
        return False

    def _is_taken(self, client: httpx.Client, envelope: bytes, left_s: float) -> bool:
        try:
            return client.post(self._endpoint, content=envelope, timeout=left_s).status_code == HTTPStatus.OK
        except httpx.TransportError:
            return False


def _host(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port}" if parts.port else f"{host}"


def _envelope(title: str, body: str) -> bytes:
    event_id = uuid4().hex
    event = {
        "event_id": event_id,
        "timestamp": time.time(),
        "platform": "python",
        "level": "warning",
        "logger": "chatai_assets",
        "message": {"formatted": f"{title}\n{body}"},
        "fingerprint": [_NUMBER.sub("N", title)],  # what differs in figures alone is one issue
    }
    payload = json.dumps(event, ensure_ascii=False).encode()
    head = json.dumps({"event_id": event_id}).encode()
    return b"\n".join((head, json.dumps({"type": "event", "length": len(payload)}).encode(), payload, b""))
