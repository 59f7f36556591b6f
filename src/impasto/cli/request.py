"""What ``stylize`` and ``plan`` are asked for: pictures, regions and settings, checked as far as words can be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from impasto.cli.options import given_settings
from impasto.errors import InputError
from impasto.settings import ENGINES, STARTS, PictureSettings, choose_engine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: A drive (``C:\``, ``c:/``) at the start of a part: its colon does not part it from anything.
_DRIVE = re.compile(r"(^|:)([A-Za-z]):(?=[\\/])")


@dataclass(frozen=True)
class RegionFiles:
    """A part of the content and the style that it takes, as files."""

    mask: Path
    style: Path
    style_mask: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        r"""Read ``MASK:STYLE`` or ``MASK:STYLE:STYLE_MASK``; drive letters (``C:\mask.png``) belong to their file.

        Raises:
            InputError: it has another number of parts, or an empty one.

        Example:
            >>> RegionFiles.parse("sky.png:starry.jpg").style.name
            'starry.jpg'
        """
        parts = [part.replace("\0", ":") for part in _DRIVE.sub("\\1\\2\0", text).split(":")]
        empty = not all(part.strip() for part in parts)
        if empty or len(parts) not in (2, 3):
            found = "an empty part" if empty else f"{len(parts)} part{'s' if len(parts) > 1 else ''}"
            raise InputError(
                f"--region {text!r} has {found}, but MASK:STYLE or MASK:STYLE:STYLE_MASK is needed; "
                "give files with colons between them, and rename files with a colon in their name"
            )
        return cls(*map(Path, parts))

    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(path for path in (self.mask, self.style, self.style_mask) if path)


@dataclass(frozen=True)
class Request:
    """Everything that decides what a picture will look like."""

    content: Path
    styles: tuple[Path, ...]
    regions: tuple[RegionFiles, ...]
    engine: str
    settings: PictureSettings

    @classmethod
    def parse(
        cls,
        content: Path,
        styles: Sequence[Path] | None,
        regions: Sequence[str] | None,
        settings: Mapping[str, str | None],
        *,
        engine: str | None = None,
        quality: str | None = None,
    ) -> Self:
        """Read what was typed.

        Raises:
            SettingsError: a setting is out of bounds or contradicts another.
            InputError: a region cannot be read, or there is no style at all.
        """
        if not styles and not regions:
            raise InputError("no style was given; give a STYLE behind CONTENT, or a part with --region MASK:STYLE")
        name, preset = choose_engine(engine, quality)
        model = ENGINES[name]
        checked = model.of(**{**preset, **given_settings(model, settings)})
        return cls(content, tuple(styles or ()), tuple(map(RegionFiles.parse, regions or ())), name, checked)

    @property
    def options(self) -> dict[str, Any]:
        """The settings that were given: to an engine, left out and set to the default may differ."""
        return self.settings.model_dump(include=self.settings.model_fields_set)

    @property
    def regions_for_api(self) -> list[tuple[Path, Path, Path | None]]:
        """The regions as :func:`impasto.api.stylize` takes them."""
        return [(region.mask, region.style, region.style_mask) for region in self.regions]

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that goes in."""
        start = self.options.get("init")
        named = (
            None if start in STARTS else start,
            *(self.options.get(name) for name in ("vgg_weights", "model", "lora")),
        )
        of_regions = (path for region in self.regions for path in region.files())
        return (self.content, *self.styles, *of_regions, *(Path(name) for name in named if name))
