"""What is known of a video before its first frame is painted, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from PIL import Image
from tests.unit.video.conftest import IRREGULAR, RATE, SIZE, painted

from impasto.errors import InputError, UnreadableImageError
from impasto.video.footage import pictures_in, probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_size_rate_frames_and_length_are_those_of_the_clip(clip: Callable[..., Path]) -> None:
    footage = probe(clip(sound="aac"))
    assert (footage.width, footage.height) == SIZE
    assert footage.rate == RATE
    assert footage.frames == 10
    assert footage.duration_s == pytest.approx(0.4)
    assert footage.audio == 1
    assert not footage.alpha


def test_rate_is_measured_where_frames_come_at_irregular_times(clip: Callable[..., Path]) -> None:
    footage = probe(clip("clip.mkv", times=IRREGULAR))
    assert footage.frames == len(IRREGULAR)
    assert float(footage.rate) == pytest.approx((len(IRREGULAR) - 1) / 0.9, rel=0.01)


@pytest.mark.parametrize(("matrix", "full_range"), [(1, False), (1, True), (5, False), (9, False)])
def test_matrix_and_range_are_those_of_the_clip(clip: Callable[..., Path], matrix: int, full_range: bool) -> None:
    color = probe(clip(matrix=matrix, full_range=full_range)).color
    assert (color.matrix, color.full_range) == (matrix, full_range)


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p", {}),
        ("b.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0"}),
        ("c.mov", "prores_ks", "yuva444p10le", {"profile": "4"}),
    ],
)
def test_transparency_is_seen(
    clip: Callable[..., Path], name: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    assert probe(clip(name, codec=codec, pixels=pixels, options=options, alpha=128)).alpha


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_with_the_remedy(clip: Callable[..., Path], transfer: int, name: str) -> None:
    with pytest.raises(InputError, match=rf"HDR \({name}\).*tone mapping"):
        probe(clip(tags={"color_trc": transfer}))


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UnreadableImageError, match="no moving pictures"):
        probe(path)


@pytest.mark.parametrize("content", [b"", b"not a video" * 100])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"cannot read 'broken\.mp4'"):
        probe(path)


def test_a_video_without_its_index_is_refused(clip: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "half.mp4"
    data = clip().read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableImageError, match="its index is missing"):
        probe(path)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="no such file"):
        probe(tmp_path / "missing.mp4")


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="holds no picture"):
        probe(tmp_path)


def test_frames_that_are_too_large_are_refused(tmp_path: Path) -> None:
    Image.new("1", (16385, 1)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"16385x1 px.*16384 px"):
        probe(tmp_path)


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("frame10.png", "frame9.png", "frame1.png"):
        Image.fromarray(painted(0)).save(tmp_path / name)
    assert [path.name for path in pictures_in(tmp_path)] == ["frame1.png", "frame9.png", "frame10.png"]
    footage = probe(tmp_path, rate=12.5)
    assert (footage.frames, footage.rate, footage.time_base) == (3, Fraction(25, 2), Fraction(2, 25))


def test_pictures_have_transparency_only_if_a_pixel_is_not_opaque(tmp_path: Path) -> None:
    Image.fromarray(painted(0, alpha=255)).save(tmp_path / "1.png")
    assert not probe(tmp_path).alpha
    Image.fromarray(painted(1, alpha=254)).save(tmp_path / "2.png")
    assert probe(tmp_path).alpha


def test_hash_changes_with_a_byte_and_not_with_the_place(clip: Callable[..., Path], tmp_path: Path) -> None:
    first = clip()
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(first.read_bytes())
    assert probe(copy).sha256 == probe(first).sha256
    copy.write_bytes(first.read_bytes() + b"\0")
    assert probe(copy).sha256 != probe(first).sha256
