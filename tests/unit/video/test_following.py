"""What a frame can hold on to: earlier ones of its shot, each for what no later one shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.unit.video.conftest import scenery

from impasto.engines.frames import Held
from impasto.video.flow import Motion
from impasto.video.following import EarlierPass, Followed, Past, follow, revise, steadied
from impasto.video.reading import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT, WIDTH = 64, 96


def frame(index: int, pixels: NDArray[np.uint8]) -> Frame:
    return Frame(index=index, pts=index, pixels=pixels, alpha=None)


def shots() -> list[Frame]:
    """Three frames of one shot, then three of another."""
    first = scenery(0)[:HEIGHT]
    second = 255 - scenery(3)[:HEIGHT] // 2
    parts = [np.ascontiguousarray(shot[:, at * 2 : at * 2 + WIDTH]) for shot in (first, second) for at in range(3)]
    return [frame(index, pixels) for index, pixels in enumerate(parts)]


def test_motions_are_those_since_frames_of_the_same_shot() -> None:
    found = [sorted(each.motions) for each in follow(shots(), [], (1, 2))]
    assert found == [[], [1], [1, 2], [], [1], [1, 2]]


def test_motion_goes_on_from_frames_of_the_run_before() -> None:
    frames = shots()[:3]
    resumed = list(follow(frames[2:], [one.pixels for one in frames[:2]], (1, 2)))
    whole = list(follow(frames, [], (1, 2)))[2:]
    assert sorted(resumed[0].motions) == [1, 2]
    for gap in (1, 2):
        np.testing.assert_array_equal(resumed[0].motions[gap].backward, whole[0].motions[gap].backward)


def test_without_gaps_no_motion_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.video.following.Follower.motion", None)
    assert [each.motions for each in follow(shots(), [], ())] == [{}] * 6


def still(weight: NDArray[np.float32]) -> Motion:
    return Motion(np.zeros((*weight.shape, 2), np.float32), weight)


def past_of(*values: float) -> Past:
    """That remembers frames painted in one grey each, the last one last."""
    past = Past((1, 2))
    everywhere = still(np.ones((HEIGHT, WIDTH), np.float32))
    for index, value in enumerate(values):
        known = Followed(frame(index, shots()[0].pixels), {1: everywhere} if index else {})
        past.keep(known, torch.full((1, 3, HEIGHT, WIDTH), value))
    return past


def test_older_frame_counts_where_the_last_one_shows_nothing() -> None:
    left = np.zeros((HEIGHT, WIDTH), np.float32)
    left[:, : WIDTH // 2] = 1
    near, far = past_of(0.2, 0.8).held(Followed(shots()[2], {1: still(left), 2: still(np.ones_like(left))}))
    assert float(near.pixels.mean()) == pytest.approx(0.8, abs=1e-5)
    assert float(far.pixels.mean()) == pytest.approx(0.2, abs=1e-5)
    assert torch.equal(near.weight[0, 0], torch.from_numpy(left))
    assert torch.equal(far.weight[0, 0], torch.from_numpy(1 - left))


def test_frame_after_counts_where_no_frame_before_shows_the_place() -> None:
    left = np.zeros((HEIGHT, WIDTH), np.float32)
    left[:, : WIDTH // 2] = 1
    later = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    earlier = EarlierPass(later, (still(np.ones_like(left)), later))
    near, after = past_of(0.2, 0.8).held(Followed(shots()[2], {1: still(left)}, earlier))
    assert torch.equal(near.weight[0, 0], torch.from_numpy(left))
    assert torch.equal(after.weight[0, 0], torch.from_numpy(1 - left))
    assert torch.equal(after.pixels, torch.ones(1, 3, HEIGHT, WIDTH))


def test_second_pass_sees_the_frame_after_within_its_shot() -> None:
    painted = [np.full((4, 4, 3), index, np.uint8) for index in range(6)]
    found = list(revise(follow(shots(), [], (1,)), painted))
    earlier = [each.earlier for each in found]
    assert [each and int(each.own[0, 0, 0]) for each in earlier] == [0, 1, 2, 3, 4, 5]
    after = [each.after and int(each.after[1][0, 0, 0]) for each in earlier if each]
    assert after == [1, 2, None, 4, 5, None]
    motion = earlier[0] and earlier[0].after and earlier[0].after[0]
    assert motion
    assert np.median(motion.backward[16:-16, 16:-16, 0]) == pytest.approx(-2, abs=0.3)  # the camera went right


def test_cut_forgets_what_was_painted() -> None:
    past = past_of(0.2, 0.8)
    past.keep(Followed(frame(2, shots()[3].pixels), {}), torch.zeros(1, 3, HEIGHT, WIDTH))
    assert len(past.outputs) == len(past.inputs) == 1


def test_state_is_all_that_is_remembered() -> None:
    past, other = past_of(0.2, 0.8), Past((1, 2))
    other.restore(past.state())
    for mine, its in ((past.inputs, other.inputs), (past.outputs, other.outputs)):
        for one, two in zip(mine, its, strict=True):
            np.testing.assert_array_equal(one, two)


def test_smooth_blends_where_the_frame_before_shows_the_same() -> None:
    weight = torch.zeros(1, 1, 4, 4)
    weight[..., :2] = 1
    painted, before = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    blended = steadied(painted, [Held(before, weight)], 0.75)
    assert torch.equal(blended[..., :2], torch.full((1, 3, 4, 2), 0.25))
    assert torch.equal(blended[..., 2:], painted[..., 2:])
    assert steadied(painted, [], 0.75) is painted


def test_blend_is_a_picture_though_what_was_moved_overshoots() -> None:
    edge = np.zeros((32, 64, 3), np.float32)
    edge[:, 32:] = 1
    motion = Motion(np.full((32, 64, 2), (0.4, 0), np.float32), np.ones((32, 64), np.float32))
    moved, weight = motion.warp(edge)
    assert moved.min() < -0.02  # a cubic map does
    assert moved.max() > 1.02
    painted = torch.from_numpy(edge).permute(2, 0, 1)[None]
    held = Held(torch.from_numpy(moved).permute(2, 0, 1)[None], torch.from_numpy(weight)[None, None])
    blended = steadied(painted, [held], 1.0)
    assert float(blended.min()) >= 0
    assert float(blended.max()) <= 1
