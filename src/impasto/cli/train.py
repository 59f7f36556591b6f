"""``impasto train``: networks of engine fast for any style, or for one, and LoRAs, from one's own pictures."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from impasto.cli.arguments import OUTPUT_PANEL, Json, Quiet, output_option
from impasto.cli.options import given_settings, with_settings
from impasto.cli.progress import Count, counts_on_stderr, duration
from impasto.cli.run import handle_signals
from impasto.cli.terminal import print_json, printable, say, warnings_so_far
from impasto.progress import Cancelled, CancelToken
from impasto.settings import AnyStyleTraining, DreamBoothTraining, OneStyleTraining

if TYPE_CHECKING:
    from collections.abc import Callable

    from impasto.api.training_on_ray import TrainedOnRay
    from impasto.engines.diffusion.training.run import TrainedLora
    from impasto.engines.fast.training.run import TrainedModel
    from impasto.progress import TrainingProgress

    Show = Callable[[TrainingProgress], None]

train_app = typer.Typer(
    help="Train on one's own pictures: engine fast's networks for any style or for one, engine diffusion's LoRAs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_SHOWN_SKIPPED = 10
#: Steps between two lines where stderr is no terminal.
_LINE_STEPS = 50

Photos = Annotated[
    list[str] | None,
    typer.Option(
        "--photos",
        metavar="DIR",
        show_default=False,
        help="photos to paint in training: a folder, a file or a pattern in quotes; =0.5 behind it halves the "
        "chance of its pictures; may be repeated",
    ),
]
_Paintings = Annotated[
    list[str],
    typer.Option("--paintings", metavar="DIR", show_default=False, help="styles to learn from, in the same way"),
]
LeaveOut = Annotated[
    str | None,
    typer.Option("--leave-out", metavar="NAME,NAME,…", show_default=False, help="files that are not to be used"),
]
Workdir = Annotated[
    Path | None,
    typer.Option(
        "--workdir",
        metavar="DIR",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
        help="checkpoints, previews and losses; by default the output's name with .work behind; the same command goes "
        "on from there",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="local|ADDRESS",
        show_default=False,
        rich_help_panel="Machine",
        help="train on Ray: here, or on a cluster that sees the same folders",
    ),
]
RayWorkers = Annotated[
    int | None,
    typer.Option(
        "--ray-workers",
        min=1,
        metavar="INT",
        show_default=False,
        rich_help_panel="Machine",
        help="processes on Ray; by default one for each GPU, or CPU where there is none",
    ),
]
_Start = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", show_default=False, help="a model to start from; by default from chance"),
]


_StyleFolder = Annotated[
    Path,
    output_option("DIR", "the style's folder; a style that lies there is replaced"),
]


@train_app.command("any-style")
@with_settings(AnyStyleTraining)
def any_style(
    *,
    photos: Photos = None,
    paintings: _Paintings,
    leave_out: LeaveOut = None,
    start: _Start = None,
    output: Annotated[
        Path,
        output_option("FILE", "the model's file, .safetensors; its card, .md, is written beside it"),
    ],
    workdir: Workdir = None,
    ray: Ray = None,
    ray_workers: RayWorkers = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Train a network that paints in any style, on folders of photos and paintings.

    [dim]impasto train any-style --photos photos --paintings paintings -o mine.safetensors[/dim]

    Ctrl-C stops early and keeps what was learned; the same command goes on.
    Paint with it by stylize --engine fast --model FILE.
    """
    from impasto.errors import InputError

    if not photos:
        raise InputError("no photos were given; give a folder of them with --photos")

    given = {
        "photos": photos,
        "paintings": paintings,
        "output": output,
        "workdir": workdir,
        "leave_out": names(leave_out),
        "start": start,
        **given_settings(AnyStyleTraining, settings),
    }
    run_training("any_style", given, ray=ray, ray_workers=ray_workers, quiet=quiet, json=json)


