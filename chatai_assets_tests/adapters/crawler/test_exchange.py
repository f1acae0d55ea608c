"""Bodies are decompressed within their limits."""

import gzip
import zlib

import httpx
import pytest

from chatai_assets.adapters.crawler.exchange import LimitedDecoder, WebResponse, parse_media_type
from chatai_assets.adapters.crawler.limits import FetchError

BODY = b"text " * 1_000


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [("", BODY), ("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY))],
    ids=["plain", "gzip", "deflate"],  # gzip puts the time into its header, and ids must be those of all workers
)
def test_a_body_of_exactly_the_limit_is_decoded_in_any_encoding(encoding, sent):
    decoder = LimitedDecoder(encoding, len(sent), len(BODY))
    for start in range(0, len(sent), 7):
        decoder.feed(sent[start : start + 7])
    assert decoder.result() == BODY


@pytest.mark.parametrize(("wire_bytes", "body_bytes"), [(10, 10_000), (10_000, len(BODY) - 1)], ids=["sent", "decoded"])
def test_a_body_beyond_either_limit_is_too_large(wire_bytes, body_bytes):
    with pytest.raises(FetchError, match="too_large"):
        LimitedDecoder("gzip", wire_bytes, body_bytes).feed(gzip.compress(BODY))


def test_damaged_and_unknown_encodings_are_refused():
    with pytest.raises(FetchError, match="unreadable"):
        LimitedDecoder("gzip", 100, 100).feed(b"not gzip")
    with pytest.raises(FetchError, match="wrong_type"):
        LimitedDecoder("br", 100, 100)


def test_the_location_counts_only_for_redirects():
    headers = httpx.Headers({"Location": "/there", "Content-Type": "Text/HTML; charset=utf-8"})
    assert WebResponse(httpx.URL("http://a.example/"), 302, headers).location == "/there"
    assert WebResponse(httpx.URL("http://a.example/"), 200, headers).location is None
    assert parse_media_type(headers) == "text/html"
