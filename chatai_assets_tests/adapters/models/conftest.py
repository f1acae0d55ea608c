"""Fixtures of this folder: a local provider server, and a home that uses it."""

from chatai_assets_tests.support.providers.fixtures import running_server, server, services

__all__ = ["running_server", "server", "services"]
