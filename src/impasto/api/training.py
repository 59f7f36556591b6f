"""What is trained on one's own pictures: engine fast's networks, for any style or for one; engine diffusion's LoRAs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.api.styles import pictures_of
from impasto.engines.diffusion.lora import under_other_names
from impasto.engines.diffusion.training.card import lora_card
from impasto.engines.diffusion.training.run import TrainedLora, train_lora
from impasto.engines.fast.training.contents import make_contents
from impasto.engines.fast.training.report import model_card, write_losses, write_preview
from impasto.engines.fast.training.run import TrainedModel
from impasto.engines.fast.training.run import train_any_style as _any_style
from impasto.engines.fast.training.run import train_one_style as _one_style
from impasto.errors import InputError, OutputError
from impasto.progress import CancelToken
from impasto.settings import AnyStyleTraining, DreamBoothTraining, OneStyleTraining
from impasto.styles import added_styles, get_style, is_style, library_folder, new_folder, read_style, write_style
from impasto.whole import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from impasto.engines.diffusion.lora import Names
    from impasto.progress import TrainingProgress
    from impasto.styles import Style

    OnTrainingProgress = Callable[[TrainingProgress], None]

#: Pictures of a LoRA's training that stand for the style beside it: engines that look at pictures take all of these.
_REFERENCES = 4
#: Steps between two previews in the workdir.
_PREVIEW_STEPS = 100


def train_any_style(
    photos: Sequence[str | os.PathLike[str]],
    paintings: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    workdir: str | os.PathLike[str] | None = None,
    leave_out: Sequence[str] = (),
    start: str | os.PathLike[str] | None = None,
    on_progress: OnTrainingProgress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> TrainedModel:
    """Train a network for any style, and write it.

    Args:
        photos: folders, files or patterns such as ``"photos/*.jpg"``; with ``=0.5`` behind, half the chance.
        paintings: the same, of styles.
        output: the model's file, ``.safetensors``; a card ``.md`` is written beside it.
        workdir: checkpoints, previews and losses; by default ``output`` with ``.work`` behind; the same call goes on.
        leave_out: names of files that are not to be used.
        start: a model to start from; None: from chance.
        on_progress: called with a :class:`TrainingProgress` after every step.
        cancel: cancels, or stops early and keeps what was learned.
        **settings: see :class:`impasto.settings.AnyStyleTraining`.

    Raises:
        SettingsError: a setting is unknown or out of bounds.
        InputError: there are no pictures, or hardly any can be used; the workdir is another run's.
        DivergedError: the training could not be kept finite.
        OutputError: something cannot be written; the last checkpoint is untouched.
        Cancelled: ``cancel`` was cancelled; the last checkpoint stays.
    """
    checked, target = AnyStyleTraining.of(**settings), Path(output)
    if target.suffix != ".safetensors":
        raise OutputError(f"the model {str(target)!r} must end in .safetensors; give it such a name")
    place = _place(target, workdir)
    model = _any_style(
        [str(source) for source in photos],
        [str(source) for source in paintings],
        checked,
        workdir=place,
        leave_out=leave_out,
        start=None if start is None else Path(start),
        on_progress=_watched(place, on_progress),
        cancel=cancel or CancelToken(),
    )
    if model.leads:
        write_whole(target, model.file)
        card = model_card(target.stem, model.about, model.skipped, "impasto train any-style")
        write_whole(target.with_suffix(".md"), card.encode())
        _report(place, model)
    return model


def train_style(
    styles: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    photos: Sequence[str | os.PathLike[str]] = (),
    workdir: str | os.PathLike[str] | None = None,
    leave_out: Sequence[str] = (),
    on_progress: OnTrainingProgress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> TrainedModel:
    """Train a network for the style that some pictures share, and write a style's folder.

    ``impasto.stylize(photo, folder, engine="fast")`` paints with it.

    Args:
        styles: pictures of the one style.
        output: the folder to write; a style that lies there is replaced.
        photos: folders, files or patterns of photos; none: pictures made up for it, which serve less well.
        workdir: checkpoints, previews and losses; by default ``output`` with ``.work`` behind.
        leave_out: names of photos that are not to be used.
        on_progress: as in :func:`train_any_style`.
        cancel: as in :func:`train_any_style`.
        **settings: see :class:`impasto.settings.OneStyleTraining`.

    Raises:
        ImageTooSmallError: a style is smaller than a crop.
        Everything that :func:`train_any_style` raises.
    """
    checked, target = OneStyleTraining.of(**settings), Path(output)
    if not styles:
        raise InputError("no style was given; give at least one picture")
    _refuse_other(target)
    place = _place(target, workdir)
    sources = [str(source) for source in photos] or make_contents(place / "contents", checked.seed)
    pictures = _paths(styles)
    model = _one_style(
        pictures,
        sources,
        checked,
        workdir=place,
        leave_out=leave_out,
        on_progress=_watched(place, on_progress),
        cancel=cancel or CancelToken(),
    )
    if model.leads:
        card = model_card(target.name, model.about, model.skipped, "impasto train style")
        trained = {"fast": ("fast.safetensors", model.file)}
        write_style(target, target.name, pictures, trained, card=card.encode())
        _report(place, model)
    return model


def train_dreambooth(
    pictures: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    captions: str | os.PathLike[str] | None = None,
    prior: Sequence[str | os.PathLike[str]] = (),
    workdir: str | os.PathLike[str] | None = None,
    on_progress: OnTrainingProgress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> TrainedLora:
    """Train a LoRA for engine diffusion on pictures of one style (DreamBooth), and write a style's folder.

    ``impasto.stylize(photo, folder, engine="diffusion")`` and ``impasto.generate(folder, prompt="a harbour")`` paint
    with it.

    Args:
        pictures: that show the style, 3 at least: files, and folders of them.
        output: the folder to write; a style that lies there is replaced.
        captions: a folder with a file ``NAME.txt`` for each picture, which says what it shows; None: those beside the
            pictures, if there are any.
        prior: pictures that shall stay as they are without the trigger; see the setting ``prior_prompt``.
        workdir: checkpoints, samples and losses; by default ``output`` with ``.work`` behind; the same call goes on.
        on_progress: as in :func:`train_any_style`.
        cancel: as in :func:`train_any_style`; if it is cancelled, a checkpoint is written first.
        **settings: see :class:`impasto.settings.DreamBoothTraining`.

    Raises:
        SettingsError: a setting is unknown or out of bounds, a licence was not accepted, a training on a CPU that would
            take hours.
        InputError: fewer than 3 pictures, one that cannot be used, captions that are missing; the workdir is another
            run's.
        WeightsError: the model is missing, damaged or not supported.
        MissingExtraError: the extra ``diffusion`` is not installed.
        DivergedError: the training left the finite numbers.
        OutOfMemoryError: a step does not fit.
        OutputError: something cannot be written; the last checkpoint is untouched.
        Cancelled: ``cancel`` was cancelled.
    """
    checked, target = DreamBoothTraining.of(**settings), Path(output)
    _refuse_other(target)
    place = _place(target, workdir)
    lora = train_lora(
        pictures,
        checked,
        name=target.absolute().name,
        captions=None if captions is None else Path(captions),
        prior=prior,
        workdir=place,
        on_progress=on_progress,
        cancel=cancel or CancelToken(),
    )
    card = lora_card(target.absolute().name, lora.about, lora.licence)
    every = max(1, len(lora.pictures) // _REFERENCES)
    write_style(
        target,
        target.absolute().name,
        lora.pictures[::every][:_REFERENCES],
        {"diffusion": ("diffusion.safetensors", lora.file)},
        card=card.encode(),
    )
    if lora.preview is not None:
        write_preview(place, lora.preview)
    write_losses(place, lora.history)
    return lora


def export_lora(style: str | os.PathLike[str], output: str | os.PathLike[str], *, names: Names = "kohya") -> Path:
    """Write the LoRA of a style for other programs.

    Args:
        style: a style's name, folder or archive; or the file of a LoRA.
        output: a ``.safetensors`` file.
        names: ``kohya`` (ComfyUI, AUTOMATIC1111 and others) or ``diffusers``.

    Returns:
        The file's path.

    Raises:
        InputError: it is no style, or no LoRA was trained for it.
        WeightsError: it is no LoRA that impasto wrote.
        OutputError: the file cannot be written, or has another extension.
    """
    target, given = Path(output), Path(style)
    if target.suffix != ".safetensors":
        raise OutputError(f"the LoRA {str(target)!r} must end in .safetensors; give it such a name")
    file = given if given.suffix == ".safetensors" else _trained_for(get_style(style), "diffusion", "dreambooth")
    write_whole(target, under_other_names(file, names))
    return target


def style_to_train(name: str, pictures: Sequence[str | os.PathLike[str]] = ()) -> tuple[Path, list[Path]]:
    """Where in the library a style is that shall be trained, and its pictures.

    Args:
        name: of a style of the library, or of a new one.
        pictures: of the new one; paths, or styles.

    Raises:
        InputError: there is no style of that name and no pictures were given, or there are both.
    """
    if name in added_styles():
        if pictures:
            raise InputError(
                f"there is a style {name!r} already, with its pictures; leave the pictures out, or remove it"
            )
        return library_folder() / name, list(read_style(library_folder() / name).references)
    if not pictures:
        raise InputError(f"there is no style of your own named {name!r}; give the pictures that show it")
    return new_folder(name), _paths(pictures)


def trained_file(folder: str | os.PathLike[str]) -> Path:
    """The file that was trained for engine fast in a style's folder.

    Raises:
        InputError: it is no style, was changed, or nothing was trained for engine fast.
    """
    return _trained_for(read_style(Path(folder)), "fast", "style")


def _trained_for(style: Style, engine: str, verb: str) -> Path:
    if engine not in style.trained:
        raise InputError(f"nothing was trained for engine {engine} in {style.name}; train it with impasto train {verb}")
    return style.trained[engine].path


def _refuse_other(target: Path) -> None:
    """Refuse an output that could not be written after the hours.

    Raises:
        OutputError: something lies there that is no style.
        InputError: a style lies there that cannot be read; its look is kept.
    """
    if target.exists() and not is_style(target):
        raise OutputError(f"{str(target)!r} is there already and is no style; choose another name")
    if target.exists():
        read_style(target)


def _paths(styles: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Pictures as they are, and styles as theirs."""
    return [Path(str(picture)) for picture in pictures_of(list(styles))]


def _place(target: Path, workdir: str | os.PathLike[str] | None) -> Path:
    """The folder for what comes up on the way; the training makes it once its input is found good.

    Raises:
        OutputError: the output's folder is not there.
    """
    if not target.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {str(target.absolute().parent)!r}; make it first")
    return target.with_name(f"{target.name}.work") if workdir is None else Path(workdir)


def _watched(place: Path, on_progress: OnTrainingProgress | None) -> OnTrainingProgress:
    """Reports, and every now and then a preview."""

    def watch(progress: TrainingProgress) -> None:
        if progress.step % _PREVIEW_STEPS == 0:
            write_preview(place, progress.preview())
        if on_progress is not None:
            on_progress(progress)

    return watch


def _report(place: Path, model: TrainedModel) -> None:
    """The last preview and the losses, beside the checkpoints."""
    write_preview(place, model.preview)
    write_losses(place, model.history)
