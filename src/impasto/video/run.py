"""One video from its first frame to its last: read, painted and written at the same time, and gone on with later.

What is painted is written in segments, each a file that can be played; between two of them the state is kept. So a run
that was ended goes on behind its last segment, and whatever is finished can be joined to a video at any time.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

import torch

from impasto.engines.checkpoint import Checkpoint
from impasto.images import resize
from impasto.progress import VideoProgress
from impasto.video.following import Past, follow, revise, steadied
from impasto.video.footage import probe
from impasto.video.pipeline import Behind, ahead
from impasto.video.reading import FrameReader, as_tensor
from impasto.video.writing import SegmentWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from impasto.engines.checkpoint import Workdir
    from impasto.engines.frames import FramePainter
    from impasto.progress import CancelToken
    from impasto.settings import VideoSettings
    from impasto.video.following import Followed
    from impasto.video.footage import Footage
    from impasto.video.masks import Mask
    from impasto.video.reading import Frame
    from impasto.video.writing import Encoding

    OnVideoProgress = Callable[[VideoProgress], None]

#: A segment is closed, and the state kept, after so many seconds of work.
_SEGMENT_S: Final = 10.0
#: Frames ago that an engine looks at which can hold on to more than the one before: Ruder et al. 2016, section 5.2.
_LONG_TERM: Final = (1, 10)


@dataclass
class Painted:
    """What there is of a video so far."""

    segments: list[Path] = field(default_factory=list)
    """Files in their order."""
    frames: int = 0
    damaged: int = 0
    """Of these, frames that could not be read; the one before stands for each."""
    cuts: int = 0
    seconds: float = 0.0
    """Of painting."""
    last_pts: int | None = None
    complete: bool = False
    truncated: bool = False
    """Whether the source ends in the middle."""


class VideoRun:
    """Paints a video into the segments of a folder.

    Args:
        footage: what is painted.
        painter: paints its frames.
        encoding: of the segments.
        settings: of the video.
        shares: of the styles at a time in seconds; None: those of the engine's settings.
        masks: of the regions, in their order.
        folder: of the segments.
        workdir: of the state.
        before: what an earlier pass painted, in files in their order.
    """

    def __init__(
        self,
        footage: Footage,
        painter: FramePainter,
        encoding: Encoding,
        settings: VideoSettings,
        *,
        shares: Callable[[float], Sequence[float]] | None,
        masks: Sequence[Mask],
        folder: Path,
        workdir: Workdir,
        before: Sequence[Path] = (),
    ) -> None:
        self._footage, self._painter, self._encoding, self._settings = footage, painter, encoding, settings
        self._shares, self._masks, self._folder, self._workdir = shares, masks, folder, workdir
        self._gaps = () if settings.smooth == 0 else _LONG_TERM if painter.long_term else (1,)
        self._before, self._past = before, Past(self._gaps)
        self.done = Painted()

    def __call__(self, on_progress: OnVideoProgress | None, cancel: CancelToken) -> None:
        """Paint to the end, or until ``cancel`` is stopped.

        Raises:
            InputError: the video cannot be read on; what was painted is in :attr:`done`.
            OutputError: a segment or the state cannot be written.
            Cancelled: the token was cancelled.
        """
        self._resume()
        began, before = time.perf_counter(), self.done.seconds
        settings, after = self._settings, self.done.last_pts
        with ExitStack() as stack:
            for mask in self._masks:
                stack.enter_context(mask)
            reader = stack.enter_context(
                FrameReader(self._footage, settings.start, settings.end, after_pts=after, strict=settings.strict)
            )
            earlier = self.done.damaged
            followed = follow(iter(reader), list(self._past.inputs), self._gaps)
            if self._before:
                followed = revise(followed, islice(_pictures(self._before), self.done.frames, None))
            frames = ahead(followed)
            stack.enter_context(closing(frames))
            while not self.done.complete and not cancel.stopped:
                self._segment(frames, began - before, on_progress, cancel)
                self.done.damaged = earlier + reader.damaged
                self.done.seconds = time.perf_counter() - began + before
                self.done.truncated = reader.truncated
                self._save()

    def _segment(
        self,
        frames: Iterator[Followed],
        began: float,
        on_progress: OnVideoProgress | None,
        cancel: CancelToken,
    ) -> None:
        """Paint one segment; without a single frame there is no file."""
        path = self._folder / f"segment-{len(self.done.segments):05}{self._encoding.segment_suffix}"
        end, count = time.perf_counter() + _SEGMENT_S, 0
        try:
            with SegmentWriter(path, self._encoding) as writer, Behind(writer.write) as behind:
                for followed in frames:
                    cancel.check()
                    output = self._painted(followed)
                    behind.put(followed.frame.pts, *self._coded(output, followed.frame))
                    count += 1
                    self.done.last_pts = followed.frame.pts
                    if on_progress is not None:
                        on_progress(self._progress(self.done.frames + count, began, output))
                    if time.perf_counter() > end or cancel.stopped:
                        break
                else:
                    self.done.complete = True
        finally:  # what was painted before an error is a segment too
            if count:
                self.done.frames += count
                self.done.segments.append(path)
            else:
                path.unlink(missing_ok=True)

    def _painted(self, followed: Followed) -> Tensor:
        """One frame ``(1, 3, h, w)``, agreeing with the ones before as far as it may."""
        frame, seconds = followed.frame, float(followed.frame.pts * self._footage.time_base)
        held, earlier = self._past.held(followed), followed.earlier
        output = self._painter.paint(
            as_tensor(frame.pixels),
            shares=None if self._shares is None else self._shares(seconds),
            masks=[mask.at(seconds) for mask in self._masks],
            held=held,
            start=None if earlier is None else as_tensor(earlier.own),
        )
        if not self._painter.long_term:
            output = steadied(output, held, self._settings.smooth)
        if not followed.motions and self.done.last_pts is not None and self._gaps:
            self.done.cuts += 1
        self._past.keep(followed, output)
        return output

    def _coded(self, output: Tensor, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """A frame as it is written: 8 bits, rows of pixels, and its alpha at the same size."""
        pixels = output[0].permute(1, 2, 0).mul(255).round_().byte().contiguous().numpy()
        if frame.alpha is None:
            return pixels, None
        alpha = resize(torch.from_numpy(frame.alpha)[None, None].float() / 255, *pixels.shape[:2])
        return pixels, (alpha[0, 0] * 255).round_().byte().numpy()

    def _progress(self, count: int, began: float, output: Tensor) -> VideoProgress:
        spent = time.perf_counter() - began
        total = self._footage.frames_between(self._settings.start, self._settings.end)
        return VideoProgress(
            frame=count,
            frames=total,
            fps=count / spent,
            elapsed_s=spent,
            eta_s=None if total is None else spent / count * max(0, total - count),
            preview=lambda: output[0].clone(),
        )

    def _save(self) -> None:
        """Keep where the run stands: behind a segment that is closed."""
        done = self.done
        facts = {
            "segments": [path.name for path in done.segments],
            **{name: getattr(done, name) for name in ("frames", "damaged", "cuts", "seconds", "last_pts", "complete")},
        }
        tensors = {f"painter.{name}": tensor for name, tensor in self._painter.state().items()}
        self._workdir.save(Checkpoint(tensors | self._past.state(), facts))

    def _resume(self) -> None:
        """Stand where the run was ended."""
        checkpoint = self._workdir.load()
        if checkpoint is None:
            return
        facts = dict(checkpoint.facts)
        self.done = Painted(segments=[self._folder / name for name in facts.pop("segments")], **facts)
        tensors = dict(checkpoint.tensors)
        state = {name: tensor for name, tensor in tensors.items() if name.startswith("painter.")}
        self._painter.restore({name.removeprefix("painter."): tensor for name, tensor in state.items()})
        self._past.restore({name: tensor for name, tensor in tensors.items() if name not in state})


def _pictures(segments: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    """All frames of some files, ``(h, w, 3)`` RGB."""
    for path in segments:
        with FrameReader(probe(path)) as reader:
            for frame in reader:
                yield frame.pixels
