"""Fixtures of this folder: empty homes with models that cost nothing, on embedded stores and on servers."""

from chatai_assets_tests.support.homes import embedded, services, settings

__all__ = ["embedded", "services", "settings"]
