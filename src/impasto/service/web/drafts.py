"""What somebody is about to paint: it lives in the page's address, so a reload, a bookmark or another tab keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

from impasto.jobs.job import ASSET, NOT_YOURS, JobRequest
from impasto.settings import ENGINES, QUALITIES, choose_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from impasto.recipe import Recipe, Source

QUALITY: Final = "standard"
#: What the page has controls of its own for.
_APART: Final = frozenset({"strength", *NOT_YOURS})
_PREFIX: Final = "set."
_MOST: Final = 200


@dataclass(frozen=True)
class Draft:
    """The controls of the page."""

    content: str = ""
    styles: tuple[str, ...] = ()
    strength: str = "1"
    quality: str = QUALITY
    format: str = "png"
    settings: Mapping[str, str] = field(default_factory=dict)
    """As they are typed; what is left empty has its default."""
    regions: tuple[str, ...] = ()
    """Each ``mask:style``."""
    missing: tuple[str, ...] = ()
    """Names of files that a recipe asks for and that are not here: untrusted text."""
    dropped: str = ""
    """The asset whose recipe this is: it may be meant as the photo itself."""

    @classmethod
    def read(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """The draft of an address or a form; what no control has is left out."""
        found: dict[str, Any] = {"styles": (), "regions": (), "missing": (), "settings": {}}
        for name, value in list(pairs)[:_MOST]:
            if name in ("style", "region", "missing") and value:
                found[f"{name}s" if name != "missing" else name] += (value,)
            elif name in ("content", "strength", "quality", "format", "dropped"):
                found[name] = value
            elif name.startswith(_PREFIX) and value.strip():
                found["settings"][name.removeprefix(_PREFIX)] = value.strip()
        if found.get("quality") not in QUALITIES:
            found["quality"] = QUALITY
        return cls(**found)

    @classmethod
    def of_request(cls, request: JobRequest) -> Self:
        """What would paint a job again."""
        quality = request.quality or ("draft" if request.engine_name == "fast" else "fine")
        settings = dict(request.settings)
        return cls(
            content=request.content,
            styles=tuple(request.styles),
            regions=tuple(f"{region.mask}:{region.style}" for region in request.regions),
            strength=_typed(settings.pop("strength", 1)),
            quality=quality,
            format=request.format,
            settings={name: _typed(value) for name, value in settings.items() if value is not None},
        )

    @classmethod
    def of_recipe(cls, recipe: Recipe, asset: str, here: Callable[[Source], str | None]) -> Self:
        """What a file says of how it was made.

        Args:
            recipe: from a stranger's file; only what the controls have is taken.
            asset: that file.
            here: the asset or the library's style that a picture of the recipe is; None if it is not here.
        """
        quality, engine = ("draft" if recipe.engine == "fast" else "fine"), ENGINES.get(recipe.engine)
        defaults = {} if engine is None else engine.of().model_dump(mode="json")
        other = {
            name: value
            for name, value in recipe.settings.items()
            if name in defaults and name not in _APART and value is not None and value != defaults[name]
        }
        standard = QUALITIES["standard"][1]
        if quality == "fine" and all(other.get(name) == value for name, value in standard.items()):
            quality, other = "standard", {name: value for name, value in other.items() if name not in standard}
        masks = [region.mask for region in recipe.regions]
        found = {source.sha256: here(source) for source in (recipe.content, *recipe.all_styles, *masks)}
        regions = [(found[region.mask.sha256], found[region.style.sha256]) for region in recipe.regions]
        lost = [source for source in (recipe.content, *recipe.all_styles, *masks) if not found[source.sha256]]
        return cls(
            content=found[recipe.content.sha256] or "",
            styles=tuple(dict.fromkeys(style for source in recipe.styles if (style := found[source.sha256]))),
            regions=tuple(f"{mask}:{style}" for mask, style in regions if mask and style),
            strength=_typed(recipe.settings.get("strength", 1)),
            quality=quality,
            settings={name: _typed(value) for name, value in other.items()},
            missing=tuple(dict.fromkeys(source.name for source in lost)),
            dropped=asset,
        )

    @property
    def engine(self) -> str:
        """The engine that the quality stands for."""
        return choose_engine(None, self.quality)[0]

    @property
    def own_styles(self) -> tuple[str, ...]:
        """Styles that are uploads."""
        return tuple(style for style in self.styles if ASSET.fullmatch(style))

    @property
    def masks(self) -> list[tuple[str, str]]:
        """Regions as mask and style."""
        return [(mask, style) for mask, _, style in (region.partition(":") for region in self.regions)]

    @property
    def address(self) -> str:
        """The page with this draft."""
        return f"/?{urlencode([pair for pair in self._pairs() if pair[1]])}"

    def request(self) -> JobRequest:
        """The job.

        Raises:
            SettingsError: something is missing or out of bounds; one sentence.
        """
        schema = ENGINES[self.engine].model_json_schema()["properties"]
        typed = {"strength": self.strength, **self.settings}
        return JobRequest.of(
            content=self.content,
            styles=self.styles,
            regions=[{"mask": mask, "style": style} for mask, style in self.masks],
            quality=self.quality,
            format=self.format,
            settings={name: _meant(value, schema.get(name, {})) for name, value in typed.items()},
        )

    def _pairs(self) -> Iterator[tuple[str, str]]:
        yield "content", self.content
        yield from (("style", style) for style in self.styles)
        yield from (("region", region) for region in self.regions)
        yield from (("strength", self.strength), ("quality", self.quality), ("format", self.format))
        yield from ((f"{_PREFIX}{name}", value) for name, value in self.settings.items())
        yield from (("missing", name) for name in self.missing)
        yield "dropped", self.dropped


@dataclass(frozen=True)
class Field:
    """A setting as a control."""

    name: str
    help: str
    kind: str
    """``number``, ``choice`` or ``text``."""
    choices: tuple[str, ...]
    default: str
    least: float | None
    most: float | None
    step: str
    value: str


def fields(engine: str, typed: Mapping[str, str]) -> list[Field]:
    """Controls for all settings of an engine, from its model's schema."""
    brought = {name: _typed(value) for name, value in typed.items()}
    schema = ENGINES[engine].model_json_schema()["properties"]
    return [_field(name, schema[name], brought.get(name, "")) for name in schema if name not in _APART]


