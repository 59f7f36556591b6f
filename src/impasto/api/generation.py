"""Pictures from words alone, in a style: text-to-image with engine diffusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.api.stylize import stylize
from impasto.errors import SettingsError
from impasto.settings.diffusion import OF_A_CONTENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from impasto.api.styles import ImageLike
    from impasto.engines.base import RunPlan, Stylization
    from impasto.progress import CancelToken, OnProgress

_SIDES = range(16, 4097)
_SQUARE = 64


def generate(
    style: ImageLike | Sequence[ImageLike],
    prompt: str,
    *,
    width: int | None = None,
    height: int | None = None,
    on_plan: Callable[[RunPlan], None] | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> Stylization:
    """A picture of what the words say, in a style.

    Args:
        style: a style that was trained (:func:`impasto.api.train_dreambooth`) by its name, folder or archive; or one
            without, or pictures, which then are references of an IP-Adapter.
        prompt: what is to be seen, in words; the trigger of a trained style is put before it.
        width: of the picture in pixels, 16 to 4096; by default that of the model's own square.
        height: give both or neither.
        on_plan: as in :func:`impasto.stylize`.
        on_progress: as in :func:`impasto.stylize`.
        cancel: as in :func:`impasto.stylize`.
        **settings: of engine diffusion (:class:`impasto.settings.DiffusionSettings`), but those of a content.

    Returns:
        The picture with its recipe. The recipe's content is a grey picture of its size.

    Raises:
        SettingsError: a setting is unknown, out of bounds or about a content.
        Everything else that :func:`impasto.stylize` raises.

    Example:
        >>> import impasto
        >>> impasto.generate("my-style", "a harbour at dusk", seed=3).save("harbour.png")  # doctest: +SKIP
    """
    for name in sorted(OF_A_CONTENT & set(settings)):
        raise SettingsError(f"{name} is about the content, and a picture from words has none; leave it out")
    if (width is None) != (height is None):
        raise SettingsError("width and height belong together; give both or neither")
    sides = {} if width is None or height is None else {"width": width, "height": height}
    for name, side in sides.items():
        if side not in _SIDES:
            raise SettingsError(f"{name}={side} cannot be used: give {_SIDES[0]} to {_SIDES[-1]}")
    blank = np.full((sides.get("height", _SQUARE), sides.get("width", _SQUARE), 3), 128, np.uint8)
    return stylize(
        blank,
        style,
        engine="diffusion",
        preserve="free",
        prompt=prompt,
        image_size=max(sides.values()) if sides else None,
        on_plan=on_plan,
        on_progress=on_progress,
        cancel=cancel,
        **settings,
    )
