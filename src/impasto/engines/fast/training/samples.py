"""Batches of one training run, and what the loss network found in them, kept as far as memory allows."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from impasto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from impasto.engines.fast.training.collection import Collection
    from impasto.engines.fast.training.objective import ContentTarget, Objective, StyleTarget

T = TypeVar("T")

#: Of crops in a row that could not be used, so many are a sign that none can.
_MOST_SKIPPED = 200


class Batch(NamedTuple):
    """What one step sees."""

    contents: Tensor
    """``(b, 3, n, n)`` in [0, 1]; those behind ``len(styles)`` are painted in their own style."""
    styles: Tensor
    """``(b, 3, n, n)`` in [0, 1]."""
    content_targets: list[ContentTarget]
    style_targets: list[StyleTarget]


class Samples:
    """Draws the batch of any step, the same for a seed and a step.

    Args:
        photos: the contents.
        paintings: the styles.
        objective: finds the targets.
        seed: of what is drawn.
        cache_mb: MiB that crops and targets may take; beyond it they are computed each time.
        style_target: what every crop of ``paintings`` asks for; None: what is found in it.
    """

    def __init__(
        self,
        photos: Collection,
        paintings: Collection,
        objective: Objective,
        *,
        seed: int,
        cache_mb: float,
        style_target: StyleTarget | None = None,
    ) -> None:
        asked = objective.style_targets if style_target is None else lambda crops: [style_target] * len(crops)
        self._photos = _Shelf(photos, objective.content_targets, cache_mb / 2)
        self._paintings = _Shelf(paintings, asked, cache_mb / 2)
        self._seed = seed

    def batch(self, step: int, painted: int, kept: int) -> Batch:
        """The batch of a step.

        Args:
            step: from 0.
            painted: contents painted in a style.
            kept: contents painted in their own style.

        Raises:
            InputError: hardly any picture can be used.
        """
        chooser = random.Random(f"{self._seed} {step}")  # noqa: S311
        contents = self._photos.draw(chooser, painted)
        styles = self._paintings.draw(chooser, painted)
        own = [crop for crop, _ in self._photos.draw(chooser, kept)]
        return Batch(
            torch.stack([*(crop for crop, _ in contents), *own]).float() / 255,
            torch.stack([*(crop for crop, _ in styles), *own]).float() / 255,
            [target for _, target in contents],
            [target for _, target in styles],
        )


class _Shelf(Generic[T]):
    """Crops of one collection with their targets."""

    def __init__(self, collection: Collection, find: Callable[[Tensor], list[T]], room_mb: float) -> None:
        self._collection, self._find = collection, find
        self._kept: dict[tuple[int, int], tuple[Tensor, T] | None] = {}
        self._room = room_mb * 2**20

    def draw(self, chooser: random.Random, count: int) -> list[tuple[Tensor, T]]:
        """So many crops that can be used."""
        found: list[tuple[Tensor, T]] = []
        missed = 0
        while len(found) < count:
            keys = self._collection.draw(chooser, count - len(found))
            usable = [entry for entry in self._entries(keys) if entry is not None]
            missed += len(keys) - len(usable)
            found += usable
            if missed > _MOST_SKIPPED:
                name, reason = next(iter(self._collection.skipped.items()))
                raise InputError(
                    f"hardly any of the {len(self._collection.files)} pictures can be used, such as {name}: {reason}; "
                    "give a folder of photos or paintings that can be read and are large enough"
                )
        return found

    def _entries(self, keys: list[tuple[int, int]]) -> list[tuple[Tensor, T] | None]:
        """Crop and target of each key, None where the file cannot be used."""
        new = {key: self._collection.crop(key) for key in dict.fromkeys(keys) if key not in self._kept}
        crops = {key: crop for key, crop in new.items() if crop is not None}
        fresh: dict[tuple[int, int], tuple[Tensor, T] | None] = dict.fromkeys(new)
        if crops:
            targets = self._find(torch.stack(list(crops.values())).float() / 255)
            fresh.update({key: (crop, target) for (key, crop), target in zip(crops.items(), targets, strict=True)})
        for key, entry in fresh.items():
            size = _bytes(entry)
            if size <= self._room:
                self._room -= size
                self._kept[key] = entry
        return [self._kept[key] if key in self._kept else fresh[key] for key in keys]


def _bytes(entry: object) -> int:
    """What the tensors inside take."""
    if isinstance(entry, Tensor):
        return entry.numel() * entry.element_size()
    if isinstance(entry, tuple):
        return sum(_bytes(part) for part in entry)
    return 0
