"""The pictures a network is trained on: folders of photos and of styles, and crops of them that can be drawn again.

A crop is known by the file and the number of its variant; which part it is, how much it is reduced and whether it is
mirrored follow from these and the seed. So a run that goes on from a checkpoint sees what it would have seen, and what
the loss network finds in a crop can be kept.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.errors import ImpastoError, InputError
from impasto.images import EXTENSIONS, fill_transparent, read, resize

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A picture whose shorter side is below this share of a crop's would be enlarged to a blur.
_LEAST_SHARE = 0.75


@dataclass(frozen=True)
class Crops:
    """How crops of a collection are drawn."""

    size: int
    """Side in pixels."""
    zoom: tuple[float, float] = (1.0, 1.6)
    """By how much a crop is reduced, from least to most; a picture that is too small for it is reduced less."""
    variants: int = 2
    """How many crops of each picture there are."""
    recolor: float = 0.0
    """Share of the variants whose colour channels change places: more palettes than there are pictures."""


@dataclass
class Collection:
    """Pictures of one kind, each with its chance to be drawn."""

    files: list[Path]
    chances: list[float]
    crops: Crops
    seed: int
    skipped: dict[str, str] = field(default_factory=dict)
    """Names of files that could not be used, each with the reason; grows while crops are drawn."""

    @classmethod
    def find(cls, sources: Sequence[str], crops: Crops, *, seed: int, leave_out: Sequence[str] = ()) -> Collection:
        """All pictures of some folders, files or patterns.

        Args:
            sources: a folder, a file, or a pattern such as ``paintings/louvre-*``; behind an equals sign the chance of
                each of its pictures against those of the others, 1 if left out.
            crops: how crops are drawn.
            seed: of the crops.
            leave_out: names of files, with or without extension, that are not to be used.

        Raises:
            InputError: there is no such folder, or no picture in it.
        """
        chances: dict[Path, float] = {}
        left_out = set(leave_out)
        for source in sources:
            chances |= {
                path: chance
                for path, chance in _pictures(source)
                if path.name not in left_out and path.stem not in left_out
            }
        if not chances:
            raise InputError(
                f"no picture is in {', '.join(map(repr, sources))}; give a folder with photos or paintings"
            )
        return cls(list(chances), list(chances.values()), crops, seed)

    @property
    def digest(self) -> str:
        """Tells another set of pictures from this one: a hash of names, bytes and chances, without reading them."""
        listed = [
            (path.name, path.stat().st_size, chance) for path, chance in zip(self.files, self.chances, strict=True)
        ]
        return hashlib.sha256(repr(listed).encode()).hexdigest()

    def draw(self, chooser: random.Random, count: int) -> list[tuple[int, int]]:
        """Keys of ``count`` crops: index of the picture, number of the variant."""
        indices = chooser.choices(range(len(self.files)), self.chances, k=count)
        return [(index, chooser.randrange(self.crops.variants)) for index in indices]

    def crop(self, key: tuple[int, int]) -> Tensor | None:
        """``(3, size, size)`` uint8, always the same for a key; None where the file cannot be used."""
        index, variant = key
        path = self.files[index]
        try:
            picture = read(path)
        except ImpastoError as error:
            self.skipped[path.name] = str(error)
            return None
        if min(picture.height, picture.width) < _LEAST_SHARE * self.crops.size:
            least = int(_LEAST_SHARE * self.crops.size)
            self.skipped[path.name] = f"{picture.width}x{picture.height} px, but {least} px are needed on each side"
            return None
        chooser = random.Random(f"{self.seed} {path.name} {variant}")  # noqa: S311 — a crop, not a secret
        pixels = fill_transparent(picture)
        return _cropped(pixels, self.crops, chooser).mul_(255).round_().to(torch.uint8)[0]


def _cropped(pixels: Tensor, crops: Crops, chooser: random.Random) -> Tensor:
    """``(1, 3, size, size)`` in [0, 1], cut, reduced, mirrored and recoloured as the chooser says."""
    height, width = pixels.shape[-2:]
    side = min(height, width, round(crops.size * chooser.uniform(*crops.zoom)))
    top, left = chooser.randint(0, height - side), chooser.randint(0, width - side)
    crop = resize(pixels[..., top : top + side, left : left + side], crops.size, crops.size)
    if chooser.random() < 0.5:
        crop = crop.flip(3)
    if chooser.random() < crops.recolor:
        crop = crop[:, chooser.choice([[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])]
    return crop.clone()


def _pictures(source: str) -> list[tuple[Path, float]]:
    """Files of one source with their chance, sorted by name."""
    text, equals, chance = source.rpartition("=")
    if not equals:
        text, chance = source, "1"
    try:
        weight = float(chance)
    except ValueError:
        text, weight = source, 1.0
    if not 0 < weight < math.inf:
        raise InputError(
            f"{source!r} gives its pictures a chance of {weight:g}; give a number above 0, or leave it out"
        )
    path = Path(text)
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
    elif path.is_file():
        found = [path]
    else:
        found = sorted(file for file in path.parent.glob(path.name) if file.suffix.lower() in EXTENSIONS)
        if not found:
            raise InputError(f"there is no folder, picture or pattern {text!r}; check its name")
    return [(file, weight) for file in found]
