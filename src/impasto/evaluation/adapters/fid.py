"""FID and ArtFID: how far the pictures of two sets are apart as clouds of Inception features.

Both are biased: the fewer pictures, the higher, and 2,048 features need thousands. Numbers of one's own with the same
pictures and sizes may be compared; those of different papers never (docs/evaluation.md). Sources: Heusel et al., "GANs
Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017; Wright, Ommer, "ArtFID:
Quantitative Evaluation of Neural Style Transfer", GCPR 2022; networks of pytorch-fid and art-fid, forward only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from impasto.errors import ImageTooSmallError, InputError
from impasto.evaluation.adapters.lpips import LONGER_PX, lpips
from impasto.evaluation.adapters.ranges import in_unit_range, standardize
from impasto.evaluation.adapters.weights import read_weights
from impasto.images import fit_size, resize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from impasto.evaluation.view import View

#: What Inception v3 was trained at; pytorch-fid brings every picture to it, whatever its aspect ratio.
SIDE_PX: Final = 299
#: Below it a valid convolution of Inception's last stages has nothing to see.
MIN_SIDE_PX: Final = 75

_EPS: Final = 1e-3  # of the batch norms
_HALF: Final = (0.5, 0.5, 0.5)
#: The chains of convolutions of each kind of block; its pooling branch comes after them. Where a chain of E forks, its
#: first part runs twice: cheap at 8×8, and shorter to read.
_A: Final = (("1x1",), ("5x5_1", "5x5_2"), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3"))
_B: Final = (("3x3",), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3"))
_C: Final = (("1x1",), ("7x7_1", "7x7_2", "7x7_3"), tuple(f"7x7dbl_{index}" for index in range(1, 6)))
_D: Final = (("3x3_1", "3x3_2"), ("7x7x3_1", "7x7x3_2", "7x7x3_3", "7x7x3_4"))
_E: Final = (
    ("1x1",), ("3x3_1", "3x3_2a"), ("3x3_1", "3x3_2b"),
    ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3a"), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3b"),
)  # fmt: skip
_BLOCKS: Final = {
    "5b": _A, "5c": _A, "5d": _A, "6a": _B, "6b": _C, "6c": _C, "6d": _C, "6e": _C, "7a": _D, "7b": _E, "7c": _E,
}  # fmt: skip


class Inception:
    """Inception v3 up to the average over all positions.

    Args:
        tensors: by torchvision's names, such as ``Mixed_5b.branch1x1.conv.weight``; any widths.
        art: ArtFID's network instead of pytorch-fid's. It takes pixels as they are, counts the padding into its
            averages, and its last block averages; pytorch-fid's does neither and takes the maximum there, as the
            TensorFlow graph that all FIDs go back to.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, art: bool) -> None:
        self._tensors, self._art = tensors, art

    def __call__(self, pixels: Tensor) -> Tensor:
        """The features of a picture, ``(c,)``.

        Args:
            pixels: ``(1, 3, h, w)`` float32 RGB in [0, 1]. pytorch-fid's network sees it at 299 px square, bilinear
                and not antialiased, as every published FID of that package; ArtFID's as it is.

        Raises:
            ImageTooSmallError: ArtFID's network sees nothing below 75 px.
        """
        if not self._art:
            resized = F.interpolate(in_unit_range(pixels), (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False)
            return self._features(standardize(resized, _HALF, _HALF))
        height, width = pixels.shape[-2:]
        if min(height, width) < MIN_SIDE_PX:
            raise ImageTooSmallError(
                f"a picture is {width}×{height} px, but ArtFID needs {MIN_SIDE_PX} px on the shorter side; "
                "give larger pictures"
            )
        return self._features(in_unit_range(pixels))

    def _features(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            x = self._convolve(x, "Conv2d_1a_3x3", stride=2, valid=True)
            x = self._convolve(x, "Conv2d_2a_3x3", valid=True)
            x = F.max_pool2d(self._convolve(x, "Conv2d_2b_3x3"), 3, 2)
            x = self._convolve(x, "Conv2d_3b_1x1")
            x = F.max_pool2d(self._convolve(x, "Conv2d_4a_3x3", valid=True), 3, 2)
            for block in _BLOCKS:
                x = self._block(x, block)
            return x.mean((2, 3))[0]

    def _block(self, x: Tensor, block: str) -> Tensor:
        halves = block in ("6a", "7a")
        found = []
        for chain in _BLOCKS[block]:
            y = x
            for name in chain:
                last = halves and name == chain[-1]
                y = self._convolve(y, f"Mixed_{block}.branch{name}", stride=2 if last else 1, valid=last)
            found.append(y)
        if halves:
            return torch.cat([*found, F.max_pool2d(x, 3, 2)], 1)
        if block == "7c" and not self._art:
            pooled = F.max_pool2d(x, 3, 1, 1)
        else:
            pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=self._art)
        return torch.cat([*found, self._convolve(pooled, f"Mixed_{block}.branch_pool")], 1)

    def _convolve(self, x: Tensor, name: str, *, stride: int = 1, valid: bool = False) -> Tensor:
        kernel = self._tensors[f"{name}.conv.weight"]
        padding = (0, 0) if valid else (kernel.shape[-2] // 2, kernel.shape[-1] // 2)
        mean, var, gain, bias = (
            self._tensors[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(F.conv2d(x, kernel, None, stride, padding), mean, var, gain, bias, eps=_EPS).relu_()


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians that fit two sets of features.

    The trace of the root of Σ₁Σ₂ is taken as the sum of the singular values of X₁X₂ᵀ, X being centred features over
    √(n - 1). It is the same number, never complex, and cheap for few pictures; published code takes a matrix root.

    Args:
        first: ``(n, c)`` float64, n ≥ 2.
        second: ``(m, c)``, m ≥ 2.

    Returns:
        ≥ 0, in squared units of the features.

    Source:
        Dowson, Landau, "The Fréchet Distance between Multivariate Normal Distributions", 1982.
    """
    roots = []
    for features in (first, second):
        root = (features - features.mean(0)) / (len(features) - 1) ** 0.5
        # Of more rows than columns only R of QR counts: the same product, never larger than c × c.
        roots.append(root if len(root) <= root.shape[1] else torch.linalg.qr(root, mode="r").R)
    traces = sum(root.square().sum() for root in roots)
    shared = torch.linalg.svdvals(roots[0] @ roots[1].mT).sum()
    distance = (first.mean(0) - second.mean(0)).square().sum() + traces - 2 * shared
    return max(0.0, float(distance))  # rounding can leave it a little below 0


@lru_cache(maxsize=2)
def _network(*, art: bool) -> Inception:
    return Inception(read_weights("art-inception" if art else "inception"), art=art)


def frechet_inception_distance(outputs: Sequence[View], references: Sequence[View]) -> float:
    """FID of two sets of pictures; biased upwards, the more so the smaller the sets.

    Args:
        outputs: at least 2; a number worth telling needs thousands.
        references: at least 2, of the style or of what the outputs should look like.

    Returns:
        ≥ 0; 0 for two equal sets.

    Raises:
        InputError: a set has fewer than 2 pictures.
        WeightsError: the file is missing or not what it should be.
    """
    _check(outputs, references)
    net = _network(art=False)
    first, second = (torch.stack([net(view.pixels) for view in views]).double() for views in (outputs, references))
    return frechet_distance(first, second)


def art_fid(outputs: Sequence[View], contents: Sequence[View], styles: Sequence[View]) -> float:
    """ArtFID, (1 + LPIPS) · (1 + FID): LPIPS of outputs and contents, FID of outputs and styles.

    It is as biased as FID: the authors use 50,000 pairs, others 800 with 40 styles, and the same method gets 12 or 31.
    Never compare it across papers, sizes or sets; contents that nobody touched can rank best.

    Args:
        outputs: at least 2. What is longer than 512 px is reduced to it, the size at which most papers measure; art-fid
            itself takes files as they are.
        contents: one for each output, of its size.
        styles: at least 2; repeating a style adds nothing.

    Returns:
        ≥ 1.

    Raises:
        InputError: a set has fewer than 2 pictures, or there are not as many contents as outputs.
        ImageTooSmallError: a picture is smaller than 75 px.
        WeightsError: a file is missing or not what it should be.
    """
    _check(outputs, styles)
    if len(contents) != len(outputs):
        raise InputError(f"{len(contents)} contents for {len(outputs)} outputs; give the content of each output")
    net = _network(art=True)
    first, second = (torch.stack([net(_reduced(view)) for view in views]).double() for views in (outputs, styles))
    pairs = zip(outputs, contents, strict=True)
    distance = sum(lpips(output, content, content) for output, content in pairs) / len(outputs)
    return (1 + distance) * (1 + frechet_distance(first, second))


def _check(outputs: Sequence[View], references: Sequence[View]) -> None:
    if min(len(outputs), len(references)) < 2:
        raise InputError(
            f"the sets have {len(outputs)} and {len(references)} pictures, but a distance of sets needs at least 2 in "
            "each, and thousands to mean something; give more pictures"
        )


def _reduced(view: View) -> Tensor:
    height, width = view.pixels.shape[-2:]
    return resize(view.pixels, *fit_size(height, width, min(LONGER_PX, max(height, width))))
