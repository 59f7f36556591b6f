"""What a tool takes, as a model that checks it and as JSON schema; both come from the function and from the settings.

A parameter that is a setting has the setting's type, bounds and help: they are written once, in ``settings``.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model

from impasto.errors import SettingsError, first_problem
from impasto.settings import OptimizeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Marks a parameter that is a setting of the engines.
SETTING: Final = "setting"

#: Of a JSON schema, what a model has no use for.
_NOISE: Final = frozenset({"title", "of", "additionalProperties"})
_SHOWN: Final = 60


def arguments_of(function: Callable[..., Any]) -> type[BaseModel]:
    """The model of a method's arguments."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (Annotated[hints[name], BeforeValidator(_unpacked)], default)
    return create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def checked(model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that were given, checked.

    Raises:
        SettingsError: one sentence that says what is wrong and what is taken.
    """
    unknown = sorted(set(arguments) - set(model.model_fields))
    if unknown:
        raise SettingsError(
            f"{model.__name__} has no argument {unknown[0][:_SHOWN]!r}; it has {', '.join(model.model_fields)}"
        )
    try:
        found = model(**arguments)
    except ValidationError as error:
        first = error.errors()[0]
        place, reason = first_problem(error)
        if first["type"] == "missing":
            raise SettingsError(f"{model.__name__} needs the argument {place}") from None
        given = repr(first["input"])
        shown = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}…"
        raise SettingsError(f"{model.__name__}: {place}={shown} cannot be used: {reason}") from None
    return {name: getattr(found, name) for name in found.model_fields_set}


def schema_of(function: Callable[..., Any], model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a method's arguments: short, for a model that reads it with every conversation."""
    schema = _short(model.model_json_schema())
    settings = OptimizeSettings.model_json_schema()["properties"]
    hints = get_type_hints(function, include_extras=True)
    for name, hint in hints.items():
        if SETTING in getattr(hint, "__metadata__", ()):
            described = {key: value for key, value in settings[name].items() if key != "default"}
            schema["properties"][name] = _short(described)
    return schema


def _short(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without titles, and without saying that what may be left out may be null too."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NOISE or (key == "default" and value in (None, [], "")):
            continue
        if key == "anyOf":
            kinds = [_short(kind) for kind in value if kind != {"type": "null"}]
            found.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
        elif key == "properties":
            found[key] = {name: _short(kept) for name, kept in value.items()}
        elif key == "items":
            found[key] = _short(value)
        else:
            found[key] = value
    return found


def _unpacked(value: Any) -> Any:
    """A list that came as the text of one: some clients send all arguments as strings."""
    if isinstance(value, str) and value[:1] == "[":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
