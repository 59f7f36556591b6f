"""What an IP-Adapter is told of its references: looked at once by the image encoder, and kept.

The encoder sees a square. diffusers' own way cuts the middle out of a picture that is none; here that is a choice. What
is kept lies in safetensors files under the hash of pixels and encoder, so that a second run needs no encoder.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto.engines.diffusion.preflight import read_json
from impasto.engines.diffusion.registry import cache_folder
from impasto.errors import OutputError
from impasto.images import resize
from impasto.whole import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from impasto.engines.parts import Part, Source

Crop = Literal["center", "squash", "tiles"]

#: A strip longer than so many squares is cut into no more.
_MOST_TILES: Final = 6


class ReferenceReader:
    """Looks at references with one encoder.

    Args:
        load: gives the encoder, when it is first needed.
        processor: the encoder's own preprocessing (transformers' ``CLIPImageProcessor``).
        key: a digest of the encoder.
        plus: whether an adapter reads hidden states (IP-Adapter Plus), or the projection.
        crop: what is seen of a picture that is not square.
    """

    def __init__(self, load: Callable[[], Any], processor: Any, key: str, *, plus: bool, crop: Crop) -> None:
        self._load, self._processor, self._key = load, processor, key
        self._plus, self._crop = plus, crop
        self._encoder: Any = None

    def release(self) -> None:
        """Drop the encoder; another look loads it again."""
        self._encoder = None

    def embed(self, part: Part) -> Tensor:
        """The mean of what is seen of a part's styles, by their shares.

        Returns:
            ``(2, 1, width)``, or for Plus ``(2, 1, tokens, width)``: first what stands for no reference.
        """
        total = sum(source.share for source in part.sources)
        looks = [self.look(shown(source)) * (source.share / total) for source in part.sources]
        return torch.stack(looks).sum(0)

    def look(self, pixels: Tensor) -> Tensor:
        """What is seen of one picture.

        Args:
            pixels: ``(1, 3, h, w)`` in [0, 1].

        Returns:
            As :meth:`embed`, float32 on the CPU.
        """
        name = hashlib.sha256(
            f"{self._key} {self._plus} {self._crop} {tuple(pixels.shape)} ".encode()
            + pixels.float().contiguous().numpy().tobytes()
        ).hexdigest()
        kept = cache_folder() / "references" / f"{name}.safetensors"
        found = _read(kept)
        if found is None:
            found = self._computed(pixels)
            _write(kept, found)
        return found

    def _computed(self, pixels: Tensor) -> Tensor:
        squares = _squares(pixels, self._crop)
        # Through 8 bits and Pillow, as diffusers does it: an adapter was trained on what comes out of there.
        pictures = [(square[0] * 255).round().byte().permute(1, 2, 0).numpy() for square in squares]
        seen = self._processor(pictures, return_tensors="pt").pixel_values
        if self._encoder is None:
            self._encoder = self._load()
        seen = seen.to(self._encoder.device, self._encoder.dtype)
        if self._plus:
            given = self._encoder(seen, output_hidden_states=True).hidden_states[-2].mean(0, keepdim=True)
            nothing = self._encoder(torch.zeros_like(seen[:1]), output_hidden_states=True).hidden_states[-2]
        else:
            given = self._encoder(seen).image_embeds.mean(0, keepdim=True)
            nothing = torch.zeros_like(given)
        return torch.stack([nothing, given]).float().cpu().contiguous()


def processor_of(encoder: Path) -> Any:
    """The preprocessing of an encoder's folder; where it says none, the usual one at its size."""
    from transformers import CLIPImageProcessorPil

    if (encoder / "preprocessor_config.json").is_file():
        return CLIPImageProcessorPil.from_pretrained(encoder, local_files_only=True)
    side = int(read_json(encoder / "config.json")["image_size"])
    return CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=side)


def shown(source: Source) -> Tensor:
    """A style with what its mask hides replaced by the mean of what it shows: the encoder knows no masks."""
    if source.mask is None:
        return source.pixels
    mean = (source.pixels * source.mask).sum((2, 3), keepdim=True) / source.mask.sum((2, 3), keepdim=True)
    return source.pixels * source.mask + mean * (1 - source.mask)


def _squares(pixels: Tensor, crop: Crop) -> Sequence[Tensor]:
    """The pictures that the encoder is shown; its own preprocessing cuts to the middle."""
    height, width = pixels.shape[-2:]
    if height == width or crop == "center":
        return [pixels]
    short, long = min(height, width), max(height, width)
    if crop == "squash":
        return [resize(pixels, short, short)]
    count = min(_MOST_TILES, -(-long // short))
    starts = [round(index * (long - short) / (count - 1)) for index in range(count)]
    axis = 2 if height > width else 3
    return [pixels.narrow(axis, start, short) for start in starts]


def _read(path: Path) -> Tensor | None:
    try:
        return load_file(path)["embeds"]
    except (OSError, SafetensorError, KeyError):  # not there, or damaged: it is looked at again
        return None


def _write(path: Path, embeds: Tensor) -> None:
    """Keep it; a cache that cannot be written is no reason to fail."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file({"embeds": embeds}, temporary)
    except (OSError, OutputError):
        return
