"""A picture as metrics see it: 8 bits, at the output's size and as a small twin, with everything read from it kept.

Metrics compare three views: of the output, the content and the style. Whatever several metrics read (activations,
edges, colours) is computed once, when it is first asked for.
"""

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, TypeVar

import torch
import torch.nn.functional as F
from PIL import Image

from impasto.errors import ImageTooSmallError, InputError
from impasto.evaluation.efficientnet import EfficientNet, load_efficientnet
from impasto.images import Picture, encode, fill_transparent, fit_size, read, resize
from impasto.images.oklab import srgb_to_oklab
from impasto.vgg import activations, load_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from impasto.evaluation.swatches import Swatch

T = TypeVar("T")

#: Longer side of the twin that networks, edges and colours are read from, so that thresholds mean the same at every
#: size; a picture that is smaller is its own twin, unless it is tiny or very long.
SMALL_PX: Final = 256
#: Shorter side of a twin at least: the deepest layers need a few places each way.
_TWIN_MIN_SIDE_PX: Final = 64
#: Shorter sides below it leave a network nothing to see.
MIN_SIDE_PX: Final = 32
#: Longer than that over its shorter side, a picture's twin would be too large for tables between all of its places.
MAX_ASPECT: Final = 20
#: How far the aspect ratios of output and content may differ: a crop would read as content that was lost.
ASPECT_TOLERANCE: Final = 0.02
#: What the views read of VGG-19. The losses of ``optimize`` read reluB_1 and relu4_2; the others are the judge's own.
VGG_LAYERS: Final = (
    "relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_4", "relu4_1", "relu4_3", "relu4_4",
    "relu5_1", "relu5_2",
)  # fmt: skip

#: Of the luminance that networks see where colours are not to count: that of an average photograph.
_GRAY_DEVIATION: Final = 0.2
_JPEG_QUALITY: Final = 60
_LUMINANCE: Final = (0.299, 0.587, 0.114)  # of gamma-coded sRGB: Rec. 601 luma, as JPEG and every edge detector use
_EDGE_BLUR_PX: Final = 2.0


class View:
    """One picture, read once for every metric.

    Args:
        pixels: ``(1, 3, h, w)`` float32 sRGB in [0, 1]; rounded to 8 bits here, because the saved file counts.
        small: the size of the twin, ``(h, w)``; by default its longer side is at most :data:`SMALL_PX`.
        gray: whether networks see its strokes alone, without colour, brightness and contrast; other figures see all.
        swatches: the palette that its colours shall keep to, if any.
        name: of the picture, for messages.
    """

    def __init__(
        self,
        pixels: Tensor,
        *,
        small: tuple[int, int] | None = None,
        gray: bool = False,
        swatches: Sequence[Swatch] = (),
        name: str = "",
    ) -> None:
        self.name, self.swatches, self._gray = name, tuple(swatches), gray
        self.pixels = (pixels.clamp(0, 1) * 255).round() / 255
        height, width = pixels.shape[-2:]
        self._small = small or _twin_size(height, width)
        self._read: dict[Callable[[View], Any], Any] = {}

    def read(self, figure: Callable[[View], T]) -> T:
        """What a function finds in this view, computed once: a style or a content is judged beside many outputs."""
        if figure not in self._read:
            self._read[figure] = figure(self)
        found: T = self._read[figure]
        return found

    @cached_property
    def small(self) -> Tensor:
        """``(1, 3, h, w)``: the twin, in 8 bits as well."""
        return (resize(self.pixels, *self._small) * 255).round() / 255

    @cached_property
    def luminance(self) -> Tensor:
        """``(h, w)`` in [0, 1], at full size."""
        return luminance(self.pixels)

    @cached_property
    def small_luminance(self) -> Tensor:
        """``(h, w)`` in [0, 1], of the twin."""
        return luminance(self.small)

    @cached_property
    def edges(self) -> Tensor:
        """``(h, w)``: Sobel magnitudes of the twin's luminance, blurred with σ = 2 px."""
        gray = F.pad(self.small_luminance[None, None], (1, 1, 1, 1), mode="replicate")
        kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).view(1, 1, 3, 3)
        magnitude = torch.hypot(F.conv2d(gray, kernel), F.conv2d(gray, kernel.mT))
        return blur(magnitude, _EDGE_BLUR_PX)[0, 0]

    @cached_property
    def lab(self) -> Tensor:
        """``(3, n)``: the twin's colours in OkLab."""
        return srgb_to_oklab(self.small[0].flatten(1))

    @cached_property
    def vgg(self) -> dict[str, Tensor]:
        """VGG-19's activations of the twin by layer, each ``(c, h, w)`` with a mean of about 1."""
        net = load_network(device=torch.device("cpu"), dtype=torch.float32).net
        with torch.inference_mode():
            return {layer: found[0] for layer, found in activations(net, self._seen, VGG_LAYERS).items()}

    @cached_property
    def efficientnet(self) -> dict[str, Tensor]:
        """EfficientNet-Lite0's activations of the twin by stage, each ``(c, h, w)``; see :class:`EfficientNet`."""
        net: EfficientNet = load_efficientnet()
        with torch.inference_mode():
            return {stage: found[0] for stage, found in net(self._seen).items()}

    @cached_property
    def jpeg(self) -> View:
        """What is left of the picture after JPEG of quality 60."""
        data = encode(Picture(self.pixels[0]), ".jpg", quality=_JPEG_QUALITY)
        return self.with_pixels(read(Image.open(BytesIO(data))).pixels[None])

    @cached_property
    def shuffles(self) -> tuple[View, ...]:
        """The twin's tiles in random order, three times: its texture without its objects."""
        return tuple(self.with_pixels(shuffled(self.small, tile, seed)) for seed, tile in enumerate((32, 32, 48)))

    def with_pixels(self, pixels: Tensor) -> View:
        """A view of other pixels with a twin of the same size: how controls are made."""
        return View(pixels, small=self._small, gray=self._gray, swatches=self.swatches, name=self.name)

    @property
    def _seen(self) -> Tensor:
        """What networks see: the twin, or its strokes alone, with neither its colours nor its brightness."""
        if not self._gray:
            return self.small
        gray = self.small_luminance
        tone = (gray - gray.mean()) / gray.std().clamp_min(1 / 255) * _GRAY_DEVIATION + 0.5
        return tone.clamp(0, 1).expand(1, 3, -1, -1)


