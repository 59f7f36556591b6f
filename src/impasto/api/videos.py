"""A video goes through an engine frame by frame and comes back as a video, with its sound."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.api.styles import pictures_of, resolved, several, sole_picture
from impasto.engines.base import Region
from impasto.engines.checkpoint import open_workdir
from impasto.engines.registry import load_engine
from impasto.errors import ImpastoError, InputError, SettingsError
from impasto.images import Picture, read
from impasto.progress import CancelToken
from impasto.settings import ENGINES, VideoSettings
from impasto.video.footage import is_video, probe
from impasto.video.joining import join
from impasto.video.masks import MovingMask, StillMask
from impasto.video.metrics import VideoEvaluation, evaluate_frames
from impasto.video.reading import FrameReader, as_tensor
from impasto.video.run import Painted, VideoRun
from impasto.video.stream import LiveFrame, LiveStream, paint_live
from impasto.video.writing import choose_encoding

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from impasto.api.styles import ImageLike
    from impasto.engines.frames import FramePainter
    from impasto.progress import VideoProgress
    from impasto.recipe import Recipe
    from impasto.video.footage import Footage
    from impasto.video.masks import Mask
    from impasto.video.writing import Encoding

    OnVideoProgress = Callable[[VideoProgress], None]
    PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class StylizedVideo:
    """A video that was written, with the evidence of how it came about."""

    output: Path
    width: int
    height: int
    frames: int
    damaged: int
    """Of the frames, those that could not be read; the one before stands for each."""
    cuts: int
    """Where another shot begins, so that nothing of the one before was held on to."""
    seconds: float
    """Of reading, painting and writing, all of them at once."""
    notes: tuple[str, ...]
    """What could not be taken over as it was, in sentences."""
    recipe: Recipe
    stopped_early: bool


def stylize_video(
    video: PathLike,
    style: ImageLike | Sequence[ImageLike] = (),
    output: PathLike | None = None,
    *,
    keyframes: Sequence[tuple[float, ImageLike]] = (),
    regions: Sequence[tuple[PathLike, ImageLike]] = (),
    engine: str = "fast",
    workdir: PathLike | None = None,
    on_progress: OnVideoProgress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> StylizedVideo:
    """The style of one picture, or of several, on every frame of a video.

    Args:
        video: a video, an animated GIF or WebP, or a folder of numbered pictures.
        style: as in :func:`impasto.stylize`; with keyframes at most one, shown from the start on.
        output: the video to write; its extension says what it becomes, a name without one is a folder of pictures.
        keyframes: a time in seconds and the style that is reached then; between two of them one becomes the other.
        regions: parts of the video with a style of their own: a mask, as picture or as video, and the style.
        engine: ``fast`` or ``optimize``.
        workdir: for segments and the state, by default ``output`` with ``.work`` behind; a run that was ended goes on
            from there with the same call, and one that is finished removes it.
        on_progress: called with a :class:`VideoProgress` after every frame.
        cancel: ``stop`` ends early, and what is finished becomes the output; ``cancel`` writes no output.
        **settings: those of the engine and of :class:`impasto.settings.VideoSettings`.

    Raises:
        MissingExtraError: PyAV or OpenCV is not installed.
        UnreadableImageError, InputError: the video, a style or a mask cannot be used.
        SettingsError: a setting is unknown, out of bounds or contradicts another.
        OutputError: it cannot be written there; segments that are finished stay in the workdir.
        Cancelled: ``cancel`` was cancelled; the same call goes on.

    Example:
        >>> import impasto
        >>> impasto.stylize_video("clip.mp4", "painting.jpg", "out.mp4", smooth=0.8)  # doctest: +SKIP
    """
    if output is None:
        raise InputError("no output was given; give a name such as out.mp4")
    target, options, about = Path(output), *_split(engine, settings)
    footage = probe(Path(video), rate=about.rate)
    styles, times = _over_time(several(style), keyframes)
    pictures, options = resolved(engine, styles, options)
    if times and len(pictures) > len(times):
        raise SettingsError("a keyframe takes one picture, and one of these styles has several; give one of them")
    first = _first_frame(footage, about)
    looks = [read(one) for one in pictures]
    masks = [_mask(mask, first) for mask, _ in regions]
    painter = load_engine(engine).frames(
        first, looks, options, regions=[Region(first, read(sole_picture(one))) for _, one in regions]
    )
    encoding = choose_encoding(target, footage, painter.width, painter.height, codec=about.codec, crf=about.crf)
    place = target.with_name(f"{target.name}.work") if workdir is None else Path(workdir)
    shares = None if not times else lambda seconds: shares_at(times, seconds)
    recipe = _recipe(painter, about, times, masks)
    identity = {"recipe": recipe.model_dump(mode="json"), "version": version("impasto")}
    if about.passes > 1 and (not painter.long_term or about.smooth == 0):
        raise SettingsError(
            "passes=2 makes frames agree with those after them, which engine fast and smooth=0 do not; "
            "give --engine optimize, or leave passes at 1"
        )
    token, done = cancel or CancelToken(), Painted()
    folders = [*(place / f"pass-{number}" for number in range(1, about.passes)), place]
    with ExitStack() as stack:
        # The run's own folder is locked first: it is the one that another run would choose too.
        workdirs = [stack.enter_context(open_workdir(here, identity)) for here in reversed(folders)]
        finished = False
        for number, (here, kept) in enumerate(zip(folders, reversed(workdirs), strict=True)):
            assert kept is not None  # noqa: S101 — a place was given
            run = VideoRun(
                footage,
                painter,
                encoding,
                about,
                shares=shares,
                masks=masks,
                folder=here,
                workdir=kept,
                before=done.segments,
            )
            try:
                run(_in_pass(on_progress, number, about.passes), token)
            except ImpastoError as error:
                there = run.done if run.done.segments else done
                raise _with_what_is_there(error, there, target, footage, encoding, about, recipe) from error
            done = run.done if run.done.segments else done
            finished = run.done.complete and here == place
            if not run.done.complete:
                break
        if not done.segments:
            raise InputError(
                f"{footage.name} has no frame from {about.start:g} s on; give an earlier start"
                if not token.stopped
                else "the run was ended before its first frame; nothing was written"
            )
        notes = _joined(done, target, footage, encoding, about, recipe)
    if finished:
        shutil.rmtree(place, ignore_errors=True)
    return StylizedVideo(
        output=target,
        width=encoding.width,
        height=encoding.height,
        frames=done.frames,
        damaged=done.damaged,
        cuts=done.cuts,
        seconds=done.seconds,
        notes=(*notes, *_what_was_odd(footage, done)),
        recipe=recipe,
        stopped_early=not finished,
    )


def stylize_stream(
    source: str,
    style: ImageLike | Sequence[ImageLike],
    *,
    smooth: float = 0.5,
    image_size: int = 640,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> Iterator[LiveFrame]:
    """A camera or a stream painted as it comes in, by engine ``fast``: always the newest frame.

    Args:
        source: the number of a camera, such as ``"0"``, or whatever FFmpeg opens.
        style: as in :func:`impasto.stylize`.
        smooth: as in :class:`impasto.settings.VideoSettings`.
        image_size: longer side of frames at most, pixels.
        cancel: ``stop`` ends it.
        **settings: of the engine.

    Raises:
        UnreadableImageError: the source or a style cannot be read.
        SettingsError: a setting is unknown or out of bounds.
    """
    pictures, options = resolved("fast", several(style), settings)
    looks = [read(one) for one in pictures]
    VideoSettings.of(smooth=smooth)
    stream = LiveStream(source)

    def make_painter(first: Picture) -> FramePainter:
        longer = min(image_size, max(first.width, first.height))
        return load_engine("fast").frames(first, looks, {**options, "image_size": longer})

    def frames() -> Iterator[LiveFrame]:
        with stream:
            yield from paint_live(stream, make_painter, smooth, cancel or CancelToken())

    return frames()


def evaluate_video(output: PathLike, *, content: PathLike, style: ImageLike | Sequence[ImageLike]) -> VideoEvaluation:
    """How steady a video is painted, and how much of the style and of the content it has.

    Args:
        output: the video, as it was written.
        content: the video that it was painted from; the same frames.
        style: that it shall have; of several, the nearest one counts.

    Raises:
        UnreadableImageError: one cannot be read.
        InputError: the two have other shapes or numbers of frames, or there is no style.
    """
    looks = [read(one) for one in pictures_of(style)]
    if not looks:
        raise InputError("no style was given; give at least one picture")
    return evaluate_frames(probe(Path(output)), probe(Path(content)), looks)


def shares_at(times: Sequence[float], seconds: float) -> list[float]:
    """How much the style of each keyframe counts at a time: between two of them one becomes the other.

    Args:
        times: of the keyframes in seconds, rising.
        seconds: the time.

    Returns:
        One share for each keyframe, in [0, 1]; together 1.
    """
    shares = [0.0] * len(times)
    later = next((index for index, time in enumerate(times) if time > seconds), None)
    if later is None:
        shares[-1] = 1.0
    elif later == 0:
        shares[0] = 1.0
    else:
        way = (seconds - times[later - 1]) / (times[later] - times[later - 1])
        shares[later - 1], shares[later] = 1 - way, way
    return shares


def _in_pass(on_progress: OnVideoProgress | None, number: int, passes: int) -> OnVideoProgress | None:
    """Tells of a pass over the frames, from 0, as a part of all passes."""
    if on_progress is None or passes == 1:
        return on_progress

    def tell(progress: VideoProgress) -> None:
        if progress.frames is None:
            on_progress(progress)
            return
        behind, left = number * progress.frames, (passes - 1 - number) * progress.frames
        eta_s = None if progress.eta_s is None else progress.eta_s + left / progress.fps
        on_progress(replace(progress, frame=behind + progress.frame, frames=passes * progress.frames, eta_s=eta_s))

    return tell


def _split(engine: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], VideoSettings]:
    """The engine's settings, unchecked, and the video's.

    Raises:
        SettingsError: there is no such engine, or a setting of the video is out of bounds.
    """
    if engine in ENGINES and (unknown := set(settings) - set(VideoSettings.model_fields) - _names(engine)):
        ENGINES[engine].of(**{name: settings[name] for name in sorted(unknown)[:1]})  # says which there are
    own = {name: value for name, value in settings.items() if name in VideoSettings.model_fields}
    return {name: value for name, value in settings.items() if name not in own}, VideoSettings.of(**own)


def _names(engine: str) -> set[str]:
    return set(ENGINES[engine].model_fields)


def _over_time(
    styles: Sequence[ImageLike], keyframes: Sequence[tuple[float, ImageLike]]
) -> tuple[list[ImageLike], list[float]]:
    """All styles, and the time of each where they follow each other.

    Raises:
        SettingsError: several styles at the start, two at one time, or a time that is none.
    """
    if not keyframes:
        return list(styles), []
    if len(styles) > 1:
        raise SettingsError(
            f"keyframes lead from one style to another, but {len(styles)} are given at the start; give at most one"
        )
    ordered = sorted([*((0.0, one) for one in styles), *keyframes], key=lambda pair: pair[0])
    times = [float(seconds) for seconds, _ in ordered]
    for earlier, later in zip([-1.0, *times], times, strict=False):
        if not earlier < later < float("inf"):
            raise SettingsError(
                f"a keyframe is at {later:g} s, which is below 0, no time, or that of another style; "
                "give each style a time of its own, in seconds"
            )
    return [one for _, one in ordered], times


def _first_frame(footage: Footage, about: VideoSettings) -> Picture:
    """The first frame under the video's name.

    Raises:
        InputError: there is none.
    """
    with FrameReader(footage, about.start, about.end, strict=about.strict) as reader:
        frame = next(iter(reader), None)
    if frame is None:
        raise InputError(f"{footage.name} has no frame from {about.start:g} s on; give an earlier start")
    return Picture(as_tensor(frame.pixels)[0], sha256=footage.sha256, name=footage.name)


def _mask(mask: PathLike, first: Picture) -> Mask:
    """Where a region is, in a picture or in a video."""
    path = Path(mask)
    return MovingMask(probe(path)) if is_video(path) else StillMask(read(path), first)


def _recipe(painter: FramePainter, about: VideoSettings, times: Sequence[float], masks: Sequence[Mask]) -> Recipe:
    """The painter's recipe with what is the video's: its settings, the times of styles, and the masks' files."""
    recipe = painter.recipe
    regions = [
        region.model_copy(update={"mask": mask.source}) for region, mask in zip(recipe.regions, masks, strict=True)
    ]
    return recipe.model_copy(
        update={
            "settings": {**recipe.settings, **about.model_dump(mode="json")},
            "times": tuple(times),
            "regions": tuple(regions),
        }
    )