@train_app.command("style")
@with_settings(OneStyleTraining)
def style(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="STYLE", show_default=False, help="pictures of the one style")
    ],
    *,
    photos: Photos = None,
    leave_out: LeaveOut = None,
    output: _StyleFolder,
    workdir: Workdir = None,
    ray: Ray = None,
    ray_workers: RayWorkers = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Train a network for one style, given by one picture or several.

    [dim]impasto train style painting.jpg --photos photos -o my-style[/dim]
    [dim]impasto stylize photo.jpg my-style -o out.png --engine fast[/dim]

    Ctrl-C stops early and keeps what was learned; the same command goes on.
    """
    if not photos and not quiet:
        say("no photos were given: training on made-up contents; photos like those to be painted help (--photos DIR)")

    given = {
        "styles": pictures,
        "output": output,
        "photos": photos or (),
        "workdir": workdir,
        "leave_out": names(leave_out),
        **given_settings(OneStyleTraining, settings),
    }
    run_training("style", given, ray=ray, ray_workers=ray_workers, quiet=quiet, json=json)


@train_app.command("dreambooth")
@with_settings(DreamBoothTraining)
def dreambooth(
    pictures: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICTURE", show_default=False, help="what shows the style, 3 at least; files or folders"
        ),
    ],
    *,
    captions: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            metavar="DIR",
            show_default=False,
            help="a folder with a file NAME.txt for each picture, which says what it shows but not how it is painted; "
            "by default those beside the pictures, if there are any",
        ),
    ] = None,
    prior: Annotated[
        list[Path] | None,
        typer.Option(
            "--prior",
            metavar="DIR",
            show_default=False,
            help="pictures that shall stay as they are without the trigger; with --prior-prompt alone the model paints "
            "them; may be repeated",
        ),
    ] = None,
    output: _StyleFolder,
    workdir: Workdir = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Train a LoRA of a diffusion model on pictures of one style (DreamBooth).

    [dim]impasto train dreambooth paintings -o my-style[/dim]
    [dim]impasto generate --style my-style --prompt "a harbour at dusk" -o harbour.png[/dim]
    [dim]impasto stylize photo.jpg my-style -o out.png --engine diffusion[/dim]

    It wants a GPU, and a model: impasto models download sdxl.
    Ctrl-C stops early and keeps what was learned; the same command goes on.
    """
    given = {
        "pictures": pictures,
        "output": output,
        "captions": captions,
        "prior": prior or (),
        "workdir": workdir,
        **given_settings(DreamBoothTraining, settings),
    }
    run_training("dreambooth", given, quiet=quiet, json=json)


def names(text: str | None) -> list[str]:
    """What stands between commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def run_training(
    kind: Literal["any_style", "style", "dreambooth"],
    given: dict[str, Any],
    *,
    quiet: bool,
    json: bool,
    ray: str | None = None,
    ray_workers: int | None = None,
) -> None:
    """Train under a display, here or on Ray, and say what came of it.

    Raises:
        typer.Exit: the training was cancelled by SIGTERM; 128 plus the signal's number.
    """
    token = CancelToken()
    output: Path = given["output"]
    place = given["workdir"] or output.with_name(f"{output.name}.work")
    with handle_signals(token, keep=True, leftover=None) as signals:
        try:
            with counts_on_stderr(quiet=quiet, token=token, due=_is_due) as show:
                model = _trained(kind, given, lambda progress: show(_count(progress)), token, ray, ray_workers)
        except Cancelled:
            say(f"cancelled; the same command goes on from {place}")
            raise typer.Exit(128 + (signals[0] if signals else signal.SIGINT)) from None
    if not model.leads:
        return
    if not quiet:
        for name, reason in list(model.skipped.items())[:_SHOWN_SKIPPED]:
            say(printable(f"left out {name}: {reason}"))
        if len(model.skipped) > _SHOWN_SKIPPED:
            say(f"left out {len(model.skipped) - _SHOWN_SKIPPED} more")
        if model.stopped_early:
            say(f"interrupted: what was learned so far is kept; the same command goes on from {place}")
        say(f"{output}: {model.about['steps']} steps; previews and losses in {place}")
    if json:
        print_json(
            {
                "output": str(output),
                "workdir": str(place),
                **model.about,
                "skipped": model.skipped,
                "stopped_early": model.stopped_early,
                "warnings": warnings_so_far(),
            }
        )


def _trained(
    kind: Literal["any_style", "style", "dreambooth"],
    given: dict[str, Any],
    show: "Show",
    token: CancelToken,
    ray: str | None,
    ray_workers: int | None,
) -> "TrainedModel | TrainedOnRay | TrainedLora":
    from impasto import api  # under the display: it takes a second

    if ray and kind != "dreambooth":
        return api.train_on_ray(kind, given, address=ray, workers=ray_workers)
    api.reuse_memory()
    if kind == "dreambooth":
        return api.train_dreambooth(**given, on_progress=show, cancel=token)
    if kind == "any_style":
        return api.train_any_style(**given, on_progress=show, cancel=token)
    return api.train_style(**given, on_progress=show, cancel=token)


def _count(progress: "TrainingProgress") -> Count:
    """The step, with loss, speed and time left."""
    loss = sum(progress.terms.values())
    numbers = f"loss {loss:.3f}  {progress.samples_per_s:.1f} pictures/s  {duration(progress.eta_s)} left"
    return Count(progress.step, progress.steps, f"step {progress.step}/{progress.steps}", numbers)


def _is_due(count: Count) -> bool:
    return count.done % _LINE_STEPS == 0 or count.done == count.total
