"""Notifications: always a line in the log, and the channels that ``CHATAI_ANNOUNCE`` and ``SENTRY_DSN`` name.

apprise implements webhooks, Telegram, e-mail and a hundred others. A channel that fails does not affect the others: it
is retried a bounded number of times, within a bounded time, and then named in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from chatai_assets.adapters.sentry import Sentry
from chatai_assets.observability import ANNOUNCED, CHANNEL_FAILED, log
from chatai_assets.settings.values import InvalidSetting

TRIES = 3
PAUSE_S = 1.0
CHANNEL_S = 12.0
TOTAL_S = 30.0
"""Timeout of one notification over all channels: half of what a tick of a sensor may take."""
LEAST_S = 1.0
"""A channel is not started with less time left."""


class Notifier(Protocol):
    """Sends notifications to people."""

    def notify(self, title: str, body: str, *, only: Collection[str] | None = None) -> Sequence[str]:
        """Send to all channels, or to the named ones; return the names of those that did not accept it.

        Args:
            title: a few words.
            body: a sentence or a few; neither text of a post or document, nor a token.
            only: names that an earlier call returned; None for all.
        """
        ...


class AppriseNotifier:
    """Notifications through apprise, and to Sentry.

    Args:
        urls: one per channel, in apprise's notation, e.g. ``json://host/path``; they hold secrets.
        sentry_dsn: a project of Sentry that is a channel as well.

    Raises:
        InvalidSetting: apprise does not understand one of them; says which, by number.
    """

    def __init__(self, urls: Sequence[str], sentry_dsn: str | None = None) -> None:
        self._channels = {_name(number, url): _channel(number, url) for number, url in enumerate(urls, 1)}
        if sentry_dsn:
            self._channels["sentry"] = Sentry(sentry_dsn)

    @property
    def channels(self) -> Sequence[str]:
        """Number and scheme of each channel, e.g. ``2:tgram``, and ``sentry``; no secret."""
        return list(self._channels)

    def notify(self, title: str, body: str, *, only: Collection[str] | None = None) -> Sequence[str]:
        """Send to all channels, or to the named ones; return the names of those that did not accept it."""
        if only is None:
            log.warning(ANNOUNCED, title=title, text=body)
        ends = time.monotonic() + TOTAL_S
        wanted = [name for name in self._channels if only is None or name in only]
        failed = [name for name in wanted if not self._send(name, title, body, ends - time.monotonic())]
        for name in failed:
            log.error(CHANNEL_FAILED, channel=name, title=title)
        return failed

    def _send(self, name: str, title: str, body: str, left_s: float) -> bool:
        """Return whether a channel accepted it within the time."""
        if left_s < LEAST_S:
            return False
        return bool(self._channels[name].notify(body=body, title=title, timeout=min(left_s, CHANNEL_S)))


def _name(number: int, url: str) -> str:
    return f"{number}:{url.partition('://')[0].lower()}"


def _channel(number: int, url: str) -> Any:
    """Open one channel; apprise is loaded only where there is one."""
    import apprise

    for name in (apprise.logger.name, "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # their lines quote addresses, and those hold tokens
    asset = apprise.AppriseAsset(
        async_mode=False, default_service_retry=TRIES - 1, default_service_wait=PAUSE_S, app_id="chatai_assets"
    )
    channel = apprise.Apprise(asset=asset)
    if not channel.add(url):
        raise InvalidSetting(f"CHATAI_ANNOUNCE: apprise does not understand channel {number} ({_name(number, url)}).")
    return channel
