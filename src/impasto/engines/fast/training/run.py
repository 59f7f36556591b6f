"""The two trainings from folders of pictures to a finished model: any style, and one style."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from impasto.engines.checkpoint import open_workdir
from impasto.engines.fast.model import encode_model, load_model
from impasto.engines.fast.network import StyleEncoder, TransferNet
from impasto.engines.fast.painting import TorchPainter, blended
from impasto.engines.fast.training.collection import Collection, Crops
from impasto.engines.fast.training.objective import DEEPEST, Objective
from impasto.engines.fast.training.painter import Code, Painter, contact_sheet
from impasto.engines.fast.training.parallel import Ranks, ranks
from impasto.engines.fast.training.samples import Samples
from impasto.engines.fast.training.trainer import Trainer
from impasto.errors import ImageTooSmallError, SettingsError
from impasto.images import fill_transparent, read, resize
from impasto.vgg import choose_precision, load_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from impasto.engines.fast.training.trainer import OnTrainingProgress
    from impasto.progress import CancelToken
    from impasto.settings import AnyStyleTraining, OneStyleTraining, TrainSettings

#: Contents down and styles across of a preview.
_PREVIEW: Final = (3, 4)
#: Shorter side at which a style's strokes are as large as those that the shipped network learned from.
_ONE_STYLE_PX: Final = 288


@dataclass(frozen=True)
class TrainedModel:
    """What a training ended with."""

    file: bytes
    """The model's file."""
    about: dict[str, Any]
    """What its header says: pictures, settings, losses; no paths."""
    history: list[dict[str, float]] = field(repr=False)
    """Every step's terms of the loss."""
    preview: torch.Tensor = field(repr=False)
    """``(3, h, w)`` in [0, 1]: some pictures as the network paints them."""
    skipped: dict[str, str]
    """Files that could not be used, with the reason."""
    stopped_early: bool
    leads: bool
    """Whether this process is the one that writes."""


def train_any_style(
    photos: Sequence[str],
    paintings: Sequence[str],
    settings: AnyStyleTraining,
    *,
    workdir: Path,
    leave_out: Sequence[str] = (),
    start: Path | None = None,
    on_progress: OnTrainingProgress | None = None,
    cancel: CancelToken,
) -> TrainedModel:
    """Train on folders of photos and paintings; the same call goes on where it was ended.

    Args:
        photos: folders, files or patterns; see :meth:`Collection.find`.
        paintings: the same, of styles.
        settings: how.
        workdir: where checkpoints are kept.
        leave_out: names of files that are not to be used.
        start: a model to start from; None: from chance.
        on_progress: called after every step.
        cancel: looked at between two steps.

    Raises:
        InputError: there are no pictures, or hardly any can be used; the workdir is another run's.
        WeightsError: ``start`` is no any-style model.
        DivergedError: the training left the finite numbers and could not be led back.
        OutputError: a checkpoint cannot be written.
    """
    contents = Collection.find(photos, _photo_crops(settings), seed=settings.seed, leave_out=leave_out)
    crops = Crops(settings.size, (1.0, 1.6), variants=4, recolor=0.25)
    styles = Collection.find(paintings, crops, seed=settings.seed + 1, leave_out=leave_out)
    begun: str | None = None
    if start is None:
        net, encoder = _fresh(settings.seed)
    else:
        model = load_model(start)
        begun = model.sha256
        if model.encoder is None:
            raise SettingsError(f"{start.name} is a model of one style; start from an any-style one")
        net, encoder = copy.deepcopy(model.net), copy.deepcopy(model.encoder)
    painter = Painter(net.requires_grad_(), encoder.requires_grad_())
    about = {"kind": "any-style", "start": begun}
    return _train(painter, contents, styles, settings, settings.identity_weight, about, workdir, on_progress, cancel)


