"""LoRA files: what a file holds, whether it belongs to a model, and the two families of names they are written under.

diffusers' names (``unet.….lora_A.weight``) and kohya's (``lora_unet_….lora_down.weight``). A LoRA acts alpha ÷ rank
strongly. diffusers' files have no place for alpha but their header, which other programs do not read, so there it is
multiplied into the second matrix; kohya's have a tensor for it, which diffusers' own converter fills with the rank.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as save_safetensors

from impasto.engines.diffusion.preflight import read_json, read_shapes
from impasto.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from impasto.engines.diffusion.registry import Family

Names = Literal["diffusers", "kohya"]

#: In the header of a file that impasto wrote: how it was trained, as JSON.
_ABOUT: Final = "impasto"
#: The ends of the names of a module's two matrices, and how a module's name begins.
_ENDS: Final[dict[Names, tuple[str, str]]] = {
    "diffusers": (".lora_A.weight", ".lora_B.weight"),
    "kohya": (".lora_down.weight", ".lora_up.weight"),
}
_BEGINS: Final[dict[Names, str]] = {"diffusers": "unet.", "kohya": "lora_unet_"}
#: Beginnings of modules under the names of Stability's own code, which diffusers translates when it loads them.
_STABILITYS: Final = ("input_blocks_", "middle_block_", "output_blocks_")
#: What kohya's and other programs know the families by.
_ARCHITECTURES: Final[dict[Family, tuple[str, str]]] = {
    "sdxl": ("stable-diffusion-xl-v1-base/lora", "sdxl_base_v1-0"),
    "sd15": ("stable-diffusion-v1/lora", "sd_v1"),
}


@dataclass(frozen=True)
class LoraFacts:
    """What the header of a LoRA's file tells."""

    path: Path
    names: Names
    modules: Mapping[str, tuple[int, int]] = field(repr=False)
    """Values in and out, by the name of the UNet's module as the file spells it."""
    about: Mapping[str, Any] = field(repr=False)
    """How impasto trained it; empty if another program wrote it."""

    @property
    def trigger(self) -> str | None:
        """The words that call the style."""
        trigger = self.about.get("trigger")
        return trigger if isinstance(trigger, str) and trigger else None

    @property
    def model(self) -> str | None:
        """The model of the registry that it was trained on; None: a folder, or it is not known."""
        model = self.about.get("model")
        return model if isinstance(model, str) else None


def lora_facts(path: Path) -> LoraFacts:
    """What kind of LoRA a file holds, by its header.

    Raises:
        WeightsError: missing, a pickle, damaged, or no LoRA for a UNet.
    """
    shapes = read_shapes(path)
    for names, (down, up) in _ENDS.items():
        begin = _BEGINS[names]
        modules = {
            name.removeprefix(begin).removesuffix(down): (shape[1], shapes[name.removesuffix(down) + up][0])
            for name, shape in shapes.items()
            if name.startswith(begin)
            and name.endswith(down)
            and len(shape) >= 2
            and shapes.get(name.removesuffix(down) + up)
        }
        if modules:
            return LoraFacts(path, names, modules, _about(path))
    raise WeightsError(
        f"{path.name} is no LoRA: it has neither unet.*.lora_A.weight (diffusers) nor lora_unet_*.lora_down.weight "
        "(kohya); give one, or a style that impasto train dreambooth wrote"
    )


def check_lora(facts: LoraFacts, base: Path) -> None:
    """Check that a LoRA belongs to a model.

    Args:
        facts: of the LoRA.
        base: the model's folder.

    Raises:
        WeightsError: it was made for another one.
    """
    there = _modules(base / "unet", facts.names)
    cross = int(read_json(base / "unet" / "config.json").get("cross_attention_dim", 0))
    for module, (inside, outside) in facts.modules.items():
        if module.startswith(_STABILITYS):
            fits = not module.endswith(("attn2_to_k", "attn2_to_v")) or inside == cross
        else:
            fits = there.get(module) == (inside, outside)
        if not fits:
            given = f" (it was trained on {facts.model})" if facts.model else ""
            raise WeightsError(
                f"{facts.path.name} was made for another model than {base.name}: {module} takes {inside} values and "
                f"gives {outside}, {base.name} has "
                f"{_words(there.get(module))}; use the model that it was trained on{given}"
            )


