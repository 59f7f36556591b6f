"""Frames arrive upright, in their colours and at their times, damaged ones as the frame before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image
from tests.unit.video.conftest import IRREGULAR, number, painted

from impasto.errors import InputError
from impasto.video.footage import probe
from impasto.video.reading import FrameReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from impasto.video.reading import Frame

#: Two pictures in ten refer to no other: what follows a damaged one is whole again soon.
LONG = {"times": range(0, 1600, 40), "options": {"g": "5", "bf": "0", "sc_threshold": "0"}}


def frames(path: Path, *args: Any, **kwargs: Any) -> tuple[list[Frame], FrameReader]:
    with FrameReader(probe(path), *args, **kwargs) as reader:
        return list(reader), reader


def with_noise_in(path: Path, packet: int) -> Path:
    """A copy whose given packet of pictures is noise."""
    with av.open(str(path)) as container:
        packets = [one for one in container.demux(video=0) if one.size]
        position, size = packets[packet].pos, packets[packet].size
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, size - 4, np.uint8)
    data[position + 4 : position + size] = noise.tobytes()
    broken = path.with_stem("broken")
    broken.write_bytes(data)
    return broken


@pytest.mark.parametrize("bf", ["0", "3"])
def test_irregular_times_are_exact_and_frames_in_their_order(clip: Callable[..., Path], bf: str) -> None:
    path = clip(times=IRREGULAR, options={"bf": bf})
    found, reader = frames(path)
    base = probe(path).time_base
    assert [frame.pts * base * 1000 for frame in found] == list(IRREGULAR)
    assert [number(frame.pixels) for frame in found] == list(range(len(IRREGULAR)))
    assert [frame.index for frame in found] == list(range(len(IRREGULAR)))
    assert (reader.damaged, reader.truncated) == (0, False)


@pytest.mark.parametrize(("matrix", "full_range"), [(1, False), (1, True), (5, False), (5, True), (9, False)])
def test_colors_come_back(clip: Callable[..., Path], matrix: int, full_range: bool) -> None:
    path = clip(matrix=matrix, full_range=full_range, options={"crf": "1", "g": "1"})
    found, _ = frames(path)
    inside = np.s_[4:20, 4:28]  # away from the edge, where half as many values of chroma blur
    for index, frame in enumerate(found):
        assert np.abs(frame.pixels[inside].astype(int) - painted(index)[inside]).max() <= 2
        assert np.abs(frame.pixels[-8:, -8:].astype(int) - painted(index)[-8:, -8:]).max() <= 2


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p"])
def test_other_depths_and_samplings_come_back(clip: Callable[..., Path], pixels: str) -> None:
    found, _ = frames(clip(pixels=pixels, options={"crf": "1"}))
    assert np.abs(found[3].pixels[4:20, 4:28].astype(int) - (200, 30, 30)).max() <= 2


def test_rgb_is_not_stretched(clip: Callable[..., Path]) -> None:
    found, _ = frames(clip("clip.mkv", codec="ffv1", pixels="bgr0"))
    assert np.array_equal(found[2].pixels, painted(2))


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p", {"crf": "4", "b:v": "0"}),
        ("b.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0", "b:v": "2M"}),
        ("c.mov", "prores_ks", "yuva444p10le", {"profile": "4"}),
    ],
)
def test_transparency_is_read(
    clip: Callable[..., Path], name: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    found, _ = frames(clip(name, codec=codec, pixels=pixels, options=options, alpha=128))
    assert len(found) == 10
    for frame in found:
        assert frame.alpha is not None
        assert np.abs(frame.alpha.astype(int) - 128).max() <= 3


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, -1), (180, 2)])
def test_rotation_is_applied(clip: Callable[..., Path], degrees: int, turns: int) -> None:
    path = clip(options={"crf": "1"})
    data = bytearray(path.read_bytes())
    matrix = {  # of the track, big-endian 16.16 numbers: a b u, c d v, x y w
        90: (0, -1, 0, 1, 0, 0),
        -90: (0, 1, 0, -1, 0, 0),
        180: (-1, 0, 0, 0, -1, 0),
    }[degrees]
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 24] = b"".join((value * 65536).to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
    expected = np.rot90(painted(2), turns)
    footage = probe(path)
    found, _ = frames(path)
    assert (footage.height, footage.width) == expected.shape[:2]
    assert found[2].pixels.shape == expected.shape
    assert np.abs(found[2].pixels.astype(int) - expected).mean() < 4


def test_a_stream_that_changes_its_size_keeps_the_first_one(clip: Callable[..., Path], tmp_path: Path) -> None:
    first, second = clip("a.h264"), clip("b.h264", size=(128, 96))
    (tmp_path / "c.h264").write_bytes(first.read_bytes() + second.read_bytes())
    found, _ = frames(tmp_path / "c.h264")
    assert {frame.pixels.shape for frame in found} == {(48, 64, 3)}
    assert [number(frame.pixels) for frame in found] == [*range(10), *range(10)]


def test_odd_sides_are_kept(clip: Callable[..., Path]) -> None:
    found, _ = frames(clip("clip.mkv", codec="ffv1", pixels="yuv420p", size=(63, 47)))
    assert found[0].pixels.shape == (47, 63, 3)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
@pytest.mark.parametrize("bf", ["0", "3"])
def test_a_part_is_the_same_frames_as_in_the_whole(clip: Callable[..., Path], name: str, bf: str) -> None:
    path = clip(name, times=range(0, 1600, 40), options={"g": "10", "bf": bf})
    whole, _ = frames(path)
    part, reader = frames(path, 0.7, 1.2)
    expected = [frame for frame in whole if 0.7 <= frame.pts * probe(path).time_base < 1.2]
    assert [frame.pts for frame in part] == [frame.pts for frame in expected]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(part, expected, strict=True))
    assert reader.damaged == 0


def test_going_on_behind_a_frame_gives_the_rest(clip: Callable[..., Path]) -> None:
    path = clip(times=range(0, 1600, 40), options={"g": "10", "bf": "3"})
    whole, _ = frames(path)
    rest, _ = frames(path, after_pts=whole[24].pts)
    assert [frame.pts for frame in rest] == [frame.pts for frame in whole[25:]]
    assert np.array_equal(rest[0].pixels, whole[25].pixels)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize("packet", [10, 39])
def test_a_damaged_frame_is_the_one_before_at_its_own_time(clip: Callable[..., Path], name: str, packet: int) -> None:
    path = clip(name, **LONG)
    whole, _ = frames(path)
    found, reader = frames(with_noise_in(path, packet))
    assert [frame.pts for frame in found] == [frame.pts for frame in whole]
    assert found[packet].repeated
    assert np.array_equal(found[packet].pixels, found[packet - 1].pixels)
    assert reader.damaged == sum(frame.repeated for frame in found)
    assert reader.damaged < 6  # up to the next frame that refers to no other


def test_a_damaged_frame_before_the_part_is_not_counted(clip: Callable[..., Path]) -> None:
    broken = with_noise_in(clip(**LONG), 10)
    found, reader = frames(broken, 0.8)
    assert reader.damaged == 0
    assert not found[0].repeated


def test_strict_names_the_time_of_a_damaged_frame(clip: Callable[..., Path]) -> None:
    broken = with_noise_in(clip(**LONG), 10)
    with pytest.raises(InputError, match=r"broken\.mp4 at 0\.400 s is damaged"):
        frames(broken, strict=True)


@pytest.mark.parametrize(("name", "start"), [("clip.mkv", 0), ("clip.mp4", 0), ("clip.mp4", 0.1)])
def test_a_truncated_file_gives_what_is_there_and_says_so(
    clip: Callable[..., Path], tmp_path: Path, name: str, start: float
) -> None:
    path = clip(name, **LONG)
    if path.suffix == ".mp4":  # the index first, as in files for the web
        with (
            av.open(str(path)) as source,
            av.open(str(tmp_path / "f.mp4"), "w", options={"movflags": "faststart"}) as to,
        ):
            stream = to.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    to.mux(packet)
        path = tmp_path / "f.mp4"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    found, reader = frames(path, start)
    assert reader.truncated
    assert 5 < len(found) < 40
    assert found[0].pts * probe(path).time_base >= start
    assert all(number(frame.pixels) == int(frame.pts * probe(path).time_base * 25) % 11 for frame in found[:-2])


def test_an_animation_is_read_with_its_times(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    images = [Image.fromarray(painted(index)) for index in range(4)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=[40, 100, 30, 50])
    found, reader = frames(path)
    assert [frame.pts for frame in found] == [0, 40, 140, 170]
    assert [number(frame.pixels) for frame in found] == [0, 1, 2, 3]
    assert probe(path).duration_s == pytest.approx(0.22)
    assert reader.damaged == 0


def test_pictures_are_read_one_at_a_time_and_a_damaged_one_is_repeated(tmp_path: Path) -> None:
    for index in range(4):
        Image.fromarray(painted(index)).save(tmp_path / f"{index}.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    found, reader = frames(tmp_path)
    assert [frame.pts for frame in found] == [0, 1, 2, 3]
    assert [number(frame.pixels) for frame in found] == [0, 1, 1, 3]
    assert reader.damaged == 1


def test_pictures_of_two_sizes_are_refused(tmp_path: Path) -> None:
    Image.fromarray(painted(0)).save(tmp_path / "0.png")
    Image.fromarray(painted(1, (32, 24))).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"1\.png is 32x24 px"):
        frames(tmp_path)
