"""Opens the adapter of a provider that ``domain.providers`` describes."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name

from chatai_assets.adapters.models.provider import Provider
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.settings.providers import ProviderSettings


def find_adapter(name: str) -> Callable[[ProviderSettings], Provider]:
    """Return what makes a provider's client; its module is imported only now, since it loads the HTTP client."""
    adapter: Callable[[ProviderSettings], Provider] = resolve_name(f"{__package__}.{PROVIDERS[name].adapter}")
    return adapter


def open_provider(name: str, access: ProviderSettings) -> Provider:
    """Return a provider that is ready to be called; nothing is sent yet.

    Args:
        name: a key of ``PROVIDERS``.
        access: the settings of that provider, of the class that its adapter expects.
    """
    return find_adapter(name)(access)
