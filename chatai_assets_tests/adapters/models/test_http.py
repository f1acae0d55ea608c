"""What statuses and broken connections mean."""

import asyncio
import ssl

import httpx
import pytest

from chatai_assets.adapters.models.http import (
    Deadlines,
    HTTPTransport,
    error_from_status,
    error_from_transport,
    parse_retry_after,
    ssl_context,
)
from chatai_assets.domain.errors import (
    AuthenticationFailed,
    ChatAIError,
    PayloadTooLarge,
    PaymentRequired,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRejected,
)


def leaves(base):
    children = base.__subclasses__()
    return [leaf for child in children for leaf in leaves(child)] if children else [base]


@pytest.mark.parametrize("error", [*leaves(httpx.HTTPError), httpx.InvalidURL], ids=lambda error: error.__name__)
def test_every_error_of_httpx_is_mapped(error):
    if issubclass(error, httpx.HTTPStatusError):
        pytest.skip("raised by raise_for_status alone, which nobody calls")
    fault = error_from_transport(error("https://secret@host/ text"), "GigaChat /embeddings")
    assert isinstance(fault, ProviderBusy | ProviderMisconfigured)
    assert "secret" not in str(fault)


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "", ProviderRejected),
        (401, "", AuthenticationFailed),
        (402, "payment_required", PaymentRequired),
        (403, "permission_denied", AuthenticationFailed),
        (403, "moderation", ProviderRejected),
        (404, "", ProviderMisconfigured),
        (408, "", ProviderBusy),
        (413, "", PayloadTooLarge),
        (422, "", ProviderRejected),
        (429, "", ProviderOverloaded),
        (500, "", ProviderBusy),
        (503, "", ProviderOverloaded),
        (529, "", ProviderOverloaded),
        (302, "", ProviderMisconfigured),
    ],
)
def test_a_status_is_one_of_the_three_kinds(status, kind, expected):
    assert type(error_from_status(status, "here", kind)) is expected


def test_only_a_plain_word_of_the_provider_gets_into_a_message():
    assert "moderation" in str(error_from_status(403, "here", "moderation"))
    assert "Иван" not in str(error_from_status(403, "here", "Иван Петров, 8-900-1234567"))


def test_a_certificate_that_cannot_be_verified_is_a_wrong_setting():
    error = httpx.ConnectError("failed")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate in certificate chain")
    fault = error_from_transport(error, "GigaChat /oauth")
    assert isinstance(fault, ProviderMisconfigured)
    assert "GIGACHAT_CA_BUNDLE" in str(fault)


def test_verification_is_never_off(tmp_path):
    context = ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    (tmp_path / "no.pem").write_text("nothing")
    with pytest.raises(ProviderMisconfigured, match="cannot be read"):
        ssl_context(str(tmp_path / "no.pem"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("1.5", 1.5), ("-3", 0.0), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert parse_retry_after(header) == seconds


def test_faults_are_ours():
    assert isinstance(error_from_status(599, "here"), ChatAIError)


def test_a_call_that_is_cancelled_anywhere_costs_no_other(server):
    """As when a deadline passes, or its neighbour meets an outage: its connection must not be waited for."""
    transport = HTTPTransport("p", ssl_context(), Deadlines(silence_s=2.0))

    async def ask():
        return await transport.get(f"{server.url}/openrouter/api/v1/key", {})

    async def go():
        for turn in range(150):
            cancelled = asyncio.create_task(ask())
            await asyncio.sleep(turn * 2e-5)
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)
            assert await ask()
        await transport.close()

    asyncio.run(go())
