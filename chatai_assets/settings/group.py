"""A group of settings: one frozen class, read from environment variables.

A field that a variable sets has the variable's name as ``validation_alias``, its only default, and a ``description``
for the table in ``deploy/operations.md`` (``settings.reference``). Nothing but ``read`` looks at an environment: a
group that is constructed has the given values and the defaults.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from chatai_assets.settings.values import InvalidSetting


class VariablesSource(PydanticBaseSettingsSource):
    """The variables of one group.

    Args:
        group: class of the settings.
        env: name of a variable -> text; empty texts count as unset.
        suffix: follows the name of each variable, e.g. ``_TAG``.
    """

    def __init__(self, group: type[BaseSettings], env: Mapping[str, str], suffix: str = "") -> None:
        super().__init__(group)
        self._env = env
        self._suffix = suffix

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of a field's variable or None, and the name of the variable."""
        variable = field.validation_alias
        text = self._env.get(variable + self._suffix) if isinstance(variable, str) else None
        return text or None, variable if isinstance(variable, str) else field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return name of a variable -> text of all variables that are set."""
        found = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {variable: text for text, variable, _ in found if text is not None}


class SettingsGroup(BaseSettings):
    """Base class of all groups."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out the environment of the process: ``read`` is given one."""
        return (init_settings,)

    @classmethod
    def read(cls, env: Mapping[str, str], *, suffix: str = "", **others: Any) -> Self:
        """Return the group as an environment sets it.

        Args:
            env: name of a variable -> text.
            suffix: follows the name of each variable.
            others: values of fields that have no variable, or that apply where theirs is not set.

        Raises:
            InvalidSetting: a variable has a value that cannot be used.
        """
        variables = VariablesSource(cls, env, suffix)()
        usual = {
            name: value for name, value in others.items() if cls.model_fields[name].validation_alias not in variables
        }
        try:
            return cls(**variables, **usual)
        except ValidationError as error:
            raise _invalid_setting(error, suffix) from None

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; unlike ``model_copy``, this checks their names and values."""
        return type(self)(**{**dict(self), **changes})


def _invalid_setting(error: ValidationError, suffix: str) -> InvalidSetting:
    first = error.errors(include_url=False, include_input=False)[0]
    reason = first.get("ctx", {}).get("error", first["msg"])
    if isinstance(reason, InvalidSetting):
        return reason
    return InvalidSetting(f"{first['loc'][0]}{suffix}{reason}")