def encode_lora(
    down: Mapping[str, Tensor],
    up: Mapping[str, Tensor],
    *,
    alpha: float,
    family: Family,
    about: Mapping[str, Any],
    names: Names = "diffusers",
) -> bytes:
    """The bytes of a LoRA's file, in half precision.

    Args:
        down: by the UNet's module the first matrix, ``(rank, in)``.
        up: the second, ``(out, rank)``.
        alpha: the LoRA acts alpha ÷ rank strongly.
        family: of the model it was trained on.
        about: how it was trained: whatever JSON can hold.
        names: under which names.

    Raises:
        WeightsError: the weights are not finite.
    """
    rank = next(iter(down.values())).shape[0]
    first, second = _ENDS[names]
    tensors: dict[str, Tensor] = {}
    for module in down:
        key = _BEGINS[names] + (module if names == "diffusers" else module.replace(".", "_"))
        tensors[key + first] = down[module]
        tensors[key + second] = up[module] * (alpha / rank) if names == "diffusers" else up[module]
        if names == "kohya":
            tensors[f"{key}.alpha"] = torch.tensor(float(alpha))
    halves = {name: tensor.detach().cpu().half().contiguous() for name, tensor in tensors.items()}
    if not all(bool(tensor.isfinite().all()) for tensor in halves.values()):
        raise WeightsError("the trained weights are not finite numbers; train again with a smaller learning_rate")
    architecture, version = _ARCHITECTURES[family]
    header = {
        _ABOUT: json.dumps(dict(about), sort_keys=True),
        "format": "pt",
        "modelspec.architecture": architecture,
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.title": str(about.get("name", "")),
        "modelspec.trigger_phrase": str(about.get("trigger", "")),
        "ss_base_model_version": version,
        "ss_network_alpha": f"{rank if names == 'diffusers' else alpha:g}",
        "ss_network_dim": str(rank),
        "ss_network_module": "networks.lora",
    }
    if names == "diffusers":
        # With its scaling in the matrices, alpha is the rank: for loaders that read this, and for those that do not.
        config = {"r": rank, "lora_alpha": rank, "target_modules": sorted(down)}
        header["lora_adapter_metadata"] = json.dumps({f"unet.{key}": value for key, value in config.items()})
    return save_safetensors(halves, metadata=header)


def under_other_names(path: Path, names: Names) -> bytes:
    """A LoRA that impasto wrote, under the names of one family of programs.

    Raises:
        WeightsError: it is no LoRA, or another program wrote it.
    """
    facts = lora_facts(path)
    if facts.names != "diffusers" or not facts.about:
        raise WeightsError(f"{path.name} was not written by impasto train dreambooth; export such a one")
    tensors = load_file(path)
    first, second = (_BEGINS["diffusers"] + "{module}" + end for end in _ENDS["diffusers"])
    down = {module: tensors[first.format(module=module)].float() for module in facts.modules}
    rank, alpha = int(facts.about["settings"]["rank"]), float(facts.about["alpha"])
    up = {module: tensors[second.format(module=module)].float() * (rank / alpha) for module in facts.modules}
    return encode_lora(down, up, alpha=alpha, family=facts.about["family"], about=facts.about, names=names)


def _about(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(_ABOUT, "{}")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=4)
def _modules(unet: Path, names: Names) -> dict[str, tuple[int, int]]:
    """Values in and out of a UNet's layers, by the name that a LoRA has for each."""
    found: dict[str, tuple[int, int]] = {}
    for file in sorted(unet.glob("*.safetensors")):
        for name, shape in read_shapes(file).items():
            module, _, kind = name.rpartition(".")
            if kind == "weight" and len(shape) >= 2:
                found[module if names == "diffusers" else module.replace(".", "_")] = (shape[1], shape[0])
    return found


def _words(shape: tuple[int, int] | None) -> str:
    return "no such layer" if shape is None else f"{shape[0]} and {shape[1]}"
