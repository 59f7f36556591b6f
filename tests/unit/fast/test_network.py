"""The networks' own arithmetic: palettes, roots, codes, weights of parts of a style."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.unit.fast.conftest import networks, picture
from torch.testing import assert_close

from impasto.engines.fast.network import (
    PALETTE,
    Conditional,
    StyleEncoder,
    TransferNet,
    colored,
    palette,
)


def test_shipped_sizes_are_as_documented() -> None:
    net = TransferNet()
    assert net.code_size == 2 * (32 + 11 * 64 + 32) + PALETTE
    assert sum(p.numel() for p in net.parameters()) < 420_000
    assert sum(p.numel() for p in StyleEncoder(net.code_size).parameters()) < 750_000


def test_palette_gives_a_picture_its_mean_and_covariance() -> None:
    """Colours of unit spread, painted in a style's palette, have the style's statistics."""
    style = picture(40, 56, seed=3)
    code = palette(style)
    noise = torch.randn(1, 3, 300, 300, generator=torch.Generator().manual_seed(0))
    rows = noise.flatten(2)
    rows = rows - rows.mean(2, keepdim=True)
    white = torch.linalg.solve(torch.linalg.cholesky(rows @ rows.mT / rows.shape[2]), rows)
    found = colored(white.view_as(noise), code).flatten(2)
    wanted = style.flatten(2)
    assert_close(found.mean(2), wanted.mean(2), atol=1e-4, rtol=0)
    assert_close(torch.cov(found[0]), torch.cov(wanted[0]), atol=3e-4, rtol=1e-2)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_palette_of_a_flat_picture_is_its_colour(level: float) -> None:
    flat = torch.full((1, 3, 16, 16), level)
    painted = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float((colored(painted, palette(flat)) - level).abs().max()) < 0.05


def test_palette_is_a_symmetric_root() -> None:
    matrix = palette(picture(64, 64, seed=5))[0, :9].view(3, 3)
    assert_close(matrix, matrix.T, atol=1e-5, rtol=0)
    assert float(torch.linalg.eigvalsh(matrix).min()) > 0


def test_code_of_a_part_is_that_of_the_part_alone() -> None:
    """What is masked away gives nothing to the palette, and next to nothing to the rest (its rim is seen)."""
    _, encoder = networks()
    left, right = picture(64, 64, seed=1), picture(64, 64, seed=2)
    both = torch.cat([left, right], 3)
    mask = torch.zeros(1, 1, 64, 128)
    mask[..., :64] = 1
    alone, masked, other = encoder(left), encoder(both, mask), encoder(right)
    assert_close(masked[:, -PALETTE:], alone[:, -PALETTE:], atol=1e-4, rtol=0)
    assert float((masked - alone).norm()) < 0.3 * float((other - alone).norm())


def test_conditional_normalisation_is_the_papers_formula() -> None:
    net, _ = networks()
    code = torch.randn(2, net.code_size, generator=torch.Generator().manual_seed(0))
    features = torch.randn(2, net.widths[1], 9, 7, generator=torch.Generator().manual_seed(1))
    found = Conditional(code, net.widths)(1, features)
    start = 2 * net.widths[0]
    scale, shift = code[:, start : start + 16], code[:, start + 16 : start + 32]
    mean, deviation = features.mean((2, 3)), features.std((2, 3), correction=0)
    wanted = (1 + scale)[..., None, None] * (features - mean[..., None, None]) / deviation[..., None, None]
    assert_close(found, wanted + shift[..., None, None], atol=1e-3, rtol=1e-3)


def test_reach_covers_what_an_output_pixel_sees() -> None:
    """With statistics held fixed, a pixel further away than REACH changes nothing."""
    net, _ = TransferNet(), None
    shift = torch.zeros(1)

    def still(layer: int, features: torch.Tensor) -> torch.Tensor:
        return features + shift

    pixels = picture(160, 160).requires_grad_()
    net(pixels, still)[..., 80, 80].sum().backward()
    rows = pixels.grad[0].abs().sum((0, 2)).nonzero()
    assert int((rows - 80).abs().max()) <= TransferNet.REACH
    assert int((rows - 80).abs().max()) > TransferNet.REACH // 2


def test_fold_and_unfold_start_without_a_lattice() -> None:
    """Before any training the four pixels of a fold are alike: no 2 × 2 pattern has to be unlearned."""
    net = TransferNet()
    code = torch.zeros(1, net.code_size)
    painted = net(picture(64, 64), Conditional(code, net.widths))
    phases = F.pixel_unshuffle(painted, 2).view(1, 3, 4, 32, 32)
    assert_close(phases[:, :, 0], phases[:, :, 3])
