"""Announcements reach real channels: a local server stands for the webhook."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from chatai_assets.adapters import notifier as announcements
from chatai_assets.adapters.notifier import AppriseNotifier
from chatai_assets.settings import read_settings
from chatai_assets.settings.values import InvalidSetting
from chatai_assets_tests.support.providers.http_server import Request, Response, serving


@dataclass
class Webhook:
    """Takes announcements; refuses as many as it is told to, and can keep one waiting for ever."""

    port: int = 0
    refuse: int = 0
    hang: bool = False
    asked: int = 0
    told: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/token-of-the-hook"

    async def handle(self, request: Request) -> Response:
        self.asked += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.asked <= self.refuse:
            return Response(status=503)
        self.told.append(request.json)
        return Response({"ok": True})


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setattr(announcements, "PAUSE_S", 0.05)
    hook = Webhook()
    with serving(hook.handle) as hook.port:
        yield hook


def logged(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_what_is_announced_reaches_the_channel_and_the_log(webhook: Webhook, capsys: pytest.CaptureFixture[str]):
    assert AppriseNotifier([webhook.url]).notify("Outage", "GigaChat is down.") == []
    assert [(said["title"], said["message"]) for said in webhook.told] == [("Outage", "GigaChat is down.")]
    assert "GigaChat is down." in logged(capsys)


def test_without_channels_the_log_alone_is_told(capsys: pytest.CaptureFixture[str]):
    assert AppriseNotifier([]).notify("Outage", "GigaChat is down.") == []
    assert "GigaChat is down." in logged(capsys)


def test_a_channel_that_fails_is_tried_again(webhook: Webhook):
    webhook.refuse = announcements.TRIES - 1
    assert AppriseNotifier([webhook.url]).notify("Outage", "GigaChat is down.") == []
    assert (webhook.asked, len(webhook.told)) == (announcements.TRIES, 1)


def test_a_channel_that_keeps_failing_is_named_without_its_secret_and_holds_up_no_other(
    webhook: Webhook, capsys: pytest.CaptureFixture[str]
):
    closed = "json://127.0.0.1:9/secret-of-the-closed"
    both = AppriseNotifier([closed, webhook.url])
    assert both.notify("Outage", "GigaChat is down.") == ["1:json"]
    assert len(webhook.told) == 1
    said = logged(capsys)
    assert "1:json" in said
    assert "secret" not in said
    assert "token" not in said


def test_only_the_channels_that_did_not_take_it_are_told_again(webhook: Webhook):
    webhook.refuse = announcements.TRIES
    two = AppriseNotifier([webhook.url, webhook.url])
    failed = two.notify("Outage", "GigaChat is down.")
    assert failed == ["1:json"]
    assert two.notify("Outage", "GigaChat is down.", only=failed) == []
    assert len(webhook.told) == 2


def test_a_channel_that_hangs_is_left_in_time(webhook: Webhook, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(announcements, "CHANNEL_S", 0.3)
    webhook.hang = True
    assert AppriseNotifier([f"{webhook.url}?rto=1"]).notify("Outage", "GigaChat is down.") == ["1:json"]


@pytest.mark.parametrize("value", ["no-address-at-all", "json://ok.example no-address"])
def test_an_address_that_is_none_is_refused_without_being_quoted(value: str):
    with pytest.raises(InvalidSetting, match="CHATAI_ANNOUNCE") as refused:
        read_settings({"CHATAI_ANNOUNCE": value})
    assert "no-address" not in str(refused.value)


def test_a_channel_that_nobody_knows_is_refused_when_it_is_opened():
    with pytest.raises(InvalidSetting, match="channel 1"):
        AppriseNotifier(["nobody-knows://secret"])


def test_the_settings_never_show_a_channel():
    assert "secret" not in repr(read_settings({"CHATAI_ANNOUNCE": "json://secret"}))