def _joined(
    done: Painted, target: Path, footage: Footage, encoding: Encoding, about: VideoSettings, recipe: Recipe
) -> list[str]:
    """Write the output from the segments; gives what could not be taken over."""
    return join(
        target, done.segments, footage, encoding, complete=done.complete and about.end is None, recipe=recipe.to_json()
    )


def _with_what_is_there(
    error: ImpastoError,
    done: Painted,
    target: Path,
    footage: Footage,
    encoding: Encoding,
    about: VideoSettings,
    recipe: Recipe,
) -> ImpastoError:
    """The error; what was finished before it is written, if it can be, and the message says where it is."""
    if not done.segments:
        return error
    try:
        _joined(done, target, footage, encoding, about, recipe)
    except ImpastoError:
        return type(error)(f"{error}; {done.frames} frames that are finished are in {str(done.segments[0].parent)!r}")
    return type(error)(f"{error}; the {done.frames} frames before it are in {str(target)!r}")


def _what_was_odd(footage: Footage, done: Painted) -> list[str]:
    """Sentences on what was wrong with the source."""
    notes = []
    if done.damaged:
        notes.append(f"{done.damaged} frames of {footage.name} are damaged; the one before stands for each")
    if done.truncated:
        notes.append(f"{footage.name} ends in the middle; what there is of it was painted")
    return notes
