"""Fixtures of this folder: a local provider server, and a home that uses it."""

from chatai_assets_tests.support.providers.fixtures import parts, running_server, server

__all__ = ["parts", "running_server", "server"]
