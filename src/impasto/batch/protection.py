"""What stays the photo: masks from files, from a brand's colours and from faces, as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from impasto.errors import MissingExtraError
from impasto.evaluation.view import blur
from impasto.images import fill_transparent, fit_size, mask_of, resize
from impasto.images.oklab import srgb_to_oklab
from impasto.palette import parse_palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from impasto.images import Picture

#: Longer side at which faces are looked for, pixels, and the smallest face there.
_FACES_PX, _FACE_PX = 512, 32
#: Places beside each other that must look like one face. With the detector's own 4 it marked 12 of 33 photographs,
#: clouds among them, with 8 it marks 6.
_NEIGHBOURS = 8
#: How much larger than what the detector marks a face is taken to be: hair and chin.
_HEAD = 1.4


def protected(
    content: Picture,
    *,
    mask: Picture | None = None,
    keep: Sequence[str] = (),
    keep_tolerance: float = 0.05,
    faces: bool = False,
    feather: float = 0.01,
) -> Tensor | None:
    """Where the photo stays, ``(1, 1, h, w)`` in [0, 1]; None where nothing is protected.

    Args:
        content: the photo.
        mask: white where it stays.
        keep: colours ``#rrggbb`` that stay where the photo has them.
        keep_tolerance: how near to them, in OkLab.
        faces: whether faces that look at the camera stay.
        feather: width of the soft edge, as a share of the longer side.

    Raises:
        MissingExtraError: faces, and scikit-image is not installed.
        InputError: the mask is black all over.
    """
    parts: list[Tensor] = []
    if mask is not None:
        parts.append(mask_of(mask, content))
    pixels = fill_transparent(content)
    if keep:
        parts.append(_of_colors(pixels, keep, keep_tolerance))
    if faces:
        parts.append(_of_faces(pixels))
    found = torch.stack(parts).amax(0) if parts else None
    if found is None or not bool(found.any()):
        return None
    sigma = feather * max(content.width, content.height) / 2
    return blur(found, sigma).clamp(0, 1) if sigma >= 0.25 else found


def _of_colors(pixels: Tensor, keep: Sequence[str], tolerance: float) -> Tensor:
    """1 where a colour is at most ``tolerance`` from one to be kept, 0 from twice that on."""
    swatches = srgb_to_oklab(torch.tensor(parse_palette(tuple(keep))).mT)
    lab = srgb_to_oklab(pixels[0].flatten(1))
    distance = torch.stack([(lab - swatch[:, None]).norm(dim=0) for swatch in swatches.mT]).amin(0)
    return (2 - distance / tolerance).clamp(0, 1).reshape(1, 1, *pixels.shape[-2:])


def _of_faces(pixels: Tensor) -> Tensor:
    """Ellipses over faces, found by local binary patterns (Ojala, Pietikäinen, Mäenpää 2002) in a boosted cascade."""
    try:
        from skimage import data
        from skimage.feature import Cascade
    except ImportError:
        raise MissingExtraError(
            "faces are found by scikit-image, which is not installed; install it with: pip install 'impasto[campaigns]'"
        ) from None
    height, width = pixels.shape[-2:]
    small = resize(pixels, *fit_size(height, width, min(_FACES_PX, max(height, width))))
    factor = width / small.shape[-1]
    levels = (small[0].permute(1, 2, 0) * 255).round().byte().numpy()
    largest = min(levels.shape[:2])
    if largest < _FACE_PX:
        return torch.zeros(1, 1, height, width)
    found = Cascade(data.lbp_frontal_face_cascade_filename()).detect_multi_scale(
        img=levels,
        scale_factor=1.2,
        step_ratio=1,
        min_size=(_FACE_PX, _FACE_PX),
        max_size=(largest, largest),
        min_neighbor_number=_NEIGHBOURS,
    )
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    mask = torch.zeros(height, width)
    for face in found:
        middle = ((face["c"] + face["width"] / 2) * factor, (face["r"] + face["height"] / 2) * factor)
        radius = max(face["width"], face["height"]) * factor * _HEAD / 2
        inside = ((columns - middle[0]) / radius) ** 2 + ((rows - middle[1]) / radius) ** 2 <= 1
        mask = torch.maximum(mask, inside.float())
    return mask[None, None]
