"""Segments and what is joined from them: times, sound, transparency and colours are those of the source."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image
from tests.unit.video.conftest import IRREGULAR, STEP, number, painted

from impasto.errors import OutputError, SettingsError
from impasto.video.footage import probe
from impasto.video.joining import join
from impasto.video.reading import FrameReader
from impasto.video.writing import SegmentWriter, choose_encoding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from impasto.video.reading import Frame

VP9 = {"codec": "libvpx-vp9", "pixels": "yuva420p", "options": {"crf": "4", "b:v": "0"}, "alpha": 128}


def read(path: Path) -> list[Frame]:
    with FrameReader(probe(path)) as reader:
        return list(reader)


def milliseconds(path: Path) -> list[int]:
    base = probe(path).time_base
    return [round(frame.pts * base * 1000) for frame in read(path)]


def copied(
    source: Path, output: Path, start: float = 0.0, end: float | None = None, *, codec: str = "auto", each: int = 3
) -> tuple[list[Path], list[str]]:
    """Write the frames of a clip to another file, in segments of a few frames; gives these and the notes."""
    footage = probe(source)
    encoding = choose_encoding(output, footage, footage.width, footage.height, codec=codec)
    segments: list[Path] = []
    with FrameReader(footage, start, end) as reader:
        frames = list(reader)
    for at in range(0, len(frames), each):
        segments.append(output.with_name(f"{output.name}-{at}{encoding.segment_suffix}"))
        with SegmentWriter(segments[-1], encoding) as writer:
            for frame in frames[at : at + each]:
                writer.write(frame.pts, frame.pixels, frame.alpha)
    return segments, join(output, segments, footage, encoding, complete=end is None)


def starts(path: Path, kind: str) -> list[Fraction]:
    """When the packets of the first track of a kind begin, counted from the first frame, in seconds."""
    with av.open(str(path)) as container:
        streams = (container.streams.video[0], *container.streams.get({kind: 0}))
        times: dict[str, list[Fraction]] = {"video": [], kind.rstrip("s"): []}
        for packet in container.demux(streams):
            if packet.size and packet.pts is not None and packet.time_base is not None:
                times[packet.stream.type].append(packet.pts * packet.time_base)
    return [time - min(times["video"]) for time in times[kind.rstrip("s")]]


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("o.mp4", "auto"),
        ("o.m4v", "hevc"),
        ("o.mp4", "av1"),
        ("o.mp4", "vp9"),
        ("o.mov", "auto"),
        ("o.mov", "prores"),
        ("o.mkv", "auto"),
        ("o.mkv", "ffv1"),
        ("o.mkv", "hevc"),
        ("o.webm", "auto"),
        ("o.webm", "av1"),
        ("o.webp", "auto"),
    ],
)
def test_frames_come_back_in_their_order_at_their_times(
    clip: Callable[..., Path], tmp_path: Path, name: str, codec: str
) -> None:
    copied(clip("clip.mkv", times=IRREGULAR), tmp_path / name, codec=codec)
    assert milliseconds(tmp_path / name) == list(IRREGULAR)
    assert [number(frame.pixels) for frame in read(tmp_path / name)] == list(range(len(IRREGULAR)))


@pytest.mark.parametrize(("matrix", "full_range"), [(1, False), (1, True), (5, False), (9, False)])
@pytest.mark.parametrize("name", ["o.mp4", "o.webm"])
def test_colors_and_their_tags_are_kept(
    clip: Callable[..., Path], tmp_path: Path, name: str, matrix: int, full_range: bool
) -> None:
    source = clip(matrix=matrix, full_range=full_range, options={"crf": "1"})
    copied(source, tmp_path / name)
    assert probe(tmp_path / name).color == probe(source).color
    inside = np.s_[2:14, 2:28]  # within blocks of one colour
    for before, after in zip(read(source), read(tmp_path / name), strict=True):
        assert np.abs(before.pixels[inside].astype(int) - after.pixels[inside]).max() <= 4


@pytest.mark.parametrize(("source", "output"), [("s.mp4", "o.mp4"), ("s.ts", "o.mp4"), ("s.mkv", "o.mkv")])
def test_sound_is_copied_packet_by_packet_and_stays_in_sync(
    clip: Callable[..., Path], tmp_path: Path, source: str, output: str
) -> None:
    path = clip(source, sound="aac", options={"bf": "2"})
    assert copied(path, tmp_path / output)[1] == []
    if not source.endswith(".ts"):  # whose packets begin with a header that MP4 has elsewhere
        assert packets(tmp_path / output, "audio") == packets(path, "audio")
    before, after = starts(path, "audio"), starts(tmp_path / output, "audio")
    assert len(before) == len(after) > 10
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= Fraction(2, 1000)


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv"])
def test_sound_of_a_part_is_that_of_its_time(clip: Callable[..., Path], tmp_path: Path, name: str) -> None:
    path = clip(sound="aac", times=range(0, 2000, 40), sound_s=2.0)
    copied(path, tmp_path / name, 0.5, 1.0)
    whole = dict(zip(packets(path, "audio"), starts(path, "audio"), strict=True))
    part = packets(tmp_path / name, "audio")
    begin = milliseconds(path)[13] / 1000  # the first frame from 0.5 s on
    assert 20 <= len(part) <= 26
    for packet, time in zip(part, starts(tmp_path / name, "audio"), strict=True):
        assert float(whole[packet]) - begin == pytest.approx(float(time), abs=0.002)


def test_sound_that_a_file_cannot_hold_is_coded_anew_in_sync(clip: Callable[..., Path], tmp_path: Path) -> None:
    path = clip("clip.mkv", sound="pcm_s16le", sound_s=0.4)
    _, notes = copied(path, tmp_path / "o.webm")
    assert len(notes) == 1
    assert "pcm_s16le" in notes[0]
    with av.open(str(tmp_path / "o.webm")) as container:
        heard = [frame.to_ndarray() for frame in container.decode(audio=0)]
    wave = np.concatenate(heard, axis=1)
    assert wave.shape[1] / 48000 == pytest.approx(0.4, abs=0.03)
    assert np.abs(wave).max() > 0.3
    assert abs(starts(tmp_path / "o.webm", "audio")[0]) < Fraction(1, 25)


@pytest.fixture
def subtitled(clip: Callable[..., Path], tmp_path: Path) -> Path:
    """A clip with two lines of subtitles."""
    text = tmp_path / "lines.srt"
    text.write_text("1\n00:00:00,100 --> 00:00:00,200\nOne\n\n2\n00:00:00,250 --> 00:00:00,350\nTwo\n\n")
    path = tmp_path / "subtitled.mkv"
    with av.open(str(clip())) as pictures, av.open(str(text)) as lines, av.open(str(path), "w") as made:
        sources: list[Any] = [pictures.streams.video[0], lines.streams.subtitles[0]]
        targets = [made.add_stream_from_template(source, opaque=True) for source in sources]
        for container, target in zip((pictures, lines), targets, strict=True):
            for packet in container.demux():
                if packet.size:
                    packet.stream = target
                    made.mux(packet)
    return path


@pytest.mark.parametrize(("name", "converted"), [("o.mkv", False), ("o.mp4", True), ("o.webm", True)])
def test_subtitles_are_kept_as_text(subtitled: Path, tmp_path: Path, name: str, converted: bool) -> None:
    _, notes = copied(subtitled, tmp_path / name)
    assert len(notes) == int(converted)
    said = [one for one in packets(tmp_path / name, "subtitles") if len(one) > 2]  # MP4 has empty ones in between
    assert [b"One" in one for one in said] == [True, False]
    assert [b"Two" in one for one in said] == [False, True]
    times = [float(time) for time in starts(tmp_path / name, "subtitles")]
    assert any(time == pytest.approx(0.1, abs=0.002) for time in times)
    assert any(time == pytest.approx(0.25, abs=0.002) for time in times)


@pytest.mark.parametrize("name", ["o.mkv", "o.mp4"])
def test_a_subtitle_that_is_shown_when_a_part_begins_is_kept(subtitled: Path, tmp_path: Path, name: str) -> None:
    copied(subtitled, tmp_path / name, 0.12)
    said = [one for one in packets(tmp_path / name, "subtitles") if len(one) > 2]
    assert [b"One" in one for one in said] == [True, False]
    times = [float(time) for time in starts(tmp_path / name, "subtitles")]
    assert times[0] == pytest.approx(0, abs=0.002)
    assert any(time == pytest.approx(0.13, abs=0.002) for time in times)


@pytest.mark.parametrize("name", ["o.webm", "o.mkv", "o.mov", "o.webp", "o"])
def test_transparency_is_kept(clip: Callable[..., Path], tmp_path: Path, name: str) -> None:
    copied(clip("clip.webm", **VP9), tmp_path / name)
    found = read(tmp_path / name)
    assert len(found) == 10
    for frame in found:
        assert frame.alpha is not None
        assert np.abs(frame.alpha.astype(int) - 128).max() <= 4


def test_gif_comes_back_with_its_times_and_transparency(tmp_path: Path) -> None:
    images = [Image.fromarray(painted(index, alpha=255)) for index in range(5)]
    for image in images:
        image.paste((0, 0, 0, 0), (0, 24, 20, 48))
    source = tmp_path / "in.gif"
    images[0].save(source, save_all=True, append_images=images[1:], duration=[40, 110, 30, 50, 70], disposal=2)
    copied(source, tmp_path / "o.gif")
    before, after = read(source), read(tmp_path / "o.gif")
    assert [frame.pts for frame in after] == [frame.pts for frame in before] == [0, 40, 150, 180, 230]
    for one, other in zip(before, after, strict=True):
        assert other.alpha is not None
        assert np.array_equal(one.alpha, other.alpha)
        assert np.abs(one.pixels.astype(int) - other.pixels)[other.alpha > 0].max() <= 8


def test_animations_and_pictures_say_that_sound_is_left_out(clip: Callable[..., Path], tmp_path: Path) -> None:
    _, notes = copied(clip(sound="aac"), tmp_path / "o.gif")
    assert len(notes) == 1
    assert "sound" in notes[0]


def test_pictures_are_numbered_and_replace_only_their_own_kind(clip: Callable[..., Path], tmp_path: Path) -> None:
    source, output = clip(), tmp_path / "out"
    copied(source, output)
    assert [path.name for path in sorted(output.iterdir())] == [f"{number:06}.png" for number in range(1, 11)]
    copied(source, output, 0.2)
    assert len(list(output.iterdir())) == 5
    (output / "letter.txt").write_text("mine")
    with pytest.raises(OutputError, match="other files"):
        copied(source, output)
    assert (output / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize(("name", "expected"), [("o.mp4", (46, 62)), ("o.gif", (47, 63)), ("o.mov", (46, 62))])
def test_odd_sides_lose_a_row_where_the_codec_needs_it(
    clip: Callable[..., Path], tmp_path: Path, name: str, expected: tuple[int, int]
) -> None:
    copied(clip("clip.mkv", codec="ffv1", pixels="bgr0", size=(63, 47)), tmp_path / name)
    found = read(tmp_path / name)
    assert found[3].pixels.shape[:2] == expected
    assert number(found[3].pixels) == 3


def test_pixels_that_are_not_square_stay_so(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(tags={"sample_aspect_ratio": Fraction(4, 3)})
    assert probe(source).sample_aspect == Fraction(4, 3)
    copied(source, tmp_path / "o.mkv")
    assert probe(tmp_path / "o.mkv").sample_aspect == Fraction(4, 3)


def test_title_is_kept(clip: Callable[..., Path], tmp_path: Path) -> None:
    copied(clip(title="Two bicycles"), tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.metadata["title"] == "Two bicycles"


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.webm", "o.gif"])
def test_a_segment_that_ends_in_the_middle_counts_as_far_as_it_goes(
    clip: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    source, output = clip(), tmp_path / name
    codec = "prores" if name == "o.mov" else "auto"
    segments, _ = copied(source, output, codec=codec, each=5)
    data = segments[1].read_bytes()
    segments[1].write_bytes(data[: int(len(data) * 0.75)])
    segments.append(tmp_path / f"empty{segments[0].suffix}")
    segments[-1].write_bytes(b"")
    footage = probe(source)
    encoding = choose_encoding(output, footage, footage.width, footage.height, codec=codec)
    join(output, segments, footage, encoding, complete=False)
    numbers = [number(frame.pixels) for frame in read(output)]
    assert numbers[:6] == list(range(6))
    assert len(numbers) < 10


def test_without_a_finished_frame_nothing_is_written(clip: Callable[..., Path], tmp_path: Path) -> None:
    footage, output = probe(clip()), tmp_path / "o.mp4"
    encoding = choose_encoding(output, footage, 64, 48)
    (tmp_path / "s.nut").write_bytes(b"")
    with pytest.raises(OutputError, match="no frame is finished"):
        join(output, [tmp_path / "s.nut"], footage, encoding, complete=False)
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "codec", "error", "words"),
    [
        ("o.avi", "auto", OutputError, r"cannot write \.avi files; use one of \.mp4"),
        ("o.webm", "h264", SettingsError, "codec=h264 cannot be in a .webm file; use vp9, av1 or auto"),
        ("o", "h264", SettingsError, "codec=h264 cannot be in a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(
    clip: Callable[..., Path], tmp_path: Path, name: str, codec: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        choose_encoding(tmp_path / name, probe(clip()), 64, 48, codec=codec)


@pytest.mark.parametrize(("name", "codec"), [("o.mp4", "auto"), ("o.mkv", "h264"), ("o.webm", "av1")])
def test_transparency_that_would_be_lost_is_refused(
    clip: Callable[..., Path], tmp_path: Path, name: str, codec: str
) -> None:
    footage = probe(clip("clip.webm", **VP9))
    with pytest.raises((OutputError, SettingsError), match="transparency"):
        choose_encoding(tmp_path / name, footage, 64, 48, codec=codec)


#: Writes noise to a segment, then joins it, where files may have no more than so many bytes.
FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from impasto.errors import OutputError
from impasto.video.footage import probe
from impasto.video.joining import join
from impasto.video.writing import SegmentWriter, choose_encoding

source, output, segment, at_join = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "join"
footage = probe(source)
encoding = choose_encoding(output, footage, 64, 48, crf=1)
noise = np.random.default_rng(0)
def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
if not at_join:
    limit()
try:
    with SegmentWriter(segment, encoding) as writer:
        for index in range(40):
            writer.write(index * 640, noise.integers(0, 256, (48, 64, 3), np.uint8))
    limit()
    join(output, [segment], footage, encoding, complete=True)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("when", ["segment", "join"])
def test_a_full_disk_is_said_and_leaves_what_was_there(clip: Callable[..., Path], tmp_path: Path, when: str) -> None:
    source, output = clip(), tmp_path / "o.mp4"
    output.write_bytes(b"what was there")
    done = subprocess.run(
        [sys.executable, "-c", FULL, source, output, tmp_path / "s.nut", when],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot write" in done.stdout
    assert "free some space" in done.stdout
    assert output.read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".impasto*"))


def test_brightness_of_the_synthetic_clip_tells_its_frames_apart() -> None:
    assert [number(painted(index)) for index in range(11)] == list(range(11))
    assert STEP > 2 * 4  # more than any codec here is wrong by
