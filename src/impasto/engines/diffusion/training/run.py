"""A training from pictures to a LoRA's file."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from impasto.engines.checkpoint import open_workdir
from impasto.engines.diffusion.cost import parameters, seconds_of_a_pass
from impasto.engines.diffusion.digests import digest_of_all
from impasto.engines.diffusion.loading import load_base, require_diffusers
from impasto.engines.diffusion.lora import encode_lora
from impasto.engines.diffusion.preflight import check_base, read_json
from impasto.engines.diffusion.registry import EDITORS, PARTS
from impasto.engines.diffusion.sources import base_files, located_base, named_model
from impasto.engines.diffusion.training.adapter import add_lora, lora_matrices, lora_parameters
from impasto.engines.diffusion.training.encoded import (
    Batches,
    Encoded,
    encode_pictures,
    keep,
    kept,
    key_of,
    text_reader,
)
from impasto.engines.diffusion.training.objective import Objective
from impasto.engines.diffusion.training.pictures import (
    LEAST_PICTURES,
    TrainingPicture,
    find_pictures,
    look_at,
    read_captions,
)
from impasto.engines.diffusion.training.samples import Sampler, paint_prior
from impasto.engines.diffusion.training.trainer import Trainer
from impasto.errors import InputError, OutOfMemoryError, OutputError, SettingsError
from impasto.images import Picture, write
from impasto.vgg import choose_precision
from impasto.whole import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from impasto.engines.diffusion.registry import Family
    from impasto.engines.diffusion.training.encoded import Text
    from impasto.engines.diffusion.training.trainer import OnTrainingProgress
    from impasto.progress import CancelToken
    from impasto.settings import DreamBoothTraining
    from impasto.vgg import Precision

_log = logging.getLogger("impasto")

#: A training that takes longer on a CPU is refused unless it is forced.
_LONGEST_S: Final = 3600.0
#: A step takes this many passes: forwards, once more where activations are computed again, and backwards.
_PASSES: Final = 4
#: Bases that were distilled to few steps: what is trained on them paints grey.
_DISTILLED: Final = frozenset({"sdxl-turbo-base"})
#: LoRAs in the workdir, of the last grids of samples.
_SNAPSHOTS: Final = 5
_MOST_SAMPLES: Final = 4
#: Settings that do not change what comes of a training.
_OF_NO_CONSEQUENCE: Final = {
    "accept_license", "checkpointing", "device", "force", "model", "sample_every", "sample_prompts",
}  # fmt: skip


@dataclass(frozen=True)
class TrainedLora:
    """What a training ended with."""

    file: bytes
    """The LoRA under diffusers' names, with how it was trained in its header."""
    about: dict[str, Any]
    """What its header says: model, settings, losses; no paths."""
    history: list[dict[str, float]] = field(repr=False)
    """Every step's terms of the loss."""
    preview: Tensor | None = field(repr=False)
    """``(3, h, w)`` in [0, 1]: samples without the LoRA above, with it below; None: none were asked for."""
    pictures: list[Path]
    """What it was trained on."""
    licence: str
    """Of the model that it was trained on; empty for a folder of the user's."""
    stopped_early: bool
    leads: bool = True
    """One process trains."""
    skipped: dict[str, str] = field(default_factory=dict)
    """None: a picture that cannot be used is refused."""


@dataclass(frozen=True)
class _Base:
    """The model that is trained on."""

    id: str | None
    folder: Path
    family: Family
    licence: str
    guidance: float
    multiple: int
    """Pixels that sides must be a multiple of: what the VAE makes one place of."""
    size: int
    """The side it was trained at."""


