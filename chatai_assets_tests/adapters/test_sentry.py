"""Sentry takes announcements: a local server speaks its envelope endpoint."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from chatai_assets.adapters import sentry
from chatai_assets.adapters.notifier import AppriseNotifier
from chatai_assets.adapters.sentry import Sentry
from chatai_assets.domain.errors import ChatAIError, StoreUnavailable
from chatai_assets.orchestration.failures import report_unforeseen
from chatai_assets.settings import read_settings
from chatai_assets.settings.values import InvalidSetting
from chatai_assets_tests.support.providers.http_server import Request, Response, serving


class ModelMisbehaved(ChatAIError):
    """An error with a code of its own."""

    code = "Misbehaved"


KEY = "0123456789abcdef"


@dataclass
class Relay:
    """Takes envelopes for project 42; refuses as many as it is told to."""

    port: int = 0
    refuse: int = 0
    asked: int = 0
    events: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def dsn(self) -> str:
        return f"http://{KEY}@127.0.0.1:{self.port}/sentry/42"

    async def handle(self, request: Request) -> Response:
        self.asked += 1
        if request.path != "/sentry/api/42/envelope/" or f"sentry_key={KEY}" not in request.headers["x-sentry-auth"]:
            return Response({"detail": "bad"}, status=403)
        if self.asked <= self.refuse:
            return Response({"detail": "rate limited"}, status=429)
        head, item, payload, _ = request.body.split(b"\n")
        about = json.loads(item)
        assert (about["type"], about["length"]) == ("event", len(payload))
        event = json.loads(payload)
        assert json.loads(head)["event_id"] == event["event_id"]
        self.events[event["event_id"]] = event
        return Response({"id": event["event_id"]})


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    monkeypatch.setattr(sentry, "PAUSE_S", 0.05)
    told = Relay()
    with serving(told.handle) as told.port:
        yield told


def test_an_announcement_is_one_event_and_figures_make_no_new_issue(relay: Relay):
    channels = AppriseNotifier([], relay.dsn)
    assert channels.notify("chatai_assets: 1,200 new dead letters", "Отказано 1,200 раз.") == []
    assert channels.notify("chatai_assets: 7 new dead letters", "Отказано 7 раз.") == []
    first, second = relay.events.values()
    assert first["message"] == {"formatted": "chatai_assets: 1,200 new dead letters\nОтказано 1,200 раз."}
    assert first["level"] == "warning"
    assert first["fingerprint"] == second["fingerprint"] == ["chatai_assets: N new dead letters"]


def test_what_is_refused_is_tried_again_as_the_same_event(relay: Relay):
    relay.refuse = sentry.TRIES - 1
    assert AppriseNotifier([], relay.dsn).notify("Outage", "GigaChat is down.") == []
    assert (relay.asked, len(relay.events)) == (sentry.TRIES, 1)


def test_a_sentry_that_keeps_refusing_is_named_and_can_be_told_later(relay: Relay, capsys: pytest.CaptureFixture[str]):
    relay.refuse = sentry.TRIES
    channels = AppriseNotifier([], relay.dsn)
    failed = channels.notify("Outage", "GigaChat is down.")
    assert failed == ["sentry"]
    assert channels.notify("Outage", "GigaChat is down.", only=failed) == []
    captured = capsys.readouterr()
    assert "announcement.failed" in captured.out + captured.err
    assert KEY not in captured.out + captured.err


def test_a_sentry_that_is_not_there_is_left_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sentry, "PAUSE_S", 0.3)
    assert not Sentry(f"http://{KEY}@127.0.0.1:9/1").notify("GigaChat is down.", "Outage", timeout=0.1)


@pytest.mark.parametrize("dsn", ["https://sentry.example/1", "https://key@sentry.example/", "ftp://key@host/1", "key"])
def test_an_address_that_is_none_is_refused_without_being_quoted(dsn: str):
    with pytest.raises(InvalidSetting, match="SENTRY_DSN must look like") as refused:
        Sentry(dsn)
    assert dsn not in str(refused.value)


def test_an_error_is_reported_by_class_code_stage_and_stack_without_any_text(relay: Relay):
    def tag(post: str) -> None:
        reply = f"reply to {post}"
        raise KeyError(reply)

    def run_stage() -> None:
        try:
            tag("private words")
        except KeyError as cause:
            raise ModelMisbehaved("more private words") from cause

    channel = Sentry(relay.dsn)
    with pytest.raises(ModelMisbehaved) as raised:
        run_stage()
    assert channel.report_error(raised.value, "tag")
    channel.close()
    (event,) = relay.events.values()
    assert event["level"] == "error"
    assert event["tags"] == {"class": "ModelMisbehaved", "code": "Misbehaved", "stage": "tag"}
    exceptions: Any = event["exception"]
    assert [each["type"] for each in exceptions["values"]] == ["KeyError", "ModelMisbehaved"]
    assert exceptions["values"][0]["stacktrace"]["frames"][-1]["function"] == "tag"
    assert "private" not in json.dumps(event)
    assert set(event) & {"request", "user", "extra", "breadcrumbs", "modules", "server_name"} == set()


def test_reporting_an_error_gives_up_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sentry, "PAUSE_S", 0.3)
    assert not Sentry(f"http://{KEY}@127.0.0.1:9/1").report_error(ValueError("private words"), "tag", timeout=0.1)


def test_the_settings_never_show_the_key():
    assert KEY not in repr(read_settings({"SENTRY_DSN": f"https://{KEY}@host/1"}))


def test_only_what_is_unforeseen_is_reported_and_only_where_sentry_is_set_up(relay: Relay):
    report_unforeseen(StoreUnavailable("GigaChat is down."), "tag", relay.dsn)
    report_unforeseen(KeyError("private words"), "tag", None)
    report_unforeseen(KeyError("private words"), "tag", "no address")
    assert relay.asked == 0
    report_unforeseen(KeyError("private words"), "upkeep/expired", relay.dsn)
    (event,) = relay.events.values()
    assert event["tags"] == {"class": "KeyError", "code": "KeyError", "stage": "upkeep/expired"}
