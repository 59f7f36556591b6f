"""Frames of a video: held to the ones before where these show the same, free to follow what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.unit.optimize.conftest import QUICK

from impasto.engines.base import Region
from impasto.engines.frames import Held
from impasto.engines.optimize import OptimizeEngine
from impasto.engines.optimize.objective import Objective
from impasto.errors import SettingsError
from impasto.images import Picture, keep_luminance, read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from impasto.engines.optimize.frames import OptimizeFrames

    Frames = Callable[..., OptimizeFrames]

HEIGHT, WIDTH = 48, 64
LEFT = torch.zeros(1, 1, HEIGHT, WIDTH)
LEFT[..., : WIDTH // 2] = 1
EVERYWHERE, NOWHERE = torch.ones_like(LEFT), torch.zeros_like(LEFT)
RED, BLUE = (np.full((56, 72, 3), color, np.uint8) for color in ([200, 40, 30], [30, 60, 190]))


@pytest.fixture
def frame(content: NDArray[np.uint8]) -> torch.Tensor:
    """The first frame."""
    return read(content).pixels[None]


@pytest.fixture
def frames(content: NDArray[np.uint8], style: NDArray[np.uint8]) -> Frames:
    """What paints a video that begins with that frame, with quick settings, which a test may change."""

    def call(styles: Sequence[NDArray[np.uint8]] = (style,), regions: Sequence[Region] = (), **more: Any) -> Any:
        pictures = [read(one) for one in styles]
        return OptimizeEngine().frames(read(content), pictures, {**QUICK, **more}, regions=regions)

    return call


def apart(one: torch.Tensor, other: torch.Tensor, where: torch.Tensor = EVERYWHERE) -> float:
    """Mean absolute difference there, in steps of 8 bits."""
    return 255 * float(((one - other).abs() * where).sum() / (3 * where.sum()))


def noisy(frame: torch.Tensor, seed: int) -> torch.Tensor:
    """The same scene, as a camera sees it at another time."""
    grain = torch.randn(frame.shape, generator=torch.Generator().manual_seed(seed))
    return (frame + 0.04 * grain).clamp(0, 1)


def test_frame_with_nothing_to_hold_on_to_is_the_picture_that_stylize_paints(frames, frame, content, style) -> None:
    picture = OptimizeEngine().stylize(read(content), [read(style)], QUICK).picture
    painter = frames()
    painter.paint(1 - frame)  # nothing is remembered of it
    painter.reset()
    assert torch.equal(painter.paint(frame)[0], picture.pixels)
    assert (painter.height, painter.width) == (picture.height, picture.width)
    assert [(scale.width, scale.height, scale.steps) for scale in painter.recipe.scales] == [(32, 24, 4), (64, 48, 4)]


def test_scene_that_stands_still_flickers_less_when_held(frames, frame) -> None:
    painter = frames(style_loss="w2,nn", steps=12)
    first = painter.paint(frame)
    alone = painter.paint(noisy(frame, 1))
    held = painter.paint(noisy(frame, 1), held=[Held(first, EVERYWHERE)])
    assert apart(held, first) < 0.75 * apart(alone, first)


def test_frame_agrees_with_each_earlier_one_where_that_counts(frames, frame) -> None:
    near, far = torch.full_like(frame, 0.2), torch.full_like(frame, 0.8)
    painted = frames(temporal_weight=1e4, steps=12).paint(frame, held=[Held(near, LEFT), Held(far, 1 - LEFT)])
    assert apart(painted, near, LEFT) < 10
    assert apart(painted, far, 1 - LEFT) < 10


def test_place_where_nothing_is_held_is_painted_anew(frames, frame) -> None:
    black = Held(torch.zeros_like(frame), LEFT)
    white = Held(torch.ones_like(frame), LEFT)
    painter = frames(temporal_weight=100)
    one, other = (painter.paint(frame, held=[held]) for held in (black, white))
    assert apart(one, other, LEFT) > 60
    assert apart(one[..., -16:], other[..., -16:], EVERYWHERE[..., -16:]) < 20  # they meet at the edge only
    nothing = [painter.paint(frame, held=[held._replace(weight=NOWHERE)]) for held in (black, white)]
    assert torch.equal(*nothing)


def test_temporal_weight_says_how_much_is_held(frames, frame) -> None:
    held = [Held(frame.flip(3), EVERYWHERE)]
    painted = [frames(temporal_weight=weight, steps=8).paint(frame, held=held) for weight in (0, 20, 1000)]
    distances = [apart(one, held[0].pixels) for one in painted]
    assert distances[0] > 1.1 * distances[1] > 2 * distances[2]


def test_motion_that_is_not_seen_leaves_no_trail(frames, frame) -> None:
    """A face that turns while the flow says that it stands still: errors of the motion must not stay."""
    painter = frames()
    turned = frame.flip(3)
    start, goal = painter.paint(frame), painter.paint(turned)
    painted = start
    for _ in range(4):
        painted = painter.paint(turned, held=[Held(painted, EVERYWHERE)])
    assert apart(painted, goal) < apart(painted, start)


def test_frame_that_follows_takes_less_work(frames, frame, monkeypatch) -> None:
    sizes: list[int] = []
    evaluate = Objective.__call__

    def counted(self: Objective, pixels: torch.Tensor) -> tuple[float, torch.Tensor]:
        sizes.append(pixels.shape[-1])
        return evaluate(self, pixels)

    monkeypatch.setattr(Objective, "__call__", counted)
    painter = frames(steps=8)
    first = painter.paint(frame)
    alone, sizes[:] = sum(sizes), []
    painter.paint(frame, held=[Held(first, EVERYWHERE)])
    assert set(sizes) == {64}
    assert sum(sizes) < 0.6 * alone


def test_painter_that_goes_on_needs_only_what_it_is_given(frames, frame) -> None:
    painter, other = frames(), frames()
    held = [Held(painter.paint(frame), EVERYWHERE)]
    other.restore(painter.state())
    assert torch.equal(painter.paint(noisy(frame, 1), held=held), other.paint(noisy(frame, 1), held=held))


def test_shares_change_the_styles_from_frame_to_frame(frames, frame) -> None:
    painter = frames([RED, BLUE])
    painted = [painter.paint(frame, shares=shares) for shares in ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0))]
    redness = [float(one[:, 0].mean() - one[:, 2].mean()) for one in painted]
    assert redness[0] > redness[1] + 0.1 > redness[2] + 0.2
    assert torch.equal(painted[0], frames([RED]).paint(frame))
    assert torch.equal(painted[1], painter.paint(frame))  # those of the settings


def test_masks_say_where_a_region_is_now(frames, frame, content) -> None:
    painter = frames([BLUE], [Region(read(content), read(RED))])
    for left in (LEFT, 1 - LEFT):
        painted = painter.paint(frame, masks=[left])
        inside, outside = (float(((painted[:, :1] - painted[:, 2:]) * where).mean()) for where in (left, 1 - left))
        assert inside > 0.1
        assert outside < -0.1


@pytest.mark.parametrize("held", [False, True])
def test_what_no_mask_covers_stays_the_photo_exactly(frames, frame, content, held: bool) -> None:
    painter = frames([], [Region(read(content), read(RED))])
    earlier = [Held(torch.full_like(frame, 0.5), EVERYWHERE)] if held else []
    painted = painter.paint(frame, masks=[LEFT], held=earlier)
    assert torch.equal(painted[..., WIDTH // 2 :], frame[..., WIDTH // 2 :])
    assert apart(painted, frame, LEFT) > 20
    assert torch.equal(painter.paint(frame, masks=[NOWHERE], held=earlier), frame)  # it has left the picture


@pytest.mark.parametrize(
    "options",
    [{"color": "luminance"}, {"color": "linear"}, {"color": "histogram"}, {"color": "linear", "color_when": "before"}],
    ids=str,
)
def test_frames_that_are_held_keep_the_colours_that_were_asked_for(frames, frame, options) -> None:
    """What is finished has other colours than what is painted: held to these, a run would be drawn off its own."""
    painter = frames(**options)
    first = painted = painter.paint(frame)
    for _ in range(3):
        painted = painter.paint(frame, held=[Held(painted, EVERYWHERE)])
    assert apart(painted.mean((2, 3), True), first.mean((2, 3), True), torch.ones(1, 1, 1, 1)) < 2.5
    spreads = [float(one.std()) for one in (first, painted)]
    assert spreads[1] == pytest.approx(spreads[0], rel=0.1)
    if options["color"] == "luminance":
        assert apart(painted, keep_luminance(painted, frame)) < 2  # its chroma is the photo's already


def test_strength_0_is_the_photo_whatever_is_held(frames, frame) -> None:
    assert torch.equal(frames(strength=0).paint(frame, held=[Held(1 - frame, EVERYWHERE)]), frame)


def test_frame_of_any_size_becomes_the_size_of_the_first(frames, frame) -> None:
    painted = frames().paint(frame[..., 1:, 3:], held=[Held(frame, EVERYWHERE)])
    assert painted.shape == frame.shape
    assert torch.equal((painted * 255).round() / 255, painted)


def test_caller_may_be_inside_inference_mode(frames, frame) -> None:
    outside = frames().paint(noisy(frame, 1), held=[Held(frame, EVERYWHERE)])
    with torch.inference_mode():
        inside = frames().paint(noisy(frame, 1), held=[Held(frame.clone(), EVERYWHERE.clone())])
    assert torch.equal(inside, outside)


def test_video_may_begin_black(frames, style) -> None:
    """The mask of a region is looked at with every frame; what stands for it before may be empty."""
    black = Picture(torch.zeros(3, HEIGHT, WIDTH), sha256="0", name="film")
    painter = OptimizeEngine().frames(black, [read(style)], QUICK, regions=[Region(black, read(RED))])
    assert painter.paint(black.pixels[None], masks=[LEFT]).shape == (1, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize("init", ["fast", "start.png"])
def test_start_of_a_single_picture_is_refused(frames, init: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"init {init} is the start of a single picture; give content, noise or style"
    ):
        frames(init=init)


def test_no_style_is_refused_before_the_first_frame(frames) -> None:
    with pytest.raises(SettingsError, match="no style was given"):
        frames([])
