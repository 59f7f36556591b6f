"""A whole video: the same frames, gone on with later, styles over time, regions, and what is left when it breaks."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.api.videos import shares_at
from impasto.errors import InputError, OutputError, SettingsError, UnreadableImageError
from impasto.progress import Cancelled, CancelToken
from impasto.recipe import Recipe
from impasto.styles import write_style
from impasto.video import run as video_run
from impasto.video.footage import probe
from impasto.video.reading import FrameReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from impasto.progress import VideoProgress


@pytest.fixture
def styles(tmp_path: Path) -> list[Path]:
    """A dark blue one and a light red one."""
    paths = []
    for name, color in (("blue", (20, 30, 120)), ("red", (240, 120, 90))):
        noise = np.random.default_rng(1).integers(-20, 20, (64, 64, 3))
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray((np.array(color) + noise).clip(0, 255).astype(np.uint8)).save(paths[-1])
    return paths


def read(path: Path) -> list[NDArray[np.uint8]]:
    with FrameReader(probe(path)) as reader:
        return [frame.pixels for frame in reader]


def times(path: Path) -> list[float]:
    with FrameReader(probe(path)) as reader:
        return [float(frame.pts * probe(path).time_base) for frame in reader]


@pytest.mark.parametrize("smooth", [0, 0.5])
def test_every_frame_is_painted_at_its_own_time(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path, smooth: float
) -> None:
    source = clip(sound="aac", times=(0, 40, 100, 130, 300, 333))
    done = impasto.stylize_video(source, styles[0], tmp_path / "out.mp4", smooth=smooth)
    assert (done.frames, done.damaged, done.stopped_early) == (6, 0, False)
    assert times(done.output) == times(source)
    painted, photos = read(done.output), read(source)
    assert all(np.abs(a.astype(int) - b).mean() > 10 for a, b in zip(painted, photos, strict=True))
    with av.open(str(done.output)) as container:
        assert len(container.streams.audio) == 1
        assert Recipe.from_json(container.metadata["comment"]) == done.recipe
    assert impasto.read_recipe(done.output) == done.recipe
    with pytest.raises(InputError, match="holds no recipe"):
        impasto.read_recipe(source)
    assert done.recipe.settings["smooth"] == smooth
    assert not (tmp_path / "out.mp4.work").exists()


def test_run_that_was_ended_goes_on_and_ends_alike(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clip(times=range(0, 800, 40))
    # A lossless output, so that segments that begin elsewhere do not count.
    whole = impasto.stylize_video(source, styles[0], tmp_path / "whole.mkv", codec="ffv1")
    monkeypatch.setattr(video_run, "_SEGMENT_S", 0.0)
    token, seen = CancelToken(), []

    def stop(progress: VideoProgress) -> None:
        seen.append(progress.frame)
        if progress.frame == 7:
            token.stop()

    first = impasto.stylize_video(source, styles[0], tmp_path / "out.mkv", codec="ffv1", on_progress=stop, cancel=token)
    assert first.stopped_early
    assert len(read(first.output)) == 7  # what is finished plays
    second = impasto.stylize_video(
        source, styles[0], tmp_path / "out.mkv", codec="ffv1", on_progress=lambda p: seen.append(p.frame)
    )
    assert not second.stopped_early
    assert seen == list(range(1, 21))
    assert all(np.array_equal(a, b) for a, b in zip(read(whole.output), read(second.output), strict=True))


def test_cancelled_run_writes_no_output_and_can_go_on(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_run, "_SEGMENT_S", 0.0)
    token = CancelToken()
    source = clip()
    with pytest.raises(Cancelled):
        impasto.stylize_video(
            source, styles[0], tmp_path / "out.mp4", on_progress=lambda p: p.frame == 4 and token.cancel(), cancel=token
        )
    assert not (tmp_path / "out.mp4").exists()
    painted: list[int] = []
    impasto.stylize_video(source, styles[0], tmp_path / "out.mp4", on_progress=lambda p: painted.append(p.frame))
    assert painted[0] > 1
    assert len(read(tmp_path / "out.mp4")) == 10


def test_workdir_of_another_run_is_refused(clip: Callable[..., Path], styles: list[Path], tmp_path: Path) -> None:
    token = CancelToken()
    source = clip()
    impasto.stylize_video(
        source, styles[0], tmp_path / "out.mp4", on_progress=lambda p: p.frame == 3 and token.stop(), cancel=token
    )
    with pytest.raises(InputError, match="another run"):
        impasto.stylize_video(source, styles[1], tmp_path / "out.mp4")


def test_styles_follow_each_other(clip: Callable[..., Path], styles: list[Path], tmp_path: Path) -> None:
    source = clip(times=range(0, 1000, 100))
    done = impasto.stylize_video(
        source, styles[0], tmp_path / "out.mkv", keyframes=[(0.9, styles[1])], smooth=0, codec="ffv1"
    )
    redness = [float(frame[..., 0].mean()) - float(frame[..., 2].mean()) for frame in read(done.output)]
    assert redness == sorted(redness)
    assert redness[-1] > redness[0] + 60
    alone = read(impasto.stylize_video(source, styles[1], tmp_path / "red.mkv", smooth=0, codec="ffv1").output)
    assert np.abs(read(done.output)[-1].astype(int) - alone[-1]).max() <= 1


def test_keyframe_takes_no_style_of_several_pictures(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path
) -> None:
    write_style(tmp_path / "both", "both", styles)
    with pytest.raises(SettingsError, match="a keyframe takes one picture"):
        impasto.stylize_video(clip(), styles[0], tmp_path / "out.mp4", keyframes=[(0.5, tmp_path / "both")])


def test_shares_lie_between_two_keyframes() -> None:
    assert shares_at([1.0, 3.0, 4.0], 0.0) == [1, 0, 0]
    assert shares_at([1.0, 3.0, 4.0], 1.5) == [0.75, 0.25, 0]
    assert shares_at([1.0, 3.0, 4.0], 3.0) == [0, 1, 0]
    assert shares_at([1.0, 3.0, 4.0], 9.0) == [0, 0, 1]


def test_region_moves_with_the_video_of_its_mask(clip: Callable[..., Path], styles: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "mask"
    folder.mkdir()
    for index in range(10):  # white on the left, then on the right
        mask = np.zeros((48, 64), np.uint8)
        mask[:, :32] = 255 if index < 5 else 0
        mask[:, 32:] = 255 if index >= 5 else 0
        Image.fromarray(mask).save(folder / f"{index}.png")
    done = impasto.stylize_video(
        clip(), styles[0], tmp_path / "out.mkv", regions=[(folder, styles[1])], smooth=0, codec="ffv1"
    )
    frames = [frame.astype(int) for frame in read(done.output)]

    def redness(frame: NDArray[Any], half: slice) -> float:
        return float((frame[:, half, 0] - frame[:, half, 2]).mean())

    left, right = slice(0, 24), slice(40, 64)
    assert redness(frames[1], left) > redness(frames[1], right) + 20
    assert redness(frames[8], right) > redness(frames[8], left) + 20


def test_other_shot_begins_anew(styles: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    scenes = [np.random.default_rng(seed).integers(0, 200, (6, 8, 3)) + add for seed, add in ((1, 0), (2, 55))]
    for index in range(8):
        picture = Image.fromarray(scenes[index // 4].astype(np.uint8)).resize((64, 48), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index}.png")
    done = impasto.stylize_video(folder, styles[0], tmp_path / "out.mkv", codec="ffv1", smooth=0.9)
    assert done.cuts == 1
    alone = impasto.stylize_video(folder, styles[0], tmp_path / "alone.mkv", codec="ffv1", smooth=0)
    assert np.abs(read(done.output)[4].astype(int) - read(alone.output)[4]).max() <= 1  # nothing of the shot before


def test_optimize_paints_videos_too(clip: Callable[..., Path], styles: list[Path], tmp_path: Path) -> None:
    done = impasto.stylize_video(
        clip(times=(0, 40, 80)), styles[0], tmp_path / "out.mp4", engine="optimize", steps=2, scales=(48, 64)
    )
    assert (done.frames, done.recipe.engine) == (3, "optimize")
    assert read(done.output)[2][..., 2].mean() > read(done.output)[2][..., 0].mean()


QUICK = {"steps": 2, "scales": (48, 64)}


def test_second_pass_paints_every_frame_again(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, seen = clip(times=range(0, 240, 40)), []
    painted = [
        impasto.stylize_video(
            source,
            styles[0],
            tmp_path / f"{passes}.mkv",
            engine="optimize",
            codec="ffv1",
            passes=passes,
            on_progress=lambda progress: seen.append((progress.frame, progress.frames)),
            **QUICK,
        )
        for passes in (1, 2)
    ]
    assert [done.frames for done in painted] == [6, 6]
    assert seen[6:] == [(frame, 12) for frame in range(1, 13)]
    once, twice = (read(done.output) for done in painted)
    assert any((a != b).any() for a, b in zip(once, twice, strict=True))
    assert times(painted[1].output) == times(source)
    # Ended in its second pass, it goes on there, to the same frames.
    monkeypatch.setattr(video_run, "_SEGMENT_S", 0.0)
    token = CancelToken()

    def stop(progress: VideoProgress) -> None:
        if progress.frame == 9:
            token.stop()

    options: dict[str, Any] = {"engine": "optimize", "codec": "ffv1", "passes": 2, **QUICK}
    first = impasto.stylize_video(source, styles[0], tmp_path / "again.mkv", on_progress=stop, cancel=token, **options)
    assert (first.stopped_early, first.frames) == (True, 3)
    rest = impasto.stylize_video(source, styles[0], tmp_path / "again.mkv", **options)
    assert (rest.stopped_early, rest.frames) == (False, 6)
    assert all((a == b).all() for a, b in zip(read(rest.output), twice, strict=True))
    assert not (tmp_path / "again.mkv.work").exists()


@pytest.mark.parametrize("options", [{"engine": "fast"}, {"engine": "optimize", "smooth": 0}], ids=str)
def test_second_pass_is_refused_where_it_would_change_nothing(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match="passes=2"):
        impasto.stylize_video(clip(), styles[0], tmp_path / "out.mp4", passes=2, **options)
    assert not (tmp_path / "out.mp4.work").exists()


def test_damaged_frame_is_counted_or_ends_the_run(styles: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(6):
        Image.new("RGB", (64, 48), (40 * index, 90, 90)).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:60])
    done = impasto.stylize_video(folder, styles[0], tmp_path / "out.mp4")
    assert (done.frames, done.damaged) == (6, 1)
    assert any("1 frame" in note for note in done.notes)
    with pytest.raises(InputError, match=r"damaged.*the 3 frames before it are in"):
        impasto.stylize_video(folder, styles[0], tmp_path / "strict.mp4", strict=True)
    assert len(read(tmp_path / "strict.mp4")) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"smooth": 2}, SettingsError, "smooth"),
        ({"start": 3.0, "end": 1.0}, SettingsError, "lies before start"),
        ({"start": 99.0}, InputError, "has no frame from 99 s on"),
        ({"stroke": 1}, SettingsError, "no setting named 'stroke'"),
        ({"output": "out.avi"}, OutputError, "cannot write .avi files"),
        ({"codec": "vp9", "output": "out.mov"}, SettingsError, "codec=vp9 cannot be in"),
        ({"keyframes": [(1.0, "red.png"), (1.0, "blue.png")]}, SettingsError, "a time of its own"),
        ({"engine": "crayon"}, SettingsError, "no engine named 'crayon'"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    clip: Callable[..., Path],
    styles: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    source = clip()
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments = {"output": "out.mp4", **arguments}
    with pytest.raises(error, match=words):
        impasto.stylize_video(source, "blue.png" if "keyframes" not in arguments else (), **arguments)
    shutil.rmtree("out.mp4.work", ignore_errors=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_folder_without_pictures_is_refused(styles: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableImageError, match="holds no picture"):
        impasto.stylize_video(tmp_path / "empty", styles[0], tmp_path / "out.mp4")
