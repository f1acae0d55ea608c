"""Values of the environment, checked: every one that cannot be used is named in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


class InvalidSetting(ValueError):
    """A variable that cannot be used; says which and why."""


def secret(value: str, name: str) -> str:
    """Return a key; raises ``InvalidSetting`` without quoting it."""
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise InvalidSetting(f"{name} has spaces around it or letters that no key has.")
    return value


def address(env: Mapping[str, str], name: str, default: str) -> str:
    """Return an address without a slash at its end; unencrypted ones only on this machine, since keys go there."""
    value = (env.get(name) or default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme != "https" and (parts.scheme, parts.hostname in LOCAL_HOSTS) != ("http", True):
        raise InvalidSetting(f"{name} must begin with https://; http:// is for this machine only.")
    return value


def addresses(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return addresses separated by spaces; raises ``InvalidSetting`` without quoting one, for they hold secrets."""
    values = tuple((env.get(name) or "").split())
    for place, value in enumerate(values, 1):
        if "://" not in value:
            raise InvalidSetting(f"{name}: address {place} of {len(values)} has no :// in it.")
    return values


def choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """Return one of the allowed values; the first is the default."""
    value = env.get(name) or allowed[0]
    if value not in allowed:
        raise InvalidSetting(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def number(env: Mapping[str, str], name: str, default: int, least: int = 1, most: int = 1_000_000_000) -> int:
    """Return a whole number within its bounds."""
    value = env.get(name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise InvalidSetting(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)
