"""Types of values that environment variables hold: how the text is parsed, and what is said when it cannot be used.

A parser raises ``ValueError`` with the part of the sentence that follows the variable's name, e.g.
``" must be one of auto, off, not 'yes'."``; secrets are never quoted.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
LARGEST_NUMBER = 1_000_000_000
LARGEST_COUNT = 10**15
LARGEST_AMOUNT = 1e9


class InvalidSetting(ValueError):
    """An environment variable that cannot be used; the message is one sentence that names it and says why."""


def from_text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Return a validator that parses text and passes every other value on."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A whole number within bounds, written in ASCII digits.

    Attributes:
        unit: of the text, e.g. ``s`` or ``MiB``.
        least: smallest value of the text.
        most: largest value of the text.
        scale: what one unit of the text is in the field, e.g. 86,400 for days of a field in seconds.
        zero_is_none: whether 0 means that there is no limit.
    """

    unit: str = ""
    least: int = 1
    most: int = LARGEST_NUMBER
    scale: int = 1
    zero_is_none: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Parse text before the field's own type is checked."""
        return core_schema.no_info_before_validator_function(self._validate, handler(source))

    def _validate(self, value: object) -> object:
        return self.parse(value) if isinstance(value, str) else value

    def parse(self, text: str) -> int | None:
        """Return the value of the field.

        Raises:
            ValueError: the text is not such a number.
        """
        if not (text.isascii() and text.isdigit() and self.least <= int(text) <= self.most):
            raise ValueError(f" must be a whole number from {self.least} to {self.most}, not {text!r}.")
        return int(text) * self.scale or (None if self.zero_is_none else 0)

    def format(self, value: float | None) -> str:
        """Return a value of the field as an operator would write it, with its unit: ``3,600 s``."""
        number = f"{(value or 0) / self.scale:,.0f}"
        return f"{number} {self.unit}" if self.unit else number


def one_of(*allowed: str) -> BeforeValidator:
    """Return a validator of text that is one of some words."""
    return from_text(lambda text: check_choice(text, allowed))


def check_choice(text: str, allowed: tuple[str, ...]) -> str:
    """Return the text; ``ValueError`` if it is not one of the allowed words."""
    if text not in allowed:
        raise ValueError(f" must be one of {', '.join(allowed)}, not {text!r}.")
    return text


def parse_amount(text: str) -> float | None:
    """Return an amount of money of 0 or more; None if the text is none."""
    try:
        amount = float(text)
    except ValueError:
        return None
    return amount if math.isfinite(amount) and 0 <= amount <= LARGEST_AMOUNT else None


def _parse_positive_amount(text: str) -> float:
    amount = parse_amount(text)
    if not amount:
        raise ValueError(f" must be an amount of money above 0, not {text!r}.")
    return amount


def _parse_secret(text: str) -> str:
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError(" has spaces around it or letters that no key has.")
    return text


def _parse_address(text: str) -> str:
    """Remove a slash at the end; unencrypted addresses only on this machine, since keys are sent there."""
    value = text.rstrip("/")
    parts = urlsplit(value)
    if parts.scheme != "https" and (parts.scheme, parts.hostname in LOCAL_HOSTS) != ("http", True):
        raise ValueError(" must begin with https://; http:// is for this machine only.")
    return value


def _parse_addresses(text: str) -> tuple[str, ...]:
    values = tuple(text.split())
    for position, value in enumerate(values, 1):
        if "://" not in value:
            raise ValueError(f": address {position} of {len(values)} has no :// in it.")
    return values


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


Count = Annotated[int, WholeNumber()]
Seconds = Annotated[int | float, WholeNumber("s")]  # int first: whole seconds are shown without a decimal point
WholeSeconds = Annotated[int, WholeNumber("s")]
Megabytes = Annotated[int, WholeNumber("MiB", scale=1 << 20)]
"""Bytes, written in MiB."""
TokenLimit = Annotated[int | None, WholeNumber("tokens", most=LARGEST_COUNT)]
Switch = Annotated[bool, from_text(lambda text: check_choice(text, ("0", "1")) == "1")]
Money = Annotated[float, from_text(_parse_positive_amount)]
"""In the unit of ``CHATAI_PRICES``."""
Secret = Annotated[str, from_text(_parse_secret)]
Address = Annotated[str, from_text(_parse_address)]
Addresses = Annotated[tuple[str, ...], from_text(_parse_addresses)]
"""Separated by spaces; they hold secrets."""
Names = Annotated[tuple[str, ...], from_text(_parse_names)]
"""Separated by commas."""
