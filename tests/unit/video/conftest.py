"""Synthetic clips, made in code: each frame has a brightness of its own, so that it can be told from the others."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: Frames at irregular times, milliseconds.
IRREGULAR = (0, 40, 100, 130, 300, 333, 400, 900)
#: Brightness of a frame above that of the one before.
STEP = 20
SIZE = (64, 48)
RATE = 25
SOUND_RATE = 48000
MS = Fraction(1, 1000)


def painted(index: int, size: tuple[int, int] = SIZE, alpha: int | None = None) -> NDArray[Any]:
    """Frame ``index``: grey by its number, the upper left quarter red."""
    width, height = size
    pixels = np.full((height, width, 3), 20 + STEP * (index % 11), np.uint8)
    pixels[: height // 2, : width // 2] = (200, 30, 30)
    if alpha is None:
        return pixels
    return np.dstack([pixels, np.full((height, width), alpha, np.uint8)])


def number(pixels: NDArray[Any]) -> int:
    """Which frame of a clip this is."""
    return round((float(pixels[-8:, -8:].mean()) - 20) / STEP)


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Makes a clip."""

    def make(
        name: str = "clip.mp4",
        *,
        times: Sequence[int] = range(0, 400, 40),
        codec: str = "libx264",
        pixels: str = "yuv420p",
        size: tuple[int, int] = SIZE,
        sound: str | None = None,
        sound_s: float = 0.4,
        alpha: int | None = None,
        tags: dict[str, int] | None = None,
        options: dict[str, str] | None = None,
        matrix: int = 1,
        full_range: bool = False,
        title: str | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            if title is not None:
                container.metadata["title"] = title
            stream = container.add_stream(codec, rate=RATE, options=options or {"g": "5"})
            stream.width, stream.height, stream.pix_fmt = *size, pixels
            stream.time_base = stream.codec_context.time_base = MS
            context = stream.codec_context
            context.colorspace, context.color_range = matrix, 2 if full_range else 1
            for tag, value in (tags or {}).items():
                setattr(context, tag, value)
            if alpha is not None and codec.startswith("libvpx"):
                stream.metadata["alpha_mode"] = "1"
            if sound is not None:
                track: Any = container.add_stream(sound, rate=SOUND_RATE, layout="stereo")
            for index, time in enumerate(times):
                frame = av.VideoFrame.from_ndarray(
                    painted(index, size, alpha), format="rgb24" if alpha is None else "rgba"
                ).reformat(
                    format=pixels, dst_colorspace=matrix, src_color_range=2, dst_color_range=2 if full_range else 1
                )
                frame.pts, frame.time_base = time, MS
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if sound is not None:
                wave = np.sin(np.arange(int(SOUND_RATE * sound_s)) * 2 * np.pi * 440 / SOUND_RATE)
                heard = av.AudioFrame.from_ndarray(
                    np.tile((wave * 20000).astype(np.int16), (2, 1)).T.reshape(1, -1), format="s16", layout="stereo"
                )
                heard.sample_rate, heard.pts, heard.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
                container.mux(track.encode(heard))
                container.mux(track.encode(None))
        return path

    return make


def scenery(seed: int = 0, height: int = 240, width: int = 480) -> NDArray[np.uint8]:
    """A still scene with detail at all sizes, so that its motion can be seen: ``(height, width, 3)``."""
    chance = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for size in (4, 8, 16, 32, 64):
        coarse = chance.uniform(0, 1, (-(-height // size) + 1, -(-width // size) + 1, 3)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(total * 51, 0, 255).astype(np.uint8)
