"""Models that are told to edit: which settings mean something to them, what they are told, which pictures they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from impasto.errors import ImageTooSmallError, InputError, SettingsError
from impasto.settings import DiffusionSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.engines.base import Region
    from impasto.images import Picture

#: What a picture that is shown must have on each side, and how many times longer than wide it may be.
LEAST_PX: Final = 64
MOST_TIMES: Final = 8
#: A picture that is shown is made smaller than that before: what the models were trained with.
MOST_PIXELS: Final = 1024 * 1024

_TAKES: Final = frozenset(
    {
        "accept_license",
        "bit_depth",
        "color",
        "color_when",
        "device",
        "dtype",
        "guidance_scale",
        "image_size",
        "memory",
        "model",
        "palette",
        "prompt",
        "seed",
        "steps",
    }
)


def check_settings(settings: DiffusionSettings, name: str) -> None:
    """Refuse settings that such a model has no use for.

    A recipe names every setting, so that what differs from its default counts as given.

    Args:
        settings: as they were given.
        name: of the model.

    Raises:
        SettingsError: one of them is given.
    """
    if settings.preserve == "free":  # also what a picture from words alone asks for
        raise SettingsError(
            f"preserve=free, a picture from words, cannot be had of model {name}, which repaints a content; leave "
            "preserve out and give a content, or take model=sdxl"
        )
    for field, info in DiffusionSettings.model_fields.items():
        if field not in _TAKES and getattr(settings, field) != info.default:
            raise SettingsError(
                f"{field} cannot be used with model {name}, which takes {', '.join(sorted(_TAKES))}; leave it out, or "
                "take model=sdxl"
            )


def check_guidance(settings: DiffusionSettings, name: str, index: dict[str, Any]) -> None:
    """Refuse guidance where the model was distilled to go without: its pipeline would ignore it.

    Args:
        settings: as they were given.
        name: of the model.
        index: its model_index.json.

    Raises:
        SettingsError: it is above 1.
    """
    if index.get("is_distilled") and (settings.guidance_scale or 0) > 1:
        raise SettingsError(
            f"guidance_scale={settings.guidance_scale:g} cannot be used with model {name}, which was distilled to go "
            "without guidance (at most 1); leave it out"
        )


def check_pictures(styles: Sequence[Picture], regions: Sequence[Region], name: str) -> None:
    """Refuse pictures that the model cannot be shown; a content is padded instead.

    Raises:
        SettingsError: regions, of which it knows nothing.
        ImageTooSmallError: a style is too small.
        InputError: a style is too narrow.
    """
    if regions:
        raise SettingsError(
            f"regions cannot be painted by model {name}, which paints a picture as a whole; leave them out, or take "
            "model=sdxl"
        )
    for style in styles:
        short, long = sorted((style.width, style.height))
        if short < LEAST_PX:
            raise ImageTooSmallError(
                f"style {style.name} is {style.width}x{style.height} px, but model {name} needs {LEAST_PX} px on each "
                "side; use a larger picture"
            )
        if long > MOST_TIMES * short:
            raise InputError(
                f"style {style.name} is {style.width}x{style.height} px, but model {name} takes pictures up to "
                f"{MOST_TIMES} times as long as wide; crop it"
            )


def instruction(prompt: str, styles: int) -> str:
    """What the model is told: the user's own words, else to paint the first picture in the style of the others."""
    if prompt:
        return prompt
    others = "the second image" if styles == 1 else f"the other {styles} images taken together"
    return (
        f"Repaint the first image in the artistic style of {others}, with the colors, the brushwork and the texture "
        "found there. Keep the subjects, the shapes and the composition of the first image, and take over no objects."
    )


def shown_pixels(height: int, width: int, styles: Sequence[Picture]) -> int:
    """Pixels of everything that the model is shown for an output of that size."""
    return sum(min(each, MOST_PIXELS) for each in [height * width, *(style.width * style.height for style in styles)])
