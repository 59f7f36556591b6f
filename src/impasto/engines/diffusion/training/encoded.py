"""What a model makes of pictures and captions, computed once: latents and text. Batches of these for any step.

It is kept in the training's folder, so that a training that goes on sees the very same numbers, and neither the VAE nor
the text encoders need the memory while it runs.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from impasto.errors import SettingsError
from impasto.whole import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from impasto.engines.diffusion.training.pictures import TrainingPicture


class Text(NamedTuple):
    """A caption as the UNet reads it, on the CPU."""

    embeds: Tensor
    """``(1, tokens, width)``."""
    pooled: Tensor | None
    """``(1, width)``; None where the model takes none."""


@dataclass(frozen=True)
class Encoded:
    """Pictures as the UNet sees them, on the CPU."""

    pictures: Sequence[TrainingPicture]
    means: Sequence[Tensor]
    """``(1, c, h, w)`` for each: the mean of its latents, scaled as the UNet takes them."""
    spreads: Sequence[Tensor | None]
    """Their standard deviation; None where the VAE has none."""
    texts: Sequence[Text]


class Batch(NamedTuple):
    """What is computed at once; all of one size."""

    means: Tensor
    """``(b, c, h, w)``."""
    spreads: Tensor | None
    embeds: Tensor
    """``(b, tokens, width)``."""
    pooled: Tensor | None
    times: Tensor
    """``(b, 6)``: see :attr:`TrainingPicture.times`."""


def encode_pictures(pictures: Sequence[TrainingPicture], vae: Any, text: Callable[[str], Text]) -> Encoded:
    """Show pictures to the VAE and captions to the text encoders.

    Args:
        pictures: which.
        vae: in float32: SDXL's leaves float16's range.
        text: reads a caption.
    """
    scaling = float(vae.config.scaling_factor)
    means, spreads = [], []
    for picture in pictures:
        with torch.no_grad():
            seen = vae.encode(picture.pixels().to(vae.device, vae.dtype) * 2 - 1)
        if hasattr(seen, "latent_dist"):
            means.append((seen.latent_dist.mean * scaling).cpu())
            spreads.append((seen.latent_dist.std * scaling).cpu())
        else:
            means.append((seen.latents * scaling).cpu())
            spreads.append(None)
    said = {caption: text(caption) for caption in dict.fromkeys(picture.caption for picture in pictures)}
    return Encoded(pictures, means, spreads, [said[picture.caption] for picture in pictures])


def text_reader(pipeline: Any) -> Callable[[str], Text]:
    """Reads captions with a pipeline's text encoders.

    Raises (when it reads):
        SettingsError: a text is longer than the model reads.
    """

    def read(text: str) -> Text:
        most = int(pipeline.tokenizer.model_max_length)
        count = len(pipeline.tokenizer(text).input_ids)
        if count > most:
            raise SettingsError(
                f"{text[:60]!r}… has {count - 2} tokens with the trigger, but the model reads {most - 2}; make it "
                "shorter (a token is a short word or a part of a long one)"
            )
        with torch.no_grad():
            said = pipeline.encode_prompt(
                text, device=pipeline.device, num_images_per_prompt=1, do_classifier_free_guidance=False
            )
        pooled = said[2].float().cpu() if len(said) == 4 else None
        return Text(said[0].float().cpu(), pooled)

    return read


def keep(path: Path, key: str, parts: Sequence[Encoded]) -> None:
    """Write what was encoded.

    Args:
        path: of the file.
        key: of the model and all pictures and captions.
        parts: what is trained on, and if there are any the prior's.

    Raises:
        OutputError: it cannot be written there.
    """
    tensors: dict[str, Tensor] = {}
    for part, encoded in enumerate(parts):
        for index, (mean, spread, text) in enumerate(zip(encoded.means, encoded.spreads, encoded.texts, strict=True)):
            named = {"mean": mean, "spread": spread, "embeds": text.embeds, "pooled": text.pooled}
            tensors |= {
                f"{part}.{index}.{name}": each.clone().contiguous() for name, each in named.items() if each is not None
            }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"key": key})


def kept(path: Path, key: str, parts: Sequence[Sequence[TrainingPicture]]) -> list[Encoded] | None:
    """What :func:`keep` wrote; None if it is not there, damaged, or of other pictures or another model."""
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — not a mapping
    except (SafetensorError, OSError):
        return None
    found = []
    for part, pictures in enumerate(parts):
        numbers = range(len(pictures))
        found.append(
            Encoded(
                pictures,
                [tensors[f"{part}.{index}.mean"] for index in numbers],
                [tensors.get(f"{part}.{index}.spread") for index in numbers],
                [Text(tensors[f"{part}.{index}.embeds"], tensors.get(f"{part}.{index}.pooled")) for index in numbers],
            )
        )
    return found


class Batches:
    """The batch of any number, the same for a seed and a number; in a round every picture is seen once or more.

    Args:
        encoded: the pictures.
        size: of a batch. A bucket with fewer pictures than that, or with a rest, is filled up with its own.
        seed: of the order.
    """

    def __init__(self, encoded: Encoded, size: int, seed: int) -> None:
        self._encoded, self._size, self._seed = encoded, size, seed
        self._buckets: dict[tuple[int, int], list[int]] = {}
        for index, picture in enumerate(encoded.pictures):
            self._buckets.setdefault(picture.bucket, []).append(index)
        self._round = sum(-(-len(members) // size) for members in self._buckets.values())

    def indices(self, number: int) -> list[int]:
        """Which pictures a batch has."""
        around, place = divmod(number, self._round)
        chooser = random.Random(f"{self._seed} {around}")  # noqa: S311 — an order, not a secret
        batches = []
        for bucket in sorted(self._buckets):
            members = list(self._buckets[bucket])
            chooser.shuffle(members)
            filled = members * (1 + -(-self._size // len(members)))
            batches += [filled[first : first + self._size] for first in range(0, len(members), self._size)]
        chooser.shuffle(batches)
        return batches[place]

    def batch(self, number: int) -> Batch:
        """The batch of a number from 0."""
        chosen = self.indices(number)
        encoded = self._encoded
        spreads = [spread for index in chosen if (spread := encoded.spreads[index]) is not None]
        pooled = [said for index in chosen if (said := encoded.texts[index].pooled) is not None]
        return Batch(
            torch.cat([encoded.means[index] for index in chosen]),
            torch.cat(spreads) if spreads else None,
            torch.cat([encoded.texts[index].embeds for index in chosen]),
            torch.cat(pooled) if pooled else None,
            torch.tensor([encoded.pictures[index].times for index in chosen], dtype=torch.float32),
        )


def key_of(*facts: object) -> str:
    """A digest of whatever makes two encodings the same."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()
