"""Options of a command made from a settings model: names, types, bounds, defaults and help are read from it.

Values stay strings here, except that lists are split at their commas and one of a few numbers becomes that number: what
is allowed is checked in one place, :meth:`impasto.settings.OptimizeSettings.of`.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final, ParamSpec, TypeVar

import typer
from pydantic import BaseModel

P = ParamSpec("P")
R = TypeVar("R")

#: In which panel of ``--help`` a setting stands; a test holds that every setting has one.
PANELS: Final = {
    "preset": "Picture",
    "preserve": "Picture",
    "prompt": "Picture",
    "negative_prompt": "Picture",
    "strength": "Picture",
    "image_size": "Picture",
    "bit_depth": "Picture",
    "content_weight": "Picture",
    "content_layers": "Picture",
    "content_loss": "Picture",
    "tv_weight": "Picture",
    "temporal_weight": "Video",
    "init": "Picture",
    "seed": "Picture",
    "control": "Picture",
    "control_scale": "Picture",
    "style_weight": "Style",
    "style_weights": "Style",
    "style_scale": "Style",
    "style_rotation": "Style",
    "style_loss": "Style",
    "layers": "Style",
    "samples": "Style",
    "adapter": "Style",
    "ip_adapter_scale": "Style",
    "lora_scale": "Style",
    "blocks": "Style",
    "crop": "Style",
    "guidance_scale": "Solver",
    "scheduler": "Solver",
    "color": "Colour",
    "color_when": "Colour",
    "palette": "Colour",
    "steps": "Solver",
    "scales": "Solver",
    "time_budget": "Solver",
    "optimizer": "Solver",
    "learning_rate": "Solver",
    "history": "Solver",
    "pooling": "Solver",
    "memory": "Machine",
    "tile_size": "Machine",
    "device": "Machine",
    "dtype": "Machine",
    "vgg_weights": "Machine",
    "smooth": "Video",
    "passes": "Video",
    "start": "Video",
    "end": "Video",
    "rate": "Video",
    "codec": "Video",
    "crf": "Video",
    "strict": "Video",
    "trains": "Training",
    "trigger": "Training",
    "target": "Training",
    "rank": "Training",
    "alpha": "Training",
    "accumulation": "Training",
    "snr_gamma": "Training",
    "prior_prompt": "Training",
    "prior_weight": "Training",
    "prior_count": "Training",
    "sample_every": "Training",
    "sample_prompts": "Training",
    "sample_steps": "Training",
    "checkpointing": "Machine",
    "force": "Machine",
    "batch": "Training",
    "size": "Training",
    "stability_weight": "Training",
    "identity_weight": "Training",
    "cache_mb": "Machine",
    "runtime": "Machine",
    "model": "Machine",
    "ip_adapter": "Machine",
    "lora": "Machine",
    "control_model": "Machine",
    "accept_license": "Machine",
}

_MAX_INT64: Final = 2**63 - 1

_WORDS: Final = {"integer": "INT", "number": "NUMBER", "string": "TEXT"}


def with_settings(
    *models: type[BaseModel], leave_out: Collection[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a command that takes ``**settings`` one option for every field of the models, but for some.

    Of a field that several have, the first one's bounds and default are shown, and the words and choices of all.

    An option that is not given arrives as ``None``: to an engine, left out and set to the default may differ.
    """

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        own = list(inspect.signature(command).parameters.values())
        arguments = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
        options = [p for p in own if p.kind is p.KEYWORD_ONLY]
        made = [parameter for parameter in _parameters(models) if parameter.name not in leave_out]
        parameters = [*arguments, *made, *options]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer reads
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def given_settings(model: type[BaseModel], values: Mapping[str, str | None]) -> dict[str, Any]:
    """The settings that were given on the command line, lists split at their commas, not yet checked."""
    fields = _fields(model)
    return {name: _read(value, fields.get(name, {})) for name, value in values.items() if value is not None}


