"""Where in a UNet an IP-Adapter acts, and how strongly.

diffusers takes any table of blocks: a name that the UNet does not have leaves the adapter off, without an error. Here
a name must be one of the UNet's.

Source: Wang et al., "InstantStyle", 2024, section 3.2: in SDXL ``up_blocks.0.attentions.1`` carries style,
``down_blocks.2.attentions.1`` layout. For Stable Diffusion 1.5 its authors name ``up_blocks.1`` as an experiment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from impasto.errors import SettingsError

if TYPE_CHECKING:
    from impasto.engines.diffusion.registry import Family

#: What ``blocks`` may name, as beginnings of names of attention processors.
_NAMED: Final[dict[Family, dict[str, tuple[str, ...]]]] = {
    "sdxl": {
        "style": ("up_blocks.0.attentions.1",),
        "style+layout": ("up_blocks.0.attentions.1", "down_blocks.2.attentions.1"),
    },
    "sd15": {"style": ("up_blocks.1",), "style+layout": ("up_blocks.1", "down_blocks.2")},
}


def read_blocks(text: str, family: Family) -> dict[str, float]:
    """The setting ``blocks`` as a table: beginnings of names, and the weight of each.

    Raises:
        SettingsError: a weight is no number, negative, or a block is named twice.

    Example:
        >>> read_blocks("style", "sdxl")
        {'up_blocks.0.attentions.1': 1.0}
    """
    if text == "all":
        return {"": 1.0}
    if text in _NAMED[family]:
        return dict.fromkeys(_NAMED[family][text], 1.0)
    table: dict[str, float] = {}
    for part in text.split(","):
        name, equals, weight = part.strip().partition("=")
        try:
            value = float(weight) if equals else 1.0
        except ValueError:
            value = -1.0
        if not 0 <= value <= 10 or not name or name in table:
            raise SettingsError(
                f"blocks={text!r} cannot be used: {part.strip()!r} is no block with a weight from 0 to 10, or is named "
                "twice; give style, style+layout, all or such as up_blocks.0.attentions.1=0.8"
            )
        table[name] = value
    return table


def scales_of(table: dict[str, float], scale: float, unet: Any) -> dict[str, float]:
    """How strongly the adapter acts in each cross-attention of a UNet.

    Args:
        table: as :func:`read_blocks` gives it.
        scale: multiplied onto all weights.
        unet: diffusers' ``UNet2DConditionModel``.

    Returns:
        One entry for every cross-attention's processor, by its name.

    Raises:
        SettingsError: the UNet has no such block, or none with cross-attention.
    """
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for block in table:
        if block and not any(name.startswith(f"{block}.") for name in names):
            there = sorted({name.split(".transformer_blocks")[0] for name in names})
            raise SettingsError(f"the model has no block {block!r} that an adapter acts in; it has {', '.join(there)}")
    scales = dict.fromkeys(names, 0.0)
    for block, weight in table.items():
        for name in names:
            if not block or name.startswith(f"{block}."):
                scales[name] = weight * scale
    return scales
