"""One small internet and one parser worker for all tests of this folder."""

import ssl
from collections.abc import Iterator

import pytest

from chatai_assets.adapters.crawler.crawler import Crawler
from chatai_assets.adapters.parsers.limits import ParserLimits
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets_tests.support.certificates import make_certificate
from chatai_assets_tests.support.hostile_web import TIGHT_LIMITS, Internet, run_internet, run_site


@pytest.fixture(scope="package")
def page_parser() -> Iterator[ParserPool]:
    with ParserPool(1, ParserLimits(wall_s=5)) as pool:
        yield pool


@pytest.fixture
def net() -> Iterator[Internet]:
    with run_internet() as made:
        yield made


@pytest.fixture
def pages(net: Internet, page_parser: ParserPool) -> Iterator[Crawler]:
    with Crawler(page_parser, TIGHT_LIMITS, net.policy) as made:
        yield made


@pytest.fixture(scope="package")
def tls_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A site with a certificate for ``site.example``: its port, and an SSL context that trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate("site.example")
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with run_site(context) as port:
        yield port, ssl.create_default_context(cafile=str(folder / "cert.pem"))