def train_lora(
    pictures: Sequence[str | os.PathLike[str]],
    settings: DreamBoothTraining,
    *,
    name: str,
    captions: Path | None = None,
    prior: Sequence[str | os.PathLike[str]] = (),
    workdir: Path,
    on_progress: OnTrainingProgress | None = None,
    cancel: CancelToken,
) -> TrainedLora:
    """Train a LoRA on pictures of one style; the same call goes on where it was ended.

    Args:
        pictures: files, and folders of them.
        settings: how.
        name: of the style.
        captions: a folder with a file NAME.txt for each picture; None: those beside the pictures, if there are any.
        prior: pictures that shall stay as they are without the trigger, files and folders.
        workdir: where checkpoints, samples and what was encoded are kept.
        on_progress: called after every step.
        cancel: looked at between two steps.

    Raises:
        InputError: fewer than 3 pictures, one that cannot be used, captions that are missing; the workdir is another
            run's.
        SettingsError: a licence was not accepted, a training on a CPU that would take hours, a text that is too long.
        WeightsError: the model is missing, damaged or not supported.
        MissingExtraError: the extra is not installed.
        DivergedError: the training left the finite numbers.
        OutOfMemoryError: a step does not fit.
        OutputError: something cannot be written; the last checkpoint is untouched.
        Cancelled: the token was cancelled; a checkpoint was written.
    """
    require_diffusers()
    paths = find_pictures(pictures)
    if len(paths) < LEAST_PICTURES:
        raise InputError(
            f"{len(paths)} picture(s) were given, but a style takes {LEAST_PICTURES} at least, better 10 to 30; a "
            "style of one picture is painted without training: impasto stylize --engine diffusion"
        )
    trigger = (settings.trigger or f"{name} style").strip()
    said = read_captions(paths, captions)
    base = _base(settings)
    size = settings.size or base.size
    look: dict[str, int] = {"size": size, "multiple": base.multiple}
    seen = look_at(paths, [f"{trigger}, {text}" if text else trigger for text in said], **look)
    shown, painted = _prior(prior, settings, look)
    precision = choose_precision(settings.device, settings.dtype)
    _refuse_slow(base, settings, size, precision)
    if said[0] is None:
        _log.warning(
            "the pictures have no captions; a file NAME.txt beside each, which says what it shows but not how it is "
            "painted, teaches the style rather than what is in the pictures"
        )
    pictures_of = [[_facts(picture) for picture in part] for part in (seen, shown)]
    about: dict[str, Any] = {
        "kind": "lora",
        "name": name,
        "family": base.family,
        "model": base.id,
        "base": base.folder.resolve().name,
        "base_sha256": digest_of_all(base_files(base.folder)),
        "trigger": trigger,
        "alpha": settings.rank * settings.scaling,
        "settings": settings.model_dump(mode="json", exclude=_OF_NO_CONSEQUENCE) | {"size": size, "trigger": trigger},
        "pictures": len(seen),
        "captions": said[0] is not None,
        "prior": painted or len(shown),
        "dtype": str(precision.dtype).removeprefix("torch."),
    }
    with open_workdir(workdir, about | {"files": pictures_of, "torch": torch.__version__}) as opened:
        try:
            run = _Run(base, settings, precision, workdir, about)
            trainer = run.prepared(seen, shown, painted, look, cancel)
            trainer.run(opened, on_progress, cancel, run.preview, lambda step: run.after_step(step, trainer))
            preview = run.preview() if settings.sample_every else None
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"a training with size={size} and batch={settings.batch} does not fit into the GPU's memory; use a "
                "smaller batch or size, checkpointing=on, or model=sd15-lcm"
            ) from error
        return TrainedLora(
            run.file(trainer), run.about(trainer), trainer.history, preview, paths, base.licence,
            stopped_early=trainer.step < settings.steps,
        )  # fmt: skip


class _Run:
    """One training's networks and files."""

    def __init__(
        self, base: _Base, settings: DreamBoothTraining, precision: Precision, workdir: Path, about: dict[str, Any]
    ) -> None:
        self._base, self._settings, self._precision = base, settings, precision
        self._workdir, self._about = workdir, about
        # The VAE in float32: SDXL's leaves float16's range.
        self._pipeline = load_base(base.folder, {"vae": torch.float32, "default": precision.dtype})
        self._pipeline.set_progress_bar_config(disable=True)
        self._read = text_reader(self._pipeline)
        self._samples: list[Text] = []
        self._sampler: Sampler | None = None

    def prepared(
        self,
        seen: list[TrainingPicture],
        shown: list[TrainingPicture],
        painted: int,
        look: dict[str, int],
        cancel: CancelToken,
    ) -> Trainer:
        """Paint the prior if need be, encode everything, put the LoRA on."""
        settings, pipeline = self._settings, self._pipeline
        pipeline.to(self._precision.device)
        square = look["size"] // self._base.multiple * self._base.multiple
        self._sampler = Sampler(
            pipeline, self._read(""), size=(square, square), steps=settings.sample_steps,
            guidance=self._base.guidance, precision=self._precision,
        )  # fmt: skip
        if painted and settings.prior_prompt:
            shown = self._painted_prior(settings.prior_prompt, painted, look, cancel)
        prompts = settings.sample_prompts or tuple(dict.fromkeys(each.caption for each in seen))[:_MOST_SAMPLES]
        self._samples = [self._read(prompt) for prompt in prompts]
        encoded = self._encoded([seen, shown])
        pipeline.text_encoder = None
        if self._base.family == "sdxl":
            pipeline.text_encoder_2 = None
        unet = pipeline.unet.to("cpu")  # where the LoRA's first numbers are drawn, the same for every device
        add_lora(unet, settings, self._base.family)
        unet.to(self._precision.device)
        if settings.checkpointing == "on":
            unet.enable_gradient_checkpointing()
        _check_room(self._workdir, sum(each.numel() for each in lora_parameters(unet).values()))
        objective = Objective(
            unet, pipeline.scheduler, gamma=settings.snr_gamma, seed=settings.seed, precision=self._precision
        )
        batches, prior = (Batches(each, settings.batch, settings.seed) if each.pictures else None for each in encoded)
        assert batches is not None  # noqa: S101 — there are at least three pictures
        return Trainer(unet, batches, prior, objective, settings)

    def preview(self) -> Tensor:
        """Samples without the LoRA above, with it below."""
        assert self._sampler is not None  # noqa: S101 — it was prepared
        return self._sampler.grid(self._samples, self._settings.seed)

    def after_step(self, step: int, trainer: Trainer) -> None:
        """Every so often a grid of samples, and the LoRA that painted it."""
        every = self._settings.sample_every
        if not every or step % every:
            return
        write(Picture(self.preview()), self._workdir / f"samples-{step:06}.png")
        write_whole(self._workdir / f"lora-{step:06}.safetensors", self.file(trainer))
        for old in sorted(self._workdir.glob("lora-*.safetensors"))[:-_SNAPSHOTS]:
            old.unlink()

    def about(self, trainer: Trainer) -> dict[str, Any]:
        """What the file's header says."""
        return {**self._about, "steps": trainer.step, "losses": trainer.recent()}

    def file(self, trainer: Trainer) -> bytes:
        """The LoRA as it is now."""
        down, up = lora_matrices(self._pipeline.unet)
        return encode_lora(down, up, alpha=self._about["alpha"], family=self._base.family, about=self.about(trainer))

    def _painted_prior(
        self, prompt: str, count: int, look: dict[str, int], cancel: CancelToken
    ) -> list[TrainingPicture]:
        sampler, text = self._sampler, self._read(prompt)
        assert sampler is not None  # noqa: S101 — made before
        paths = paint_prior(
            self._workdir / "prior", count, self._settings.seed, lambda seed: sampler.paint(text, seed), cancel
        )
        return look_at(paths, [prompt] * count, **look)

    def _encoded(self, parts: list[list[TrainingPicture]]) -> list[Encoded]:
        key = key_of(self._about["base_sha256"], [[_facts(picture) for picture in part] for part in parts])
        file = self._workdir / "encoded.safetensors"
        found = kept(file, key, parts)
        if found is None:
            found = [encode_pictures(part, self._pipeline.vae, self._read) for part in parts]
            keep(file, key, found)
        return found


