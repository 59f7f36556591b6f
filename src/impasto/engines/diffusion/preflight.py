"""Looks at files of models before anything of them is loaded: format, completeness, family, shapes.

Everything here reads JSON and the headers of safetensors files only. What would fail later in the middle of a matrix
product is said here, in words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

from impasto.engines.diffusion.registry import FAMILIES
from impasto.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.engines.diffusion.registry import Family

#: Formats that may run code when they are read.
PICKLES: Final = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"})
#: Pipelines of which a folder may be, and their family.
_PIPELINES: Final[dict[str, Family]] = {
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "StableDiffusionXLControlNetPipeline": "sdxl",
    "StableDiffusionPipeline": "sd15",
    "StableDiffusionImg2ImgPipeline": "sd15",
    "StableDiffusionControlNetPipeline": "sd15",
    "Flux2KleinPipeline": "flux2-klein",
}
#: Components that are networks, and that are used.
_NETWORKS: Final[dict[Family, tuple[str, ...]]] = {
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2"),
    "sd15": ("unet", "vae", "text_encoder"),
    "flux2-klein": ("transformer", "vae", "text_encoder"),
}
#: Layers of FLUX.2 klein's text encoder whose states it reads, one behind the other.
_READ_LAYERS: Final = (9, 18, 27)
_LIBRARIES: Final = ("diffusers", "transformers")
_LARGEST_JSON: Final = 2**20


@dataclass(frozen=True)
class AdapterFacts:
    """What the header of an IP-Adapter's file tells."""

    path: Path
    plus: bool
    """With a resampler, which reads the encoder's hidden states; without, its projection is read."""
    encoder_width: int
    """Of what it reads from the encoder."""
    cross_width: int
    """Of the tokens that it hands to the UNet."""
    rows: dict[int, int] = field(hash=False)
    """For each attention processor that it serves, by index, the width of its queries."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        WeightsError: missing, too large, not JSON, or no object.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise WeightsError(f"{path} is larger than a configuration can be; download the model again")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror}); a model is a folder in the layout of diffusers"
        ) from None
    except ValueError:
        raise WeightsError(f"{path} is not JSON; download the model again") from None
    if not isinstance(found, dict):
        raise WeightsError(f"{path} holds no JSON object; download the model again")
    return found


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a safetensors file.

    Raises:
        WeightsError: missing, a pickle, or damaged.
    """
    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 — not a dict
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing; give the path of a .safetensors file") from None
    except (SafetensorError, OSError) as error:
        size = path.stat().st_size if path.is_file() else 0
        raise WeightsError(
            f"{path} ({size:,} bytes) is no whole safetensors file ({error}); download it again"
        ) from None


def refuse_pickle(path: Path) -> None:
    """Refuse a file that is not a safetensors file by its name.

    Raises:
        WeightsError: it is a pickle, or something else.
    """
    if path.suffix.lower() in PICKLES:
        raise WeightsError(
            f"{path.name} is a pickle, which can run any code when it is read; use the .safetensors file of the model, "
            "or convert it where you trust it"
        )
    if path.suffix.lower() != ".safetensors":
        raise WeightsError(f"{path.name} is no .safetensors file; weights are read from these only")


def check_network(folder: Path, *, name: str) -> None:
    """Check that a network's folder has a configuration and whole safetensors files.

    Raises:
        WeightsError: it has not, or pickles only.
    """
    read_json(folder / "config.json")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES)
        if pickles:
            refuse_pickle(folder / pickles[0])
        raise WeightsError(f"{name} has no weights: {folder} holds no .safetensors file; download the model again")
    for path in weights:
        read_shapes(path)


def check_base(folder: Path) -> Family:
    """Check a model's folder, and say of which family it is.

    Raises:
        WeightsError: no folder of diffusers' layout, incomplete, damaged, pickles, with code of its own, or of a family
            that is not supported.
    """
    if folder.is_file():
        if folder.suffix.lower() != ".safetensors":
            refuse_pickle(folder)
        raise WeightsError(
            f"{folder} is a single file; a model is a folder in the layout of diffusers, with model_index.json"
        )
    if not folder.is_dir():
        raise WeightsError(f"there is no model in {folder}; give a model's name or the path of its folder")
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    family = _PIPELINES.get(pipeline) if isinstance(pipeline, str) else None
    if family is None:
        raise WeightsError(
            f"{folder} is a {pipeline}, which is not supported; there are {', '.join(FAMILIES.values())}"
        )
    for name, kind in index.items():
        if name.startswith("_") or not isinstance(kind, list) or kind == [None, None]:
            continue
        if kind[0] not in (*_LIBRARIES, None) and name not in ("safety_checker",):
            raise WeightsError(
                f"{folder} asks for code of its own ({name}: {kind}), which is never run; use a model without"
            )
    for name in _NETWORKS[family]:
        if name in index or name != "text_encoder_2":
            check_network(folder / name, name=f"{name} of {folder.name}")
    if not _is_of(family, folder):
        raise WeightsError(
            f"the {_NETWORKS[family][0]} of {folder} is not that of a {pipeline}; download the model again"
        )
    return family


