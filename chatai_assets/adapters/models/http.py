"""HTTP transport to a provider: deadlines, and the translation of statuses and transport errors.

No message holds a header, a body or a query: they carry keys and private text. httpx's read timeout counts the
silence between two chunks, so the whole call has a deadline as well.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urlsplit

import httpx

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
from chatai_assets.domain.json_values import integer, mapping, string

OVERLOADED = frozenset({429, 502, 503, 504, 520, 521, 522, 523, 524, 529})
BUSY = frozenset({408, 425})
ITEM_ERRORS = frozenset({"moderation", "guardrail", "content_policy_violation", "refusal"})
"""Types of errors that concern the item, although their status is 403."""
_PLAIN_WORD = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a call may take, in seconds.

    Attributes:
        connect_s: until the connection is open.
        silence_s: between two chunks of the answer.
        total_s: all of it.
    """

    connect_s: float = 5.0
    silence_s: float = 60.0
    total_s: float = 90.0


DEFAULT_DEADLINES = Deadlines()


class HTTPTransport:
    """Connections to one provider, one per concurrent call; used from one event loop only.

    Args:
        name: of the provider, for messages.
        verify: what certificates are checked against.
    """

    def __init__(self, name: str, verify: ssl.SSLContext, deadlines: Deadlines = DEFAULT_DEADLINES) -> None:
        self.name = name
        self._verify = verify
        self._deadlines = deadlines
        self._idle: list[httpx.AsyncClient] = []
        self._clients: list[httpx.AsyncClient] = []

    async def post(
        self, url: str, headers: Mapping[str, str], *, json: Any = None, form: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Post a request and return the provider's JSON answer.

        Raises:
            ProviderBusy: another attempt may succeed; carries ``Retry-After``.
            ProviderRejected: it refuses this request.
            Outage: it refuses every request: see ``error_from_status``.
        """
        return await self._ask("POST", url, headers, json=json, data=form)

    async def get(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the provider's JSON answer; raises what ``post`` does."""
        return await self._ask("GET", url, headers)

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], **content: Any) -> dict[str, Any]:
        place = f"{self.name} {urlsplit(url).path}"
        try:
            response = await self._exchange(method, url, headers=headers, **content)
        except TimeoutError:
            raise ProviderBusy(f"{place}: no answer within {self._deadlines.total_s:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise error_from_transport(error, place) from None  # the error holds the request with its headers
        return parse_response(response, place)

    async def _exchange(self, method: str, url: str, **content: Any) -> httpx.Response:
        """Return the response; a connection whose call breaks off is not used again.

        After a cancelled call httpx's pool may consider its connection busy for ever, and the next call would wait for
        it in vain.
        """
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            async with asyncio.timeout(self._deadlines.total_s):
                response = await client.request(method, url, **content)
        except BaseException:
            self._clients.remove(client)
            await asyncio.shield(client.aclose())
            raise
        self._idle.append(client)
        return response

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(client.aclose() for client in self._clients))

    def _new_client(self) -> httpx.AsyncClient:
        """Return one more connection; a pool of 25 checks each idle one for each request: two fifths of all CPU."""
        times = self._deadlines
        client = httpx.AsyncClient(
            verify=self._verify,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(times.silence_s, connect=times.connect_s),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )
        self._clients.append(client)
        return client


def parse_response(response: httpx.Response, place: str) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Raises:
        ChatAIError: see ``error_from_status``; also where a 200 carries an error instead of an answer.
    """
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        answer = None
    found = mapping(answer)
    error = mapping(found.get("error"))
    if not response.is_success or "error" in found:
        status = response.status_code if not response.is_success else integer(error.get("code")) or 500
        kind = string(mapping(error.get("metadata")).get("error_type"))
        raise error_from_status(status, place, kind, parse_retry_after(response.headers.get("Retry-After")))
    if not isinstance(answer, dict):
        raise ProviderBusy(f"{place}: the answer is no JSON object.")
    return answer


def error_from_status(status: int, place: str, kind: str = "", retry_after: float | None = None) -> ChatAIError:
    """Return what a status means.

    Args:
        kind: the provider's own error type; only a plain word gets into the message.
        retry_after: seconds.

    Returns:
        ``ProviderOverloaded`` for 429, 502-504 and 52x; ``ProviderBusy`` for 408, 425 and other 5xx;
        ``AuthenticationFailed`` for 401 and 403 unless 403 is about the item; ``PaymentRequired`` for 402;
        ``PayloadTooLarge`` for 413;
        ``ProviderMisconfigured`` for 404 and what is no HTTP error at all; ``ProviderRejected`` for the rest.
    """
    message = f"{place}: HTTP {status}{f' ({kind})' if _PLAIN_WORD.fullmatch(kind) else ''}"
    if status in OVERLOADED:
        return ProviderOverloaded(f"{message}.", retry_after)
    if status in BUSY or 500 <= status < 600:
        return ProviderBusy(f"{message}.", retry_after)
    if status == 402:
        return PaymentRequired(f"{message}: the provider wants to be paid first; top up the account.")
    if status == 401 or (status == 403 and kind not in ITEM_ERRORS):
        return AuthenticationFailed(
            f"{message}: the provider does not accept our key for this; look at the key and its scope."
        )
    if status == 413:
        return PayloadTooLarge(f"{message}: it is too large.")
    if status == 404 or not 400 <= status < 500:
        return ProviderMisconfigured(f"{message}: look at the model's name and the address in the settings.")
    return ProviderRejected(f"{message}: the provider refuses this item.")


def error_from_transport(error: Exception, place: str) -> ChatAIError:
    """Return what an exception of httpx means."""
    name = type(error).__name__
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return ProviderMisconfigured(
            f"{place}: the certificate cannot be verified; for GigaChat, GIGACHAT_CA_BUNDLE must name the file of the "
            f"Russian Trusted Root CA."
        )
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return ProviderOverloaded(f"{place}: no connection ({name}).")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.InvalidURL):
        return ProviderMisconfigured(f"{place}: the request cannot be sent ({name}); look at address and key.")
    return ProviderBusy(f"{place}: the connection failed ({name}).")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def parse_retry_after(retry_after: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, a number or a date; None if it is neither."""
    if not retry_after:
        return None
    try:
        return min(max(float(retry_after), 0.0), 86_400.0)
    except ValueError:
        pass
    try:
        return min(max(parsedate_to_datetime(retry_after).timestamp() - time(), 0.0), 86_400.0)
    except ValueError:
        return None


def ssl_context(ca_bundle: str | None = None) -> ssl.SSLContext:
    """Return a context that verifies certificates of the usual authorities, and of those in a file.

    Raises:
        ProviderMisconfigured: the file cannot be read as certificates.
    """
    context = httpx.create_ssl_context(trust_env=False)
    if ca_bundle:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except (OSError, ssl.SSLError):
            raise ProviderMisconfigured(f"The certificates of {ca_bundle} cannot be read.") from None
    return context