def _base(settings: DreamBoothTraining) -> _Base:
    """The model that is trained on, checked."""
    model, folder = named_model(settings.model)
    if (check_base(folder) if model is None else model.family) in EDITORS:
        raise SettingsError(
            f"model {folder.name} cannot be trained on here; use sdxl, sd15-lcm or a folder of one of their families"
        )
    if model is not None:
        folder = located_base(model, accept_license=settings.accept_license)
        if model.base in _DISTILLED:
            _log.warning(
                "%s was distilled to few steps, and trains badly; train on sdxl, and paint with either", model.id
            )
    family = check_base(folder)
    unet, vae = (read_json(folder / name / "config.json") for name in ("unet", "vae"))
    multiple = int(2 ** (len(vae.get("block_out_channels", (1,) * 4)) - 1))
    return _Base(
        None if model is None else model.id,
        folder,
        family,
        "" if model is None else PARTS[model.base].licence,
        5.0,
        multiple,
        int(unet["sample_size"]) * multiple,
    )


def _prior(
    sources: Sequence[str | os.PathLike[str]], settings: DreamBoothTraining, look: dict[str, int]
) -> tuple[list[TrainingPicture], int]:
    """The prior's pictures, and how many are to be painted."""
    if not sources:
        return [], settings.prior_count if settings.prior_prompt else 0
    paths = find_pictures(sources)
    captions = read_captions(paths, None)
    if captions[0] is None and not settings.prior_prompt:
        raise SettingsError(
            "prior pictures are given without words for them; give prior_prompt, such as a photo, or a file NAME.txt "
            "beside each"
        )
    return look_at(paths, [text or settings.prior_prompt or "" for text in captions], **look), 0


def _refuse_slow(base: _Base, settings: DreamBoothTraining, size: int, precision: Precision) -> None:
    """Refuse a training on a CPU that would take hours.

    Raises:
        SettingsError: with the estimate.
    """
    if precision.device.type != "cpu" or settings.force:
        return
    a_pass = seconds_of_a_pass(
        base.family,
        parameters(base.folder / "unet"),
        (size // base.multiple) ** 2,
        device=precision.device,
        dtype=precision.dtype,
    )
    expected = a_pass * _PASSES * settings.batch * settings.accumulation * settings.steps
    if expected > _LONGEST_S:
        raise SettingsError(
            f"on this processor {settings.steps} steps would take about {expected / 3600:,.0f} hours; train on a GPU, "
            "or a network of engine fast here (impasto train style); force=true trains all the same"
        )


def _check_room(workdir: Path, numbers: int) -> None:
    """Refuse to begin where the checkpoints would not fit.

    Raises:
        OutputError: says how much is missing.
    """
    needed = numbers * 4 * 3 * 2  # weights and AdamW's two moments, the old checkpoint beside the new one
    free = shutil.disk_usage(workdir).free
    if free < needed:
        raise OutputError(
            f"checkpoints in {str(workdir)!r} take {needed / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free "
            "there; make room, or use another workdir"
        )


def _facts(picture: TrainingPicture) -> list[Any]:
    """What makes a picture the same for a training."""
    return [picture.sha256, picture.caption, list(picture.bucket)]
