"""Terms of the training loss that are the engine's own."""

from __future__ import annotations

import pytest
import torch

from impasto.engines.fast.training.objective import lattice

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
