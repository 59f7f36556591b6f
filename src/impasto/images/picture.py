"""The one form a picture has inside impasto: sRGB pixels, and what a file needs to come back whole.

It reads and writes nothing; see read.py and write.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from impasto.images.resize import resize

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels in sRGB with their alpha, the hash of where they came from, and what was odd about it.

    Args:
        pixels: ``(3, h, w)`` float32 sRGB in [0, 1], already upright.
        alpha: ``(1, h, w)`` float32 in [0, 1], 0 is transparent. None only if the source has no alpha
            channel: a fully opaque channel is kept, so that the output has one too.
        sha256: of the source file's bytes. For arrays, tensors and Pillow images, which have no bytes of
            their own, of the decoded pixels (see `read`). None for pictures that were computed.
        name: the file's name without its folder, or "array", "tensor", "image".
        warnings: sentences for the user about what had to be ignored, such as a broken colour profile.
        bit_depth: bits per channel that the source brought, 8 or 16. It is 8 for floating point, and where a
            source with 16 could be read with 8 only.

    Raises:
        ValueError: ``pixels`` or ``alpha`` has another shape.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    sha256: str | None = None
    name: str = ""
    warnings: tuple[str, ...] = ()
    bit_depth: int = 8

    def __post_init__(self) -> None:
        if self.pixels.dim() != 3 or self.pixels.shape[0] != 3:
            raise ValueError(f"pixels must be (3, h, w), but are {tuple(self.pixels.shape)}")
        if self.alpha is not None and self.alpha.shape != (1, self.height, self.width):
            raise ValueError(
                f"alpha must be (1, {self.height}, {self.width}) like the pixels, but is {tuple(self.alpha.shape)}"
            )

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[2])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[1])

    def with_pixels(self, pixels: Tensor) -> Picture:
        """A picture of other pixels under the same alpha, which is resampled when the size differs.

        Args:
            pixels: ``(3, h', w')`` float32 sRGB in [0, 1].

        Returns:
            A new picture without ``sha256``: these pixels are no longer the source's. The rest stays.

        Raises:
            ValueError: ``pixels`` has another shape.
        """
        alpha = self.alpha
        if alpha is not None:
            alpha = resize(alpha, int(pixels.shape[-2]), int(pixels.shape[-1])).to(pixels.device)
        return replace(self, pixels=pixels, alpha=alpha, sha256=None)
