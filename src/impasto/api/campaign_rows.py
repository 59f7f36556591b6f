"""One job of a campaign, from paths to written files: what runs in every worker, here or on a cluster."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from impasto.api.styles import resolved
from impasto.api.stylize import stylize
from impasto.batch.channels import for_channel
from impasto.batch.job import Job, Result
from impasto.batch.protection import protected
from impasto.engines.base import Region
from impasto.errors import ImpastoError, InputError, OutputError
from impasto.evaluation.gates import Gates, colors_of
from impasto.evaluation.judge import judge_views
from impasto.evaluation.metric import choose_metrics
from impasto.evaluation.metrics.style import style_gain
from impasto.evaluation.swatches import palette_adherence
from impasto.evaluation.view import View, views
from impasto.images import Picture, encode, read, write
from impasto.palette import parse_palette
from impasto.progress import Cancelled
from impasto.vgg.precision import release_memory
from impasto.whole import write_whole

if TYPE_CHECKING:
    from impasto.engines.base import Stylization
    from impasto.progress import CancelToken, OnProgress

#: How near to the campaign's style gain a picture is brought, and in how many runs at most.
_NEAR: Final = 0.01
_RUNS: Final = 5
#: Strengths below it leave a photo with hardly any style, whatever the figure says.
_LEAST_STRENGTH: Final = 0.3
#: Styles as they are judged, with tens of MiB of activations each.
_STYLE_VIEWS: Final[dict[tuple[object, ...], View]] = {}
_STYLE_VIEWS_MOST: Final = 8


def paint_job(job: Job, *, on_progress: OnProgress | None = None, cancel: CancelToken | None = None) -> Result:
    """Paint, judge and write one picture in all its formats; whatever goes wrong becomes a result that says so.

    Raises:
        Cancelled: through the token.
    """
    began = time.perf_counter()
    try:
        return _painted(_Run(job, on_progress, cancel), began)
    except Cancelled:
        raise
    except ImpastoError as error:
        return Result.failed(job, " ".join(str(error).split()))
    except MemoryError:
        return Result.failed(job, "there is not enough memory; use a smaller image_size or fewer workers")
    except Exception as error:  # noqa: BLE001 — one row never ends the others
        return Result.failed(job, f"internal error: {type(error).__name__}: {' '.join(str(error).split())}")
    finally:
        release_memory()  # the next picture has another shape


def measure_job(job: Job, *, on_progress: OnProgress | None = None, cancel: CancelToken | None = None) -> Result:
    """The style gain of a picture at its full strength; nothing is written but its mask.

    Raises:
        Cancelled: through the token.
    """
    try:
        run = _Run(job, on_progress, cancel)
        made = run.made(run.settings.get("strength", 1.0))
        return Result.done(job, values={"style_gain": run.gain(made)}, width=made.picture.width)
    except Cancelled:
        raise
    except ImpastoError as error:
        return Result.failed(job, " ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 — it will be told when the picture is painted
        return Result.failed(job, f"internal error: {type(error).__name__}: {' '.join(str(error).split())}")
    finally:
        release_memory()


class _Run:
    """A job with its pictures read."""

    def __init__(self, job: Job, on_progress: OnProgress | None, cancel: CancelToken | None) -> None:
        self._watched = {"on_progress": on_progress, "cancel": cancel}
        self.job, self.content = job, read(job.content)
        self.pictures, self.settings = resolved(job.engine, [job.source], dict(job.settings))
        self.styles = [read(one) for one in self.pictures]
        mask = None if job.mask is None else read(job.mask)
        free = protected(
            self.content,
            mask=mask,
            keep=job.keep,
            keep_tolerance=job.keep_tolerance,
            faces=job.faces,
            feather=job.feather,
        )
        self.share = 0.0 if free is None else float(free.mean())
        self.mask = "" if free is None else self._written(1 - free)
        self._free = read(Path(job.place) / self.mask) if self.mask else None
        self._contents: dict[bool, View] = {}

    def made(self, strength: float) -> Stylization:
        """Painted with a strength."""
        settings = {**self.settings, **self._watched, "strength": strength}
        if self._free is None:
            return stylize(self.content, self.styles, engine=self.job.engine, **settings)
        regions = [Region(self._free, style) for style in self.styles]
        return stylize(self.content, regions=regions, engine=self.job.engine, **settings)

    def gain(self, made: Stylization) -> float:
        """Style gain of the picture as it would be written."""
        trio = self.seen(made.picture)
        with torch.inference_mode():
            return style_gain(*trio)

    def seen(self, output: Picture, **about: Any) -> tuple[View, View, View]:
        """The views that are judged; the content is looked at once for all outputs, the style once a worker."""
        ours, content, style = views(output, self.content, self.styles, **about)
        gray = bool(about.get("gray"))
        if gray not in self._contents or self._contents[gray].pixels.shape != content.pixels.shape:
            self._contents[gray] = content
        which = (tuple(one.sha256 for one in self.styles), tuple(style.pixels.shape), gray)
        if which not in _STYLE_VIEWS:
            if len(_STYLE_VIEWS) >= _STYLE_VIEWS_MOST:
                _STYLE_VIEWS.clear()
            _STYLE_VIEWS[which] = style
        return ours, self._contents[gray], _STYLE_VIEWS[which]

    def _written(self, mask: torch.Tensor) -> str:
        """The mask as a file, by which the recipe names it; its name is its content's hash.

        Raises:
            InputError: nothing is left to be painted.
            OutputError: it cannot be written.
        """
        if float(mask.max()) < 0.5 / 255:
            raise InputError("all of the picture is protected, so nothing is left to paint; protect less of it")
        data = encode(Picture(mask[0].expand(3, -1, -1).contiguous()), ".png")
        name = f"masks/{hashlib.sha256(data).hexdigest()[:16]}.png"
        path = Path(self.job.place) / name
        if not path.exists():
            _make_folder(path.parent)
            write_whole(path, data)
        return name


def _painted(run: _Run, began: float) -> Result:
    """Everything that is done for one job."""
    job = run.job
    full = float(run.settings.get("strength", 1.0))
    strength, made = _levelled(run, full)
    place = Path(job.place)
    target = place / job.output
    for name in job.outputs:
        _make_folder((place / name).parent)
    made.save(target)
    written = read(target)  # the saved file counts
    found = _judged(run, written, made)
    for channel, name in zip(job.channels, job.files, strict=True):
        write(
            for_channel(written, channel),
            place / name,
            metadata=made.recipe.to_json(),
            source_type=made.recipe.source_type,
            quality=channel.quality,
        )
    return Result.done(
        job,
        width=written.width,
        height=written.height,
        mask=run.mask,
        protected=round(run.share, 4),
        strength=round(strength, 4),
        seconds=round(time.perf_counter() - began, 3),
        peak_memory_mb=round(made.peak_memory_mb, 1),
        **found,
    )


def _make_folder(path: Path) -> None:
    """Make a folder.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {str(path)!r}: {error.strerror or error}") from error