def _field(name: str, about: Mapping[str, Any], value: str) -> Field:
    parts = about.get("anyOf", [about])
    given = next((part for part in parts if part.get("type") != "null"), about)
    kind = {"integer": "number", "number": "number"}.get(given.get("type", ""), "text")
    choices = tuple(str(choice) for choice in given.get("enum", ()))
    default = about.get("default")
    return Field(
        name=name,
        help=about.get("description", ""),
        kind="choice" if choices else kind,
        choices=choices,
        default="" if default is None else _typed(default),
        least=given.get("minimum", given.get("exclusiveMinimum")),
        most=given.get("maximum", given.get("exclusiveMaximum")),
        step="1" if given.get("type") == "integer" else "any",
        value=value,
    )


def _typed(value: Any) -> str:
    """A setting as somebody would type it."""
    if isinstance(value, dict):
        return ", ".join(name if weight == 1 else f"{name}={weight:g}" for name, weight in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_swatch(part) if isinstance(part, list | tuple) else _typed(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _swatch(channels: Iterable[Any]) -> str:
    """A colour of a palette; in a stranger's recipe it may be anything."""
    numbers = [part for part in channels if isinstance(part, int | float)]
    return "#" + "".join(f"{round(255 * min(1, max(0, part))):02x}" for part in numbers)


def _meant(value: str, about: Mapping[str, Any]) -> Any:
    """What was typed, as the setting's type; what is none is left to the settings' own check."""
    given = next((part for part in about.get("anyOf", [about]) if part.get("type") != "null"), about)
    if given.get("type") == "array":
        return [part.strip() for part in value.split(",") if part.strip()]
    numbers: dict[str, type[int] | type[float]] = {"integer": int, "number": float}
    try:
        return numbers.get(given.get("type", ""), str)(value)
    except ValueError:
        return value
