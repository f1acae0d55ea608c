"""Only URLs of public web pages may be requested."""

from ipaddress import ip_address

import pytest

from chatai_assets.adapters.crawler.limits import FetchError
from chatai_assets.adapters.crawler.ssrf import effective_port, is_name, is_public, parse_ip_literal, validate_url


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "168.63.129.16", "::1", "fe80::1%eth0", "64:ff9b::a00:1"]
)
def test_internal_addresses_are_not_public(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("host", ["localhost", "a..b", "example.com.", "0x7f.1", "a.1", "-a.com", "a" * 64 + ".com"])
def test_internal_and_numeric_names_are_not_host_names(host):
    assert not is_name(host)


def test_a_valid_url_loses_its_fragment_and_keeps_its_port():
    url = validate_url("https://example.com:8443/a?b#c")
    assert (str(url), effective_port(url)) == ("https://example.com:8443/a?b", 8443)
    assert effective_port(validate_url("http://example.com/")) == 80


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/", "bad_address"),
        ("https://user@example.com/", "bad_address"),
        ("https://example.com:22/", "forbidden"),
        ("https://example.com/" + "a" * 4_000, "bad_address"),
    ],
)
def test_other_urls_are_refused(url, code):
    with pytest.raises(FetchError) as caught:
        validate_url(url)
    assert caught.value.code == code


def test_only_canonical_ip_literals_are_parsed():
    assert parse_ip_literal("8.8.8.8") == ip_address("8.8.8.8")
    assert parse_ip_literal("010.0.0.1") is None
    assert parse_ip_literal("fe80::1%eth0") is None
