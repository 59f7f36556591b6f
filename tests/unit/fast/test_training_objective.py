"""Terms of the training loss that are the engine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.unit.fast.conftest import picture

from impasto.engines.fast.training.objective import Objective, lattice
from impasto.settings.train import OneStyleTraining

if TYPE_CHECKING:
    from impasto.vgg import VGG19

SIDE = 64
ROWS, COLUMNS = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")


def grey(values: torch.Tensor) -> torch.Tensor:
    return values.float().expand(1, 3, SIDE, SIDE)


@pytest.mark.parametrize("pattern", [ROWS % 2, COLUMNS % 2, (ROWS + COLUMNS) % 2], ids=["rows", "columns", "both"])
def test_lattice_is_found_whichever_way_it_lies(pattern: torch.Tensor) -> None:
    assert float(lattice(grey(0.5 + 0.02 * pattern))) == pytest.approx(0.01**2, rel=0.15)


def test_lattice_in_a_corner_counts_as_much_as_it_covers() -> None:
    corner = (ROWS < SIDE // 2) & (COLUMNS < SIDE // 2)
    found = float(lattice(grey(0.5 + 0.02 * ((ROWS + COLUMNS) % 2) * corner)))
    assert found == pytest.approx(0.01**2 / 4, rel=0.2)


def test_ramps_and_strokes_are_no_lattice() -> None:
    strokes = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    amplitude = float(strokes.var())
    assert float(lattice(grey(COLUMNS / SIDE))) < 1e-6
    assert float(lattice(strokes)) < 0.02 * amplitude


def test_whole_style_asks_for_what_its_pictures_have_together(net: VGG19) -> None:
    objective = Objective(net, OneStyleTraining.of())
    one, other = picture(64, 64, 1), picture(64, 64, 2)
    alone = objective.style_targets(torch.cat([one, other]))
    both = objective.style_target([one, other])
    for layer, mean in enumerate(both.means):
        halfway = (alone[0].means[layer].float() + alone[1].means[layer].float()) / 2
        assert torch.allclose(mean.float(), halfway, rtol=0.02, atol=1e-3)
    # What sets the two apart is a spread of the style, in every layer.
    for layer, deviation in enumerate(both.deviations):
        least = torch.minimum(alone[0].deviations[layer].float(), alone[1].deviations[layer].float())
        assert bool((deviation.float() >= 0.98 * least).all())


def test_whole_style_may_have_any_shape(net: VGG19) -> None:
    wide, square = picture(64, 160, 1), picture(64, 64, 1)
    objective = Objective(net, OneStyleTraining.of())
    assert [t.shape for t in objective.style_target([wide]).covariances] == [
        t.shape for t in objective.style_targets(square)[0].covariances
    ]
