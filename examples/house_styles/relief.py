"""Light on a height field: what makes paint, lead and stone look thick."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def shade(
    colour: NDArray, height: NDArray, strength: float = 1.0, gloss: float = 0.0, soften: float = 0.7
) -> NDArray[np.float32]:
    """`colour` lit from the upper left over `height` (in pixels), with an optional wet shine."""
    surface = gaussian_filter(height.astype(np.float32), soften) if soften else height
    down, across = np.gradient(surface)
    facing = -(across + down) * 0.7071 * strength
    lit = 1.0 + np.where(facing > 0, 0.55, 0.75) * np.tanh(facing)
    shine = gloss * np.clip(np.tanh(facing) - 0.35, 0, 1) ** 2
    return np.clip(colour * lit[..., None] + shine[..., None], 0, 1).astype(np.float32)