def _levelled(run: _Run, full: float) -> tuple[float, Stylization]:
    """Painted with the strength that gives the campaign's style gain, or the full one where that gives less.

    By false position between no strength and the full one (the Illinois variant), so every guess lies between two that
    are known to be too weak and too strong.
    """
    made = run.made(full)
    target = run.job.target
    # Where the style hardly takes, a target of 0 or below lies under that of no strength: there is nothing to search.
    if target is None or target <= 0 or (gain := run.gain(made)) <= target + _NEAR:
        return full, made
    low, high, below, above, strength = 0.0, full, -target, gain - target, full
    side = 0
    for _ in range(_RUNS):
        strength = max(_LEAST_STRENGTH * full, (low * above - high * below) / (above - below))
        made = run.made(strength)
        off = run.gain(made) - target
        if abs(off) <= _NEAR or strength <= _LEAST_STRENGTH * full:
            break
        if off > 0:
            high, above = strength, off
            below, side = (below / 2 if side > 0 else below), 1
        else:
            low, below = strength, off
            above, side = (above / 2 if side < 0 else above), -1
    return strength, made


def _judged(run: _Run, written: Picture, made: Stylization) -> dict[str, Any]:
    """Figures of what was written, and what the gates say."""
    whose = colors_of(made.recipe.settings)
    palette = run.settings.get("palette") if whose == "palette" else None
    swatches = () if palette is None else parse_palette(tuple(palette))
    about = {"gray": True, "swatches": swatches} if whose != "style" else {}
    trio = run.seen(written, **about)
    metrics = choose_metrics(["palette_distance"] if swatches else [])
    values = judge_views(*trio, metrics)
    verdict = Gates.load(engine=run.job.engine, colors=whose, thresholds=run.job.gates).judge(values)
    lab = trio[0].lab.mean(1).tolist()
    return {
        "outcome": verdict.outcome,
        "reasons": verdict.reasons,
        "values": {name: round(value, 5) for name, value in values.items()},
        "lab": tuple(round(one, 5) for one in lab),
        "close": palette_adherence(trio[0], swatches).within_close if swatches else None,
    }
