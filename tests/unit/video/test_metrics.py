"""Steadiness of videos that are known to be steady or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tests.unit.video.conftest import scenery

from impasto.errors import InputError
from impasto.images import read
from impasto.video.footage import probe
from impasto.video.metrics import VideoEvaluation, evaluate_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Judge = Callable[[Sequence[NDArray[np.uint8]], Sequence[NDArray[np.uint8]]], VideoEvaluation]

HEIGHT, WIDTH, COUNT = 96, 128, 12


def panned() -> list[NDArray[np.uint8]]:
    """A camera that moves over a scene, with the noise of its sensor."""
    chance = np.random.default_rng(1)
    whole = scenery()
    seen = [whole[40 : 40 + HEIGHT, 2 * at : 2 * at + WIDTH] for at in range(COUNT)]
    return [noisy(one, 2, chance) for one in seen]


def noisy(frame: NDArray[np.uint8], levels: float, chance: np.random.Generator) -> NDArray[np.uint8]:
    return np.clip(frame + chance.normal(0, levels, frame.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def call(output: Sequence[NDArray[np.uint8]], content: Sequence[NDArray[np.uint8]]) -> VideoEvaluation:
        for name, frames in (("output", output), ("content", content)):
            folder = tmp_path / name
            folder.mkdir()
            for index, frame in enumerate(frames):
                Image.fromarray(frame).save(folder / f"{index:03}.png")
        style = tmp_path / "style.png"
        Image.fromarray(scenery(9, 128, 128)).save(style)
        return evaluate_frames(probe(tmp_path / "output"), probe(tmp_path / "content"), [read(style)])

    return call


def test_source_is_as_steady_as_itself_and_has_no_style(judge: Judge) -> None:
    found = judge(panned(), panned())
    assert found.frames == COUNT
    assert found.warping_ratio == pytest.approx(1)
    assert found.long_warping_ratio == pytest.approx(1)
    assert found.style_gain == pytest.approx(0, abs=1e-3)
    assert found.edge_content == pytest.approx(1, abs=0.02)


def test_strokes_that_change_from_frame_to_frame_raise_the_warping_error(judge: Judge) -> None:
    chance = np.random.default_rng(2)
    found = judge([noisy(frame, 20, chance) for frame in panned()], panned())
    assert found.warping_ratio is not None
    assert found.warping_ratio > 10
    # Two independent frames: twice the variance of the noise, in three channels.
    assert found.warping_error == pytest.approx(2 * 3 * (20 / 255) ** 2, rel=0.35)


def test_strokes_that_move_with_the_scene_do_not(judge: Judge) -> None:
    found = judge([255 - frame for frame in panned()], panned())
    assert found.warping_ratio == pytest.approx(1, abs=0.1)


def test_cut_does_not_outweigh_the_frames_of_its_shots(judge: Judge) -> None:
    still = scenery()[:HEIGHT, :WIDTH]
    other = 255 - scenery(3)[:HEIGHT, :WIDTH]
    # A channel's sign that stays over the cut is the only place that is certain there.
    other[:24, :24] = still[:24, :24]
    content = [still] * 6 + [other] * 6
    output = [frame.copy() for frame in content]
    for at, frame in enumerate(output):
        frame[:24, :24] = 0 if at < 6 else 255
    found = judge(output, content)
    assert found.warping_error is not None
    # One pair of eleven is 3 off (three channels), but at 24 x 24 of the places at most.
    assert 0 < found.warping_error < 3 / 11 / 4


def test_flicker_is_that_of_places_at_rest(judge: Judge) -> None:
    scene = scenery()[:HEIGHT, :WIDTH]
    still = [scene] * COUNT
    lit = [np.clip(scene * 0.8 + 8 * (at % 2), 0, 255).astype(np.uint8) for at in range(COUNT)]
    found = judge(lit, still)
    assert found.flicker == pytest.approx(4, abs=0.3)
    assert found.warping_ratio is None  # a still source has no error of its own to divide by


def test_source_at_rest_that_is_painted_alike_does_not_flicker(judge: Judge) -> None:
    scene = scenery()[:HEIGHT, :WIDTH]
    found = judge([255 - scene] * COUNT, [scene] * COUNT)
    assert found.flicker == 0
    assert found.warping_error == pytest.approx(0, abs=1e-6)


def test_another_number_of_frames_is_refused(judge: Judge) -> None:
    with pytest.raises(InputError, match="differ in their number of frames"):
        judge(panned()[:-1], panned())


def test_another_shape_is_refused(judge: Judge) -> None:
    with pytest.raises(InputError, match="another shape"):
        judge([frame[:64] for frame in panned()], panned())


def test_one_frame_has_style_but_no_steadiness(judge: Judge) -> None:
    found = judge(panned()[:1], panned()[:1])
    assert found.warping_error is None
    assert found.warping_ratio is None
    assert found.flicker is None