def train_one_style(
    styles: Sequence[Path],
    photos: Sequence[str],
    settings: OneStyleTraining,
    *,
    workdir: Path,
    leave_out: Sequence[str] = (),
    on_progress: OnTrainingProgress | None = None,
    cancel: CancelToken,
) -> TrainedModel:
    """Train for the style that some pictures share; the same call goes on where it was ended.

    Args:
        styles: pictures of the one style.
        photos: folders, files or patterns of photos; see :meth:`Collection.find`.
        settings: how.
        workdir: where checkpoints are kept.
        leave_out: names of photos that are not to be used.
        on_progress: called after every step.
        cancel: looked at between two steps.

    Raises:
        ImageTooSmallError: a style is smaller than a crop.
        Everything else that :func:`train_any_style` raises.
    """
    pictures = [read(style) for style in styles]
    for picture in pictures:
        if min(picture.height, picture.width) < settings.size:
            raise ImageTooSmallError(
                f"style {picture.name} is {picture.width}x{picture.height} px, but {settings.size} px are needed on "
                "each side; use a larger picture or a smaller size"
            )
    contents = Collection.find(photos, _photo_crops(settings), seed=settings.seed, leave_out=leave_out)
    own = Collection.find([str(style) for style in styles], Crops(settings.size), seed=settings.seed + 1)
    # Whole pictures, as the finished network is asked for: crops differ in colour, and the mean of what they ask for,
    # each a share of its own, is darker than the style.
    filled = [fill_transparent(picture) for picture in pictures]
    whole = [_reduced(pixels, _ONE_STYLE_PX * settings.style_scale) for pixels in filled]
    shipped = load_model()
    assert shipped.encoder is not None  # noqa: S101 — the shipped one has it
    net = _fresh(settings.seed)[0] if settings.trains == "scratch" else copy.deepcopy(shipped.net)
    predictor = TorchPainter(shipped.net, shipped.encoder, torch.device("cpu"), torch.float32)
    codes = [predictor.code(pixels, scale=settings.style_scale) for pixels in filled]
    painter = Painter(net.requires_grad_(settings.trains != "code"), Code(blended(codes, [1.0] * len(codes))))
    about = {"kind": "one-style", "start": None if settings.trains == "scratch" else shipped.sha256}
    return _train(painter, contents, own, settings, 0.0, about, workdir, on_progress, cancel, whole)


def _reduced(pixels: torch.Tensor, shorter: float) -> torch.Tensor:
    """``(1, 3, h, w)``, reduced to a shorter side where it is larger."""
    height, width = pixels.shape[-2:]
    factor = min(1.0, shorter / min(height, width))
    return resize(pixels, round(height * factor), round(width * factor))


def _photo_crops(settings: TrainSettings) -> Crops:
    """How crops of photos are drawn."""
    return Crops(settings.size, (1.0, 1.6), variants=2)


def _fresh(seed: int) -> tuple[TransferNet, StyleEncoder]:
    """Networks that know nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = TransferNet()
        return net, StyleEncoder(net.code_size)


def _train(
    painter: Painter,
    contents: Collection,
    styles: Collection,
    settings: TrainSettings,
    identity: float,
    about: dict[str, Any],
    workdir: Path,
    on_progress: OnTrainingProgress | None,
    cancel: CancelToken,
    whole_styles: Sequence[torch.Tensor] = (),
) -> TrainedModel:
    """Run a training to its end; ``whole_styles`` are pictures of the one style, if it is one."""
    with ranks() as together:
        precision = choose_precision(settings.device, settings.dtype)
        network = load_network(deepest=DEEPEST, device=precision.device, dtype=precision.dtype)
        objective = Objective(network.net, settings)
        moved = [picture.to(precision.device) for picture in whole_styles]
        target = objective.style_target(moved) if moved else None
        samples = Samples(
            contents, styles, objective, seed=settings.seed, cache_mb=settings.cache_mb, style_target=target
        )
        trainer = Trainer(painter, samples, objective, settings, precision, identity=identity, ranks=together)
        shown = samples.batch(-1, max(_PREVIEW), 0)
        down, across = _PREVIEW if identity else (_PREVIEW[1], 1)

        def preview(painter: Painter) -> torch.Tensor:
            return contact_sheet(painter, shown.contents[:down], shown.styles[:across])

        about = {
            **about,
            "photos": len(contents.files),
            "styles": len(styles.files),
            "settings": settings.model_dump(mode="json", exclude={"device", "cache_mb"}),
            "processes": together.world,
            "vgg": network.sha256,
            "dtype": str(precision.dtype).removeprefix("torch."),
        }
        pictures = {"pictures": [contents.digest, styles.digest], "torch": torch.__version__}
        with open_workdir(workdir if together.leads else None, about | pictures) as folder:
            trainer.run(folder, on_progress if together.leads else None, cancel, preview)
        return _finished(trainer, about, settings, preview(trainer.averaged), (contents, styles), together)


def _finished(
    trainer: Trainer,
    about: dict[str, Any],
    settings: TrainSettings,
    preview: torch.Tensor,
    collections: tuple[Collection, Collection],
    together: Ranks,
) -> TrainedModel:
    painter = trainer.averaged
    coder = painter.coder.code if isinstance(painter.coder, Code) else painter.coder
    assert isinstance(coder, torch.Tensor | StyleEncoder)  # noqa: S101 — as the two trainings make it
    done = len(trainer.history)
    about = {**about, "steps": done, "losses": trainer.recent(), "rollbacks": trainer.rollbacks}
    skipped = collections[0].skipped | collections[1].skipped
    file = encode_model(painter.net, coder, about)
    return TrainedModel(file, about, trainer.history, preview, skipped, done < settings.steps, together.leads)
