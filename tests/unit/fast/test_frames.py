"""Frames of a video: statistics that change slowly, codes that follow the time, states that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.unit.fast.conftest import picture

from impasto.engines.base import Region
from impasto.engines.fast import FastEngine
from impasto.engines.fast.painting import Coded, TorchPainter
from impasto.engines.frames import Held
from impasto.errors import SettingsError
from impasto.images import read

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.engines.fast.frames import FastFrames
    from impasto.images import Picture

HEIGHT, WIDTH = 48, 64
#: Something to hold on to; what it is does not matter to this engine.
HELD = [Held(torch.zeros(1, 3, HEIGHT, WIDTH), torch.ones(1, 1, HEIGHT, WIDTH))]


def given(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Picture:
    return read(picture(height, width, seed)[0])


def options(model_file: Path, **more: object) -> dict[str, object]:
    return {"model": str(model_file), "device": "cpu", "dtype": "float32", **more}


def frames(model_file: Path, *styles: int, regions: tuple[Region, ...] = (), **more: object) -> FastFrames:
    pictures = [given(seed, 64, 64) for seed in styles]
    return FastEngine().frames(given(0), pictures, options(model_file, **more), regions=regions)


def scene(seconds: float, height: int = HEIGHT) -> torch.Tensor:
    """A picture in which a bright square comes in at the bottom, over what stands still."""
    pixels = picture(height, WIDTH, 0).clone()
    pixels[..., -24:, : int(8 + 4 * seconds)] = 1.0
    return pixels


def test_folded_network_paints_what_the_network_paints_with_these_statistics(painter: TorchPainter) -> None:
    code = painter.code(picture(64, 64, 3))
    first, second = picture(37, 50, 1), picture(37, 50, 2)
    statistics = painter.statistics(first, [Coded(code, None)])
    wanted = painter.paint(second, [Coded(code, None)], statistics)
    found = painter.folded(code, statistics)(second)
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=0)
    assert (found - painter.paint(second, [Coded(code, None)])).abs().max() > 0.02


def test_frame_with_nothing_to_hold_on_to_is_painted_as_a_picture(model_file: Path) -> None:
    found = frames(model_file, 5).paint(picture(HEIGHT, WIDTH, 0))
    wanted = FastEngine().stylize(given(0), [given(5, 64, 64)], options(model_file)).picture.pixels
    assert (found[0] - wanted).abs().max() <= 0.5 / 255 + 1e-6


def test_what_stands_still_keeps_its_look_while_something_moves(model_file: Path) -> None:
    height = 160  # the network does not see the square from the upper rows
    painters = [FastEngine().frames(given(0, height), [given(5, 64, 64)], options(model_file)) for _ in range(2)]

    def changes(painted: list[torch.Tensor]) -> float:
        rows = [one[..., :32, :] for one in painted]
        return max(float((a - b).abs().mean()) for a, b in zip(rows, rows[1:], strict=False))

    held = [painters[0].paint(scene(second, height), held=HELD if second else ()) for second in range(9)]
    free = [painters[1].paint(scene(second, height)) for second in range(9)]
    assert changes(free) > 3 * changes(held)


def test_statistics_follow_a_scene_that_changes(model_file: Path) -> None:
    painter = frames(model_file, 5)
    other = picture(HEIGHT, WIDTH, 9)
    wanted = frames(model_file, 5).paint(other)
    painter.paint(picture(HEIGHT, WIDTH, 0))
    painter.paint(picture(HEIGHT, WIDTH, 0), held=HELD)
    away = [float((painter.paint(other, held=HELD) - wanted).abs().mean()) for _ in range(60)]
    assert away[-1] < 0.1 * away[0]


def test_painter_goes_on_from_its_state(model_file: Path) -> None:
    first = frames(model_file, 5, strength=0.6)
    first.paint(scene(0))
    for second in range(1, 15):
        first.paint(scene(second % 8), held=HELD)
    state = first.state()
    wanted = [first.paint(scene(second), held=HELD) for second in range(8)]
    second = frames(model_file, 5, strength=0.6)
    second.restore(state)
    assert all(torch.equal(second.paint(scene(at), held=HELD), wanted[at]) for at in range(8))


def test_shares_say_how_much_each_style_counts(model_file: Path) -> None:
    both = frames(model_file, 5, 6)
    photo = picture(HEIGHT, WIDTH, 0)
    only_first, only_second = (frames(model_file, seed).paint(photo) for seed in (5, 6))
    assert torch.allclose(both.paint(photo, shares=(1, 0)), only_first, atol=1e-5)
    assert torch.allclose(both.paint(photo, shares=(0, 2)), only_second, atol=1e-5)
    between = both.paint(photo, shares=(1, 1))
    assert min((between - only_first).abs().mean(), (between - only_second).abs().mean()) > 0.005


def test_masks_say_where_each_region_is(model_file: Path) -> None:
    region = Region(read(np.full((HEIGHT, WIDTH), 255, np.uint8)), given(6, 64, 64))
    painter = frames(model_file, 5, regions=(region,))
    photo = picture(HEIGHT, WIDTH, 0)
    nowhere, everywhere = torch.zeros(1, 1, HEIGHT, WIDTH), torch.ones(1, 1, HEIGHT, WIDTH)
    half = everywhere.clone()
    half[..., WIDTH // 2 :] = 0
    only_style, only_region = frames(model_file, 5).paint(photo), frames(model_file, 6).paint(photo)
    assert torch.allclose(painter.paint(photo, masks=[nowhere]), only_style, atol=1e-4)
    assert torch.allclose(painter.paint(photo, masks=[everywhere]), only_region, atol=1e-4)
    mixed = painter.paint(photo, masks=[half])
    assert (mixed - only_region)[..., :8].abs().mean() < (mixed - only_style)[..., :8].abs().mean()
    assert (mixed - only_style)[..., -8:].abs().mean() < (mixed - only_region)[..., -8:].abs().mean()


def test_what_no_region_covers_stays_the_photo_without_a_style(model_file: Path) -> None:
    region = Region(read(np.full((HEIGHT, WIDTH), 255, np.uint8)), given(6, 64, 64))
    painter = frames(model_file, regions=(region,))
    photo, half = picture(HEIGHT, WIDTH, 0), torch.ones(1, 1, HEIGHT, WIDTH)
    half[..., WIDTH // 2 :] = 0
    painted = painter.paint(photo, masks=[half])
    assert torch.equal(painted[..., WIDTH // 2 :], photo[..., WIDTH // 2 :])
    assert (painted - photo)[..., : WIDTH // 2].abs().mean() > 0.01


def test_tiles_of_a_frame_have_no_seams(model_file: Path) -> None:
    whole, tiles = frames(model_file, 5), frames(model_file, 5, memory="tiles", tile_size=32)
    for painter in (whole, tiles):
        painter.paint(scene(0))
    found, wanted = (painter.paint(scene(1), held=HELD) for painter in (tiles, whole))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_strength_of_nothing_is_the_video_itself(model_file: Path) -> None:
    assert torch.equal(frames(model_file, 5, strength=0).paint(scene(2)), scene(2))


def test_colours_of_the_video_are_kept_in_every_frame(model_file: Path) -> None:
    painter = frames(model_file, 5, color="linear")
    for seed in (0, 7):
        frame = picture(HEIGHT, WIDTH, seed)
        means = painter.paint(frame).mean((0, 2, 3))
        assert (means - frame.mean((0, 2, 3))).abs().max() < 0.03


def test_onnx_is_refused(model_file: Path) -> None:
    with pytest.raises(SettingsError, match="runtime=onnx does not paint videos"):
        frames(model_file, 5, runtime="onnx")
