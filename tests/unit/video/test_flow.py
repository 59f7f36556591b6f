"""Motion of scenes whose motion is known: where everything was, and where that must not be relied on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.unit.video.conftest import scenery

from impasto.video.cuts import is_cut, likeness
from impasto.video.flow import Follower

HEIGHT, WIDTH = 160, 240
FAR = slice(24, -24)


def pan(right: int, down: int = 0) -> np.ndarray:
    """What a camera sees that has moved so far over the scene."""
    return np.ascontiguousarray(scenery()[40 + down : 40 + down + HEIGHT, 40 + right : 40 + right + WIDTH])


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (0, -5), (7, 4)])
def test_flow_of_a_pan_is_within_half_a_pixel(right: int, down: int) -> None:
    found = Follower().motion(pan(0), pan(right, down))
    error = np.abs(found.backward[FAR, FAR] - (right, down))
    assert np.percentile(error, 95) < 0.5
    assert found.weight[FAR, FAR].mean() > 0.9


def test_warp_brings_an_earlier_picture_to_where_its_things_are_now() -> None:
    earlier, now = pan(0), pan(6, 3)
    moved, weight = Follower().motion(earlier, now).warp(earlier.astype(np.float32))
    sure = weight > 0.9
    assert sure.mean() > 0.7
    assert np.abs(moved - now)[sure].mean() < 0.25 * np.abs(earlier.astype(np.float32) - now)[sure].mean()


def test_warp_serves_pictures_larger_than_the_flow() -> None:
    """Painted frames are larger than the picture at which flow is found."""
    earlier, now = (cv2.resize(pan(right), (WIDTH * 3, HEIGHT * 3)) for right in (0, 5))
    motion = Follower().motion(earlier, now)
    assert max(motion.backward.shape[:2]) == 320
    moved, weight = motion.warp(earlier.astype(np.float32))
    assert moved.shape == now.shape
    sure = weight > 0.9
    assert np.abs(moved - now)[sure].mean() < 0.25 * np.abs(earlier.astype(np.float32) - now)[sure].mean()


def test_what_has_just_come_into_view_is_not_relied_on() -> None:
    found = Follower().motion(pan(0), pan(20))
    assert found.weight[:, -14:].mean() < 0.1  # it was right of the frame
    assert found.weight[FAR, 40:-40].mean() > 0.9


def test_what_a_passing_thing_uncovers_is_not_relied_on() -> None:
    square = scenery(1)[:48, :48]
    frames = [pan(0), pan(0)]
    for frame, left in zip(frames, (60, 72), strict=True):
        frame[50:98, left : left + 48] = square
    found = Follower().motion(*frames)
    assert found.weight[54:94, 62:70].mean() < 0.2  # behind it a moment ago
    assert found.weight[:, 170:].mean() > 0.95  # where nothing happened
    assert found.weight[58:90, 80:112].mean() > 0.7  # the thing itself


def test_same_place_in_another_light_is_not_held_on_to() -> None:
    dark = (pan(0) * 0.6).astype(np.uint8)
    assert Follower().motion(pan(0), dark).weight.mean() < 0.1


@pytest.mark.parametrize("size", [(2, 2), (1, 400), (33, 17)])
def test_frames_of_any_size_have_a_motion(size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 90, np.uint8)
    moved, weight = Follower().motion(frame, frame).warp(frame.astype(np.float32))
    assert moved.shape == frame.shape
    assert np.abs(moved - 90).max() < 1
    assert weight.shape == size


def test_another_scene_is_a_cut() -> None:
    other = 255 - scenery(5)[:HEIGHT, :WIDTH] // 2
    assert is_cut(pan(0), other, Follower().motion(pan(0), other))


@pytest.mark.parametrize("right", [0, 8, 30])
def test_pan_is_no_cut(right: int) -> None:
    assert not is_cut(pan(0), pan(right), Follower().motion(pan(0), pan(right)))


def test_quick_pan_over_new_things_in_the_same_light_is_no_cut() -> None:
    scene = np.tile(scenery(0, 240, 120), (1, 2, 1))  # the same colours, in other places
    here, away = (np.ascontiguousarray(one[40 : 40 + HEIGHT]) for one in (scene, scene[::-1, ::-1]))
    motion = Follower().motion(here, away)
    assert motion.weight.mean() < 0.1  # by motion alone it would be one
    assert not is_cut(here, away, motion)


def test_likeness_is_the_share_of_colours_in_common() -> None:
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    half = black.copy()
    half[:4] = 255
    assert [likeness(black, other) for other in (black, half, white)] == pytest.approx([1, 0.5, 0])