def views(
    output: Picture,
    content: Picture,
    styles: Sequence[Picture],
    *,
    gray: bool = False,
    swatches: Sequence[Swatch] = (),
) -> tuple[View, View, View]:
    """The three views that metrics compare: output, content and style.

    Content is brought to the output's size. Several styles become one picture, side by side, so each counts by its
    area; metrics of layout (``edge_style``, ``leak``) then see the mosaic.

    Args:
        output: what is judged.
        content: what it was made from; another size is fine, another aspect ratio is not.
        styles: one or more pictures.
        gray: whether networks see strokes alone in all three: for outputs whose colours shall not be the style's.
        swatches: the palette that the output's colours shall keep to, if any.

    Raises:
        InputError: there is no style, the aspect ratios differ by more than 2 %, or a picture is longer than 20:1.
        ImageTooSmallError: a picture is smaller than 32 px.
    """
    if not styles:
        raise InputError("no style was given; style metrics need at least one picture")
    for picture in (output, content, *styles):
        if min(picture.height, picture.width) < MIN_SIDE_PX:
            raise ImageTooSmallError(
                f"{picture.name or 'a picture'} is {picture.width}×{picture.height} px, but {MIN_SIDE_PX} px on the "
                "shorter side are needed to judge it; give a larger picture"
            )
        if max(picture.height, picture.width) > MAX_ASPECT * min(picture.height, picture.width):
            raise InputError(
                f"{picture.name or 'a picture'} is {picture.width}×{picture.height} px, but at most {MAX_ASPECT}:1 can "
                "be judged; give a part of it"
            )
    ratio = (output.width / output.height) / (content.width / content.height)
    if abs(ratio - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"{output.name or 'the output'} is {output.width}×{output.height} px and {content.name or 'the content'} "
            f"{content.width}×{content.height} px: their aspect ratios differ by {abs(ratio - 1):.0%}, at most "
            f"{ASPECT_TOLERANCE:.0%} is allowed; give the content that the output was made from, cropped the same way"
        )
    height, width = output.height, output.width
    small = _twin_size(height, width)
    seen = resize(fill_transparent(content), height, width)
    drawn = _side_by_side([fill_transparent(style) for style in styles], max(height, width))
    return (
        View(fill_transparent(output), small=small, gray=gray, swatches=swatches, name=output.name),
        View(seen, small=small, gray=gray, swatches=swatches, name=content.name),
        View(drawn, gray=gray, name=" + ".join(style.name for style in styles)),
    )


def blur(pixels: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of ``(b, c, h, w)``; beyond the rim the picture goes on as at the rim."""
    radius = round(4 * sigma_px)
    at = torch.arange(-radius, radius + 1, dtype=pixels.dtype)
    kernel = torch.exp(-0.5 * (at / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).repeat(pixels.shape[1], 1, 1, 1)
    padded = F.pad(pixels, (radius,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel, groups=pixels.shape[1])
    return F.conv2d(across, kernel.mT, groups=pixels.shape[1])


def shuffled(pixels: Tensor, tile_px: int, seed: int) -> Tensor:
    """The picture's square tiles in another order; what is left over at the right and below is dropped."""
    tile_px = min(tile_px, *pixels.shape[-2:])
    rows, columns = pixels.shape[-2] // tile_px, pixels.shape[-1] // tile_px
    cut = pixels[..., : rows * tile_px, : columns * tile_px]
    tiles = F.unfold(cut, tile_px, stride=tile_px)
    order = torch.randperm(tiles.shape[-1], generator=torch.Generator().manual_seed(seed))
    return F.fold(tiles[..., order], cut.shape[-2:], tile_px, stride=tile_px)


def resized(plane: Tensor, size: Sequence[int]) -> Tensor:
    """A plane ``(h, w)`` of any values, stretched to another size."""
    return F.interpolate(plane[None, None], tuple(size), mode="bilinear", align_corners=False, antialias=True)[0, 0]


def luminance(pixels: Tensor) -> Tensor:
    """Luma ``(h, w)`` in [0, 1] of ``(1, 3, h, w)``."""
    return torch.einsum("c,bchw->hw", torch.tensor(_LUMINANCE), pixels)


def _twin_size(height: int, width: int) -> tuple[int, int]:
    longer, shorter = max(height, width), min(height, width)
    return fit_size(height, width, max(min(SMALL_PX, longer), -(-_TWIN_MIN_SIDE_PX * longer // shorter)))


def _side_by_side(styles: Sequence[Tensor], longer_px: int) -> Tensor:
    """Styles as one picture: each at most ``longer_px`` long, never enlarged; several share the lowest's height."""
    sized = []
    for pixels in styles:
        height, width = pixels.shape[-2:]
        sized.append(resize(pixels, *fit_size(height, width, min(longer_px, max(height, width)))))
    lowest = min(pixels.shape[-2] for pixels in sized)
    return torch.cat(
        [resize(pixels, lowest, max(1, round(pixels.shape[-1] * lowest / pixels.shape[-2]))) for pixels in sized], -1
    )
