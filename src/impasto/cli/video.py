"""``impasto video``: the style of one picture, or of several, on every frame of a video."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.arguments import INPUT_PANEL, OUTPUT_PANEL, Json, Quiet, output_option
from impasto.cli.inputs import refuse_overwriting
from impasto.cli.options import given_settings, with_settings
from impasto.cli.progress import Count, counts_on_stderr, duration
from impasto.cli.request import RegionFiles
from impasto.cli.run import handle_signals
from impasto.cli.terminal import print_json, printable, say, warnings_so_far
from impasto.errors import InputError
from impasto.progress import Cancelled, CancelToken
from impasto.settings import ENGINES, VideoSettings, choose_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from impasto.api.videos import OnVideoProgress, StylizedVideo
    from impasto.progress import VideoProgress

    Paint = Callable[[OnVideoProgress, CancelToken], StylizedVideo]

#: Seconds between two lines where stderr is no terminal.
_LINE_S = 10.0

_Keyframes = Annotated[
    list[str] | None,
    typer.Option(
        "--style-keyframes",
        metavar="SECONDS:STYLE",
        show_default=False,
        rich_help_panel=INPUT_PANEL,
        help="the style that is reached at a time; between two of them one becomes the other; once per style",
    ),
]
_Regions = Annotated[
    list[str] | None,
    typer.Option(
        "--region",
        metavar="MASK:STYLE",
        show_default=False,
        rich_help_panel=INPUT_PANEL,
        help="a part that takes its own STYLE, white in MASK, a picture or a video; once per part",
    ),
]


@with_settings(VideoSettings, *reversed(ENGINES.values()))
def video(
    clip: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO",
            show_default=False,
            help="the video to paint: a file, an animated GIF or WebP, or a folder of numbered pictures",
        ),
    ],
    style: Annotated[
        list[Path] | None,
        typer.Argument(metavar="STYLE", show_default=False, help="the pictures whose style is taken"),
    ] = None,
    *,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="|".join(ENGINES),
            help="how it is painted: fast (one pass a frame) or optimize (Gatys et al.; minutes a second)",
        ),
    ] = "fast",
    style_keyframes: _Keyframes = None,
    region: _Regions = None,
    output: Annotated[
        Path,
        output_option(
            "FILE", "the video to write: .mp4, .mov, .mkv, .webm, .gif, .webp, or a folder for numbered pictures"
        ),
    ],
    workdir: Annotated[
        Path | None,
        typer.Option(
            "--workdir",
            metavar="DIR",
            show_default=False,
            rich_help_panel=OUTPUT_PANEL,
            help="what is finished so far; by default the output's name with .work behind; the same command goes on "
            "from there, and removes it at the end",
        ),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Put the style of one picture, or of several, onto a video, and keep its sound.

    [dim]impasto video clip.mp4 painting.jpg -o out.mp4[/dim]

    Ctrl-C ends early: what is finished is a video that plays, and the same command goes on.
    """
    name, _ = choose_engine(engine, None)
    keyframes, regions = [_keyframe(text) for text in style_keyframes or ()], [_region(text) for text in region or ()]
    if not style and not keyframes and not regions:
        raise InputError("no style was given; give a STYLE behind VIDEO, --style-keyframes or --region")
    inputs = [clip, *(style or ()), *(file for _, file in keyframes), *(file for pair in regions for file in pair)]
    refuse_overwriting(output, inputs)
    of_video = {key: value for key, value in settings.items() if key in VideoSettings.model_fields}
    of_engine = {key: value for key, value in settings.items() if key not in of_video}
    given = {**given_settings(ENGINES[name], of_engine), **given_settings(VideoSettings, of_video)}

    def paint(on_progress: "OnVideoProgress", token: CancelToken) -> "StylizedVideo":
        from impasto import api

        return api.stylize_video(
            clip,
            style or [],
            output,
            keyframes=keyframes,
            regions=regions,
            engine=name,
            workdir=workdir,
            on_progress=on_progress,
            cancel=token,
            **given,
        )

    done = watch(paint, output, workdir, quiet=quiet)
    if json:
        print_json(summary(done))


def watch(paint: "Paint", output: Path, workdir: Path | None = None, *, quiet: bool) -> "StylizedVideo":
    """Paint a video under a display of progress, and say what came of it; Ctrl-C ends early and keeps.

    Raises:
        typer.Exit: the run was cancelled; 128 plus the signal's number.
    """
    token = CancelToken()
    with handle_signals(token, keep=True, leftover=None) as signals:
        try:
            with counts_on_stderr(quiet=quiet, token=token, due=_EverySoOften()) as show:
                from impasto import api

                api.reuse_memory()
                done = paint(lambda progress: show(_count(progress)), token)
        except Cancelled:
            say(f"cancelled; the same command goes on from {workdir or output.with_name(f'{output.name}.work')}")
            raise typer.Exit(128 + (signals[0] if signals else signal.SIGINT)) from None
    if not quiet:
        for note in done.notes:
            say(printable(note))
        if done.stopped_early:
            say("interrupted: what is finished was written; the same command goes on")
        size, fps = f"{done.width}×{done.height} px", done.frames / done.seconds
        say(f"{output}: {done.frames} frames of {size} in {duration(done.seconds)}, {fps:.1f} fps")
    return done


def summary(done: "StylizedVideo") -> dict[str, object]:
    """What ``--json`` says about a video that was written."""
    return {
        "output": str(done.output),
        **{key: getattr(done, key) for key in ("width", "height", "frames", "damaged", "cuts", "seconds")},
        "notes": list(done.notes),
        "recipe": done.recipe.model_dump(mode="json"),
        "stopped_early": done.stopped_early,
        "warnings": warnings_so_far(),
    }


def _keyframe(text: str) -> tuple[float, Path]:
    """Read ``SECONDS:STYLE``.

    Raises:
        InputError: it is not that.
    """
    seconds, colon, file = text.partition(":")
    try:
        return float(seconds), Path(file) if colon and file.strip() else _refuse(text)
    except ValueError:
        return 0.0, _refuse(text)


def _refuse(text: str) -> Path:
    raise InputError(f"--style-keyframes {text!r} cannot be read; give SECONDS:STYLE, such as 2.5:painting.jpg")


def _region(text: str) -> tuple[Path, Path]:
    """Read ``MASK:STYLE``.

    Raises:
        InputError: it is not that.
    """
    files = RegionFiles.parse(text)
    if files.style_mask is not None:
        raise InputError(f"--region {text!r} has a mask for its style, which videos do not take; give MASK:STYLE")
    return files.mask, files.style


def _count(progress: "VideoProgress") -> Count:
    """The frame, with speed and time left."""
    left = "" if progress.eta_s is None else f"  {duration(progress.eta_s)} left"
    where = f"frame {progress.frame}{f'/{progress.frames}' if progress.frames else ''}"
    return Count(progress.frame, progress.frames, where, f"{progress.fps:.1f} fps{left}")


class _EverySoOften:
    """Whether it is time for another line."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, _: Count) -> bool:
        now = time.monotonic()
        if now < self._next_s:
            return False
        self._next_s = now + _LINE_S
        return True