def _read(value: str, field: dict[str, Any]) -> Any:
    """What was typed for one field, or whether a flag was."""
    if field.get("type") == "array":
        return [part.strip() for part in value.split(",")]
    # A choice among numbers is compared, not converted, by the model.
    return {str(choice): choice for choice in field.get("enum", ())}.get(value, value)


def _parameters(models: tuple[type[BaseModel], ...]) -> list[inspect.Parameter]:
    """One option for every field, in the order of the panels."""
    fields: dict[str, dict[str, Any]] = {}
    for model in models:
        for name, field in _fields(model).items():
            fields[name] = _joined(fields[name], field, model) if name in fields else field
    panels = list(dict.fromkeys(PANELS.values()))
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                _kind(fields[name]),
                typer.Option(
                    f"--{name.replace('_', '-')}",
                    metavar=_metavar(fields[name]),
                    help=_help(fields[name]),
                    rich_help_panel=PANELS[name],
                    show_default=False,
                ),
            ],
        )
        for name in sorted(fields, key=lambda name: (panels.index(PANELS[name]), list(PANELS).index(name)))
    ]


def _fields(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The model's fields as JSON schema; one that may be None is described by its other type."""
    described: dict[str, dict[str, Any]] = {}
    for name, field in model.model_json_schema()["properties"].items():
        kinds = [kind for kind in field.get("anyOf", ()) if kind["type"] != "null"]
        described[name] = {**field, **kinds[0]} if kinds else field
    return described


def _joined(field: dict[str, Any], other: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """A field with what another model says of one of the same name."""
    words = str(field["description"])
    if other["description"] not in words:
        words = f"{words}; {getattr(model, 'owner', model.__name__)}: {other['description']}"
    choices = {"enum": list(dict.fromkeys([*field["enum"], *other.get("enum", ())]))} if "enum" in field else {}
    return {**field, **choices, "description": words}


def _kind(field: dict[str, Any]) -> Any:
    """What typer reads: a word, or whether a flag is there."""
    return bool | None if field.get("type") == "boolean" else str | None


def _metavar(field: dict[str, Any]) -> str | None:
    """What stands behind the option's name: ``INT``, ``max|average|l2``, ``INT,INT,…``; nothing behind a flag."""
    if field.get("type") == "boolean":
        return None
    if "enum" in field:
        return "|".join(map(str, field["enum"]))
    if field["type"] == "array":
        word = field.get("of") or _WORDS[field["items"]["type"]]
        return f"{word},{word},…"
    return f"{field['of']},{field['of']}=WEIGHT,…" if field["type"] == "object" else _WORDS[field["type"]]


def _help(field: dict[str, Any]) -> str:
    """The field's description with its bounds and its default, as rich markup."""
    notes = [note for note in (_bounds(field), _default(field)) if note]
    text = str(field["description"]).replace("[", r"\[")
    return f"{text} [dim]({'; '.join(notes)})[/dim]" if notes else text


def _bounds(field: dict[str, Any]) -> str:
    """``16 to 512``, ``at least 0``, ``above 0, at most 1``, or nothing."""
    bounds = field.get("items") or field.get("additionalProperties") or field
    if bounds.get("maximum") == _MAX_INT64:  # the type's own bound; nobody chooses by it
        bounds = {key: value for key, value in bounds.items() if key != "maximum"}
    if "minimum" in bounds and "maximum" in bounds:
        return f"{bounds['minimum']} to {bounds['maximum']}"
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    return ", ".join(f"{word} {bounds[key]:g}" for key, word in words.items() if key in bounds)


def _default(field: dict[str, Any]) -> str:
    """``default 512``; nothing where the description has to say what happens when it is left out."""
    default = field["default"]
    if isinstance(default, bool):
        return ""
    if isinstance(default, dict):
        default = ", ".join(name if weight == 1 else f"{name}={weight:g}" for name, weight in default.items())
    if isinstance(default, list):
        default = ",".join(f"{entry:g}" for entry in default)
    return "" if default is None else f"default {default}"
