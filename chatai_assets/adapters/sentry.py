"""Sentry through its SDK: notifications as warnings, and reports of unforeseen errors.

The SDK builds events and envelopes. Its own transport sends from a background thread and does not report whether an
event was accepted, but a notification that was not accepted must be sent again later. ``_ConfirmedTransport`` therefore
sends each event before ``capture_envelope`` returns, so nothing is left to flush when a process ends.

No integration is installed, and neither local variables nor messages of exceptions are sent: they may hold private
text.
Contract: https://develop.sentry.dev/sdk/foundations/transport/envelopes/.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from importlib.metadata import version
from threading import Lock
from typing import Any

import httpx
from sentry_sdk import Client
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import BadDsn, event_from_exception

from chatai_assets.domain.errors import error_code
from chatai_assets.settings.values import InvalidSetting

_NUMBER = re.compile(r"\d[\d,]*")

TRIES = 3
PAUSE_S = 1.0
REPORT_S = 5.0
"""How long the report of an error may delay the end of a failed run."""


class Sentry:
    """A project of Sentry.

    Args:
        dsn: ``https://KEY@HOST/PROJECT``, as Sentry shows it.

    Raises:
        InvalidSetting: that is no such address; it is not quoted.
    """

    def __init__(self, dsn: str) -> None:
        try:
            self._client = Client(
                dsn=dsn,
                transport=_ConfirmedTransport,
                release=f"chatai-assets@{version('chatai-assets')}",  # by default the SDK starts git to find one
                environment="production",
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                include_source_context=False,
                send_client_reports=False,
                auto_session_tracking=False,
                max_breadcrumbs=0,
                before_send=_remove_private,
            )
        except BadDsn:
            raise InvalidSetting("SENTRY_DSN must look like https://KEY@HOST/PROJECT, as Sentry shows it.") from None
        self._lock = Lock()

    def notify(self, body: str, title: str, timeout: float) -> bool:
        """Send one warning; return whether Sentry accepted it.

        Args:
            timeout: seconds that all attempts together may take.
        """
        event: Any = {
            "level": "warning",
            "logger": "chatai_assets",
            "message": {"formatted": f"{title}\n{body}"},
            "fingerprint": [_NUMBER.sub("N", title)],  # titles that differ only in figures are one issue
        }
        return self._send(event, timeout)

    def report_error(self, error: BaseException, stage: str, timeout: float = REPORT_S) -> bool:
        """Report an error by class, code, stage and stack, without its message; return whether Sentry accepted it.

        Args:
            stage: what failed, e.g. ``tag`` or the name of an asset.
            timeout: seconds that all attempts together may take.
        """
        event, _ = event_from_exception(error, client_options=self._client.options)
        for exception in event["exception"]["values"]:
            exception.pop("value", None)  # the message may quote private text
        name, code = type(error).__name__, error_code(error)
        event["logger"] = "chatai_assets"
        event["tags"] = {"class": name, "code": code, "stage": stage}
        return self._send(event, timeout)

    def close(self) -> None:
        """Close the client; every event was sent when it was captured."""
        self._client.close(timeout=0)

    def _send(self, event: Event, timeout_s: float) -> bool:
        transport = self._client.transport
        if not isinstance(transport, _ConfirmedTransport):
            return False
        with self._lock:
            transport.accepted, transport.deadline = False, time.monotonic() + timeout_s
            self._client.capture_event(event)
            return transport.accepted


class _ConfirmedTransport(Transport):
    """Sends envelopes at once, with a bounded number of attempts, and records whether the last one was accepted.

    Attributes:
        accepted: whether Sentry accepted the last envelope.
        deadline: when sending is given up, in monotonic seconds.
    """

    accepted = False
    deadline = 0.0

    def capture_envelope(self, envelope: Envelope) -> None:
        """Send an envelope; all attempts carry the same event id, so that Sentry shows the event once."""
        if self.parsed_dsn is None:
            return
        if ":" in self.parsed_dsn.host:
            self.parsed_dsn.host = f"[{self.parsed_dsn.host.strip('[]')}]"
        auth = self.parsed_dsn.to_auth("chatai-assets/1")
        headers = {"content-type": "application/x-sentry-envelope", "x-sentry-auth": auth.to_header()}
        with httpx.Client(headers=headers, trust_env=False) as client:
            self.accepted = self._send(client, auth.get_api_url(), envelope.serialize())

    def _send(self, client: httpx.Client, url: str, body: bytes) -> bool:
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE_S)
            left_s = self.deadline - time.monotonic()
            if left_s <= 0:
                return False
            if _is_accepted(client, url, body, left_s):
                return True
        return False


def _is_accepted(client: httpx.Client, url: str, body: bytes, timeout_s: float) -> bool:
    try:
        return client.post(url, content=body, timeout=timeout_s).status_code == HTTPStatus.OK
    except httpx.TransportError:
        return False


def _remove_private(event: Event, _hint: Hint) -> Event:
    """Drop the parts of an event that could hold private text or name a person or machine."""
    event.pop("request", None)
    event.pop("user", None)
    event.pop("extra", None)
    event.pop("breadcrumbs", None)
    event.pop("modules", None)
    event.pop("server_name", None)
    return event
