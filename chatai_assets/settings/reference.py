"""The table of settings in ``deploy/operations.md``, made from the settings classes.

``python -m chatai_assets.settings.reference`` writes it; ``make docs`` calls that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from chatai_assets.settings import PROJECT, Settings
from chatai_assets.settings.costs import CostSettings
from chatai_assets.settings.group import SettingsGroup
from chatai_assets.settings.limits import DocumentLimits, OcrSettings, ParserSettings, PostLimits
from chatai_assets.settings.models import ModelSettings, QuotaSettings
from chatai_assets.settings.providers import PROVIDER_SETTINGS
from chatai_assets.settings.retention import RetentionSettings
from chatai_assets.settings.stages import StageLimits
from chatai_assets.settings.stores import Neo4jServer, QdrantServer
from chatai_assets.settings.values import WholeNumber

PAGE = PROJECT / "deploy" / "operations.md"
HEADING = "| setting | default | meaning |\n|---|---|---|\n"
GROUPS: tuple[type[SettingsGroup], ...] = (
    Settings,
    QdrantServer,
    Neo4jServer,
    ModelSettings,
    *PROVIDER_SETTINGS.values(),
    QuotaSettings,
    CostSettings,
    PostLimits,
    DocumentLimits,
    ParserSettings,
    OcrSettings,
    StageLimits,
    RetentionSettings,
)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A row of the table: name of a variable, default with its unit, and meaning, in Markdown."""

    variable: str
    default: str
    meaning: str

    def __str__(self) -> str:
        return f"| `{self.variable}` | {self.default} | {self.meaning} |\n"


def variables() -> Iterator[tuple[str, FieldInfo]]:
    """Yield each variable once, with its field."""
    seen = set()
    for group in GROUPS:
        for field in group.model_fields.values():
            variable = field.validation_alias
            if isinstance(variable, str) and variable not in seen:
                seen.add(variable)
                yield variable, field


def table() -> str:
    """Return the table of all settings."""
    rows = (SettingRow(variable, _default(field), field.description or "") for variable, field in variables())
    return HEADING + "".join(map(str, rows))


def with_table(page: str) -> str:
    """Return a page with its table of settings replaced."""
    before, _, rest = page.partition(HEADING)
    _, _, after = rest.partition("\n\n")
    return f"{before}{table()}\n{after}"


def _default(field: FieldInfo) -> str:
    """Return a field's default: as its ``default_text`` says, else the value, with its unit."""
    extra: Any = field.json_schema_extra
    if extra:
        return str(extra["default_text"])
    number = next((each for each in field.metadata if isinstance(each, WholeNumber)), None)
    if field.is_required() or field.default in (None, (), ""):
        return "none"
    if number:
        return number.format(field.default)
    return f"{field.default:g}" if isinstance(field.default, float | int) else f"`{field.default}`"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