def _is_of(family: Family, folder: Path) -> bool:
    """Whether the network that paints is one of the family, by its configuration."""
    net = read_json(folder / _NETWORKS[family][0] / "config.json")
    if family != "flux2-klein":
        return (net.get("addition_embed_type") == "text_time") == (family == "sdxl")
    text = read_json(folder / "text_encoder" / "config.json")
    width, layers = text.get("hidden_size"), text.get("num_hidden_layers")
    return (
        isinstance(width, int)
        and isinstance(layers, int)
        and layers >= _READ_LAYERS[-1]
        and net.get("joint_attention_dim") == width * len(_READ_LAYERS)
    )


def adapter_facts(path: Path) -> AdapterFacts:
    """What kind of IP-Adapter a file holds, by its header.

    Raises:
        WeightsError: missing, a pickle, damaged, or no IP-Adapter.
    """
    shapes = read_shapes(path)
    queries = {
        int(name.split(".")[1]): shape
        for name, shape in shapes.items()
        if name.startswith("ip_adapter.") and name.endswith(".to_k_ip.weight")
    }
    base, plus = shapes.get("image_proj.proj.weight"), shapes.get("image_proj.proj_in.weight")
    read = plus or base
    if read is None or not queries:
        raise WeightsError(
            f"{path.name} is no IP-Adapter (base or Plus): it has no image_proj.* and ip_adapter.* tensors; FaceID and "
            "other kinds are not supported"
        )
    return AdapterFacts(
        path=path,
        plus=plus is not None,
        encoder_width=read[1],
        cross_width=next(iter(queries.values()))[1],
        rows={index: shape[0] for index, shape in queries.items()},
    )


def check_adapter(facts: AdapterFacts, base: Path, encoder: Path) -> None:
    """Check that an adapter belongs to a model and to an encoder.

    Raises:
        WeightsError: it belongs to another family, or to another encoder.
    """
    cross = read_json(base / "unet" / "config.json").get("cross_attention_dim")
    if cross != facts.cross_width:
        raise WeightsError(
            f"{facts.path.name} hands over tokens of width {facts.cross_width}, but {base.name} takes {cross}: it was "
            "made for another family of models; use an adapter for this one"
        )
    settings = read_json(encoder / "config.json")
    given = settings.get("hidden_size" if facts.plus else "projection_dim")
    if given != facts.encoder_width:
        raise WeightsError(
            f"{facts.path.name} reads {facts.encoder_width} values of an image encoder, but {encoder} gives {given}: "
            "it is the encoder of another adapter (of h94's files, those with vit-h in their name and those for SD 1.5 "
            "take models/image_encoder, ip-adapter_sdxl takes sdxl_models/image_encoder)"
        )


def check_fit(facts: AdapterFacts, unet: Any) -> None:
    """Check that an adapter has what every cross-attention of a loaded UNet needs.

    Raises:
        WeightsError: a tensor is missing, or has another size.
    """
    needed = {
        index: int(unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0])
        for index, name in enumerate(unet.attn_processors)
        if name.endswith("attn2.processor")
    }
    if facts.rows != needed:
        wrong = sorted(index for index in {*needed, *facts.rows} if needed.get(index) != facts.rows.get(index))
        raise WeightsError(
            f"{facts.path.name} does not fit the model: ip_adapter.{wrong[0]}.to_k_ip is missing, too much or of "
            f"another size ({len(wrong)} such tensors); use an adapter that was made for this model"
        )


def check_control(folder: Path, base: Path) -> None:
    """Check that a ControlNet is one, and belongs to a model.

    Raises:
        WeightsError: it is none, or of another family.
    """
    check_network(folder, name=f"the ControlNet {folder.name}")
    settings, unet = read_json(folder / "config.json"), read_json(base / "unet" / "config.json")
    if settings.get("_class_name") != "ControlNetModel":
        raise WeightsError(f"{folder} is a {settings.get('_class_name')}, not a ControlNetModel")
    if settings.get("cross_attention_dim") != unet.get("cross_attention_dim"):
        raise WeightsError(
            f"the ControlNet {folder.name} takes text of width {settings.get('cross_attention_dim')}, {base.name} "
            f"has {unet.get('cross_attention_dim')}: it was made for another family of models"
        )
