"""What a LoRA is, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from impasto.engines.diffusion.registry import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping


def lora_card(name: str, about: Mapping[str, Any], licence: str) -> str:
    """A LoRA's card, in Markdown: model, data, settings, losses, limits. No folder and no picture is named.

    Args:
        name: of the style.
        about: what the file's header says.
        licence: of the model that it was trained on; empty where it is not known.
    """
    settings = "\n".join(f"| `{key}` | {value} |" for key, value in about["settings"].items())
    losses = "\n".join(f"| {term} | {loss:.4g} |" for term, loss in about["losses"].items())
    shown = about["settings"]["prior_prompt"]
    prior = f" {about['prior']} others{f' of `{shown}`' if shown else ''} were kept as they were."
    model = f"{about['model'] or about['base']}` (SHA-256 of its files {about['base_sha256']}"
    rank = f"rank {about['settings']['rank']} (alpha {about['alpha']:g})"
    return (
        "\n\n".join(
            (
                f"# {name}",
                f"A LoRA of {rank} for {FAMILIES[about['family']]}, trained by `impasto train dreambooth`.",
                f"Say `{about['trigger']}` in the prompt; impasto does it by itself.",
                "## Model",
                f"Trained on `{model}). "
                + (
                    f"Its licence, {licence}, holds for what is painted with it."
                    if licence
                    else "Its licence is not known."
                ),
                "## Data",
                f"{about['pictures']} pictures, {'with' if about['captions'] else 'without'} captions."
                + (prior if about["prior"] else "")
                + " The LoRA holds none of them, but may repeat what is in them.",
                "## Settings",
                f"{about['steps']} steps, {about['dtype']}.\n\n| setting | value |\n| - | - |\n{settings}",
                "## Loss at the end",
                f"Weighted, the mean of the last steps.\n\n| term | loss |\n| - | - |\n{losses}",
                "## Limits",
                "It may act without its trigger, too, the less so with prior preservation. It belongs to the family of "
                "models it was trained on.",
            )
        )
        + "\n"
    )
