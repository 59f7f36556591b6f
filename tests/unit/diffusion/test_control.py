"""What a ControlNet is shown."""

from __future__ import annotations

import pytest
import torch

from impasto.engines.diffusion.control import control_picture


def test_tile_is_the_picture_itself() -> None:
    picture = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    assert control_picture(picture, "tile") is picture


@pytest.mark.parametrize("turned", [False, True])
def test_canny_draws_one_thin_line_along_a_step(turned: bool) -> None:
    step = torch.zeros(1, 3, 24, 24)
    step[..., 12:] = 1
    step = step.mT if turned else step
    edges = control_picture(step, "canny")[0, 0]
    lines = edges.T if turned else edges
    assert set(edges.unique().tolist()) == {0.0, 1.0}
    assert all(1 <= row.sum() <= 2 for row in lines)
    assert bool((lines[:, :10] == 0).all())
    assert bool((lines[:, 14:] == 0).all())


@pytest.mark.parametrize("kind", ["canny", "lineart"])
def test_flat_picture_has_no_edges(kind) -> None:
    assert not bool(control_picture(torch.full((1, 3, 20, 16), 0.4), kind).any())


def test_canny_follows_a_weak_edge_only_from_a_strong_one() -> None:
    weak = torch.zeros(1, 3, 40, 24)
    weak[..., 12:] = 0.25
    assert not bool(control_picture(weak, "canny").any())
    hung = weak.clone()
    hung[..., 12:] = torch.linspace(2, -1, 40).clamp(0.25, 1)[:, None]
    edges = control_picture(hung, "canny")[0, 0]
    assert bool(edges[30:38, 10:14].any())


def test_lineart_is_soft_and_sees_faint_lines() -> None:
    faint = torch.zeros(1, 3, 24, 24)
    faint[..., 12:] = 0.1
    edges = control_picture(faint, "lineart")[0, 0]
    assert edges.shape == (24, 24)
    assert 0.2 < float(edges.max()) <= 1
    assert float(edges[:, :6].max()) < 0.05
