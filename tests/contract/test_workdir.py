"""A folder for checkpoints changes nothing but that a run can go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

import impasto

if TYPE_CHECKING:
    from pathlib import Path


def test_workdir_changes_neither_picture_nor_recipe(quick, content, style, tmp_path: Path) -> None:
    expected, found = quick(content, style), quick(content, style, workdir=tmp_path / "new")
    assert torch.equal(found.picture.pixels, expected.picture.pixels)
    assert found.recipe == expected.recipe


def test_workdir_of_a_finished_run_serves_another(quick, content, style, tmp_path: Path) -> None:
    quick(content, style, workdir=str(tmp_path))
    found = quick(content, 255 - style, workdir=str(tmp_path))
    assert torch.equal(found.picture.pixels, quick(content, 255 - style).picture.pixels)


@pytest.mark.parametrize("at", [1, 3])
def test_run_that_was_cancelled_ends_with_the_same_bytes(quick, content, style, tmp_path: Path, at: int) -> None:
    """Whether or not there was time for a checkpoint."""
    expected = quick(content, style)
    token, seen = impasto.CancelToken(), []

    def cancel(progress: impasto.Progress) -> None:
        seen.append(progress)
        if len(seen) == at:
            token.cancel()

    with pytest.raises(impasto.Cancelled):
        quick(content, style, workdir=tmp_path, on_progress=cancel, cancel=token)
    found = quick(content, style, workdir=tmp_path)
    assert torch.equal(found.picture.pixels, expected.picture.pixels)
    assert found.recipe == expected.recipe
    assert len(found.trace) == len(expected.trace)


def test_workdir_that_cannot_be_one_is_refused(quick, content, style, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(impasto.OutputError, match="workdir"):
        quick(content, style, workdir=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
