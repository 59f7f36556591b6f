"""The models that engine ``diffusion`` knows by name: their files, revisions, digests and licences, and where they lie.

It downloads nothing (see downloads.py) and loads nothing (loading.py). A model is looked for in the user's folder of
models, laid out as ``owner/name/…``, then in the cache that Hugging Face's tools share.

Where the figures come from: nobody reached the hub when this was written. Revisions and SHA-256 stand here where
several independent public projects name the same ones; they are checked when a file is downloaded and when it is used.
Where none stands, the digest of the first download is recorded and holds from then on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import platformdirs

from impasto.errors import SettingsError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Names a folder of models in place of the user's own.
VARIABLE: Final = "IMPASTO_MODELS"

Family = Literal["sdxl", "sd15", "flux2-klein"]
Control = Literal["tile", "canny", "lineart"]

#: The families in words.
FAMILIES: Final[dict[Family, str]] = {
    "sdxl": "Stable Diffusion XL",
    "sd15": "Stable Diffusion 1.5",
    "flux2-klein": "FLUX.2 klein",
}
#: Families that look at content and references themselves and do as a text says: without adapters and ControlNets.
EDITORS: Final[frozenset[Family]] = frozenset({"flux2-klein"})

_H94: Final = ("h94/IP-Adapter", "018e402774aeeddd60609b4ecdb7e298259dc729")
_TOKENIZER: Final = ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")


@dataclass(frozen=True)
class Part:
    """A piece of a model that is downloaded, kept and checked as one."""

    id: str
    what: str
    repository: str
    revision: str | None
    """The commit on the hub; None: whatever is newest when it is downloaded, which is recorded."""
    files: tuple[str, ...]
    """Inside the repository."""
    licence: str
    gib: float
    """To download."""
    commercial: bool = True
    """Whether the licence allows commercial use (its other conditions hold all the same)."""
    folder: str = ""
    """Where inside the repository the part lies; what :func:`locate` gives."""


@dataclass(frozen=True)
class Model:
    """What ``model`` names: the parts that paint together, and how they are best run."""

    id: str
    what: str
    family: Family
    base: str
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Parts by the setting ``adapter``; none in a family of :data:`EDITORS`, like the three that follow."""
    encoder: str | None = None
    controls: Mapping[Control, str] = field(default_factory=dict)
    """Parts by the setting ``control``; the first is the one of ``control=auto``."""
    preview: str | None = None
    lora: str | None = None
    """Merged into the base for few steps."""
    scheduler: str = "euler"
    steps: int = 30
    guidance_scale: float = 5.0

    @property
    def needed(self) -> tuple[str, ...]:
        """The parts that a run with the default settings takes, and the preview's."""
        control = next(iter(self.controls.values()), None)
        return tuple(
            part
            for part in (self.base, self.adapters.get("base"), self.encoder, control, self.lora, self.preview)
            if part is not None
        )


def _files(*names: str, **folders: tuple[str, ...]) -> tuple[str, ...]:
    return (*names, *(f"{folder}/{name}" for folder, inside in folders.items() for name in inside))


_UNET_AND_VAE: Final = {
    "unet": ("config.json", "diffusion_pytorch_model.fp16.safetensors"),
    "vae": ("config.json", "diffusion_pytorch_model.fp16.safetensors"),
}
_TEXT: Final = ("config.json", "model.fp16.safetensors")
_SDXL_FILES: Final = _files(
    "model_index.json",
    scheduler=("scheduler_config.json",),
    text_encoder=_TEXT,
    text_encoder_2=_TEXT,
    tokenizer=_TOKENIZER,
    tokenizer_2=_TOKENIZER,
    **_UNET_AND_VAE,
)
_ONE_NET: Final = ("config.json", "diffusion_pytorch_model.safetensors")

PARTS: Final[dict[str, Part]] = {
    part.id: part
    for part in (
        Part(
            "sdxl-base", "Stable Diffusion XL 1.0, float16", "stabilityai/stable-diffusion-xl-base-1.0",
            "462165984030d82259a11f4367a4eed129e94a7b", _SDXL_FILES, "CreativeML Open RAIL++-M", 6.5,
        ),
        Part(
            "sdxl-turbo-base", "SDXL Turbo, float16", "stabilityai/sdxl-turbo", None, _SDXL_FILES,
            "Stability AI Non-Commercial Research Community", 6.5, commercial=False,
        ),
        Part(
            "sd15-base", "Stable Diffusion 1.5, float16", "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            _files(
                "model_index.json", scheduler=("scheduler_config.json",), text_encoder=_TEXT, tokenizer=_TOKENIZER,
                **_UNET_AND_VAE,
            ),
            "CreativeML Open RAIL-M", 2.0,
        ),
        Part(
            "ip-adapter-sdxl", "IP-Adapter for SDXL, encoder ViT-H", *_H94,
            ("sdxl_models/ip-adapter_sdxl_vit-h.safetensors",), "Apache-2.0", 0.7, folder="sdxl_models",
        ),
        Part(
            "ip-adapter-plus-sdxl", "IP-Adapter Plus for SDXL, encoder ViT-H", *_H94,
            ("sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors",), "Apache-2.0", 0.8, folder="sdxl_models",
        ),
        Part(
            "ip-adapter-sd15", "IP-Adapter for SD 1.5", *_H94,
            ("models/ip-adapter_sd15.safetensors",), "Apache-2.0", 0.05, folder="models",
        ),
        Part(
            "ip-adapter-plus-sd15", "IP-Adapter Plus for SD 1.5", *_H94,
            ("models/ip-adapter-plus_sd15.safetensors",), "Apache-2.0", 0.1, folder="models",
        ),
        Part(
            "clip-vit-h", "CLIP ViT-H, which looks at the references", *_H94,
            ("models/image_encoder/config.json", "models/image_encoder/model.safetensors"),
            "Apache-2.0", 2.4, folder="models/image_encoder",
        ),
        Part(
            "tile-sdxl", "ControlNet tile for SDXL", "xinsir/controlnet-tile-sdxl-1.0", None, _ONE_NET,
            "Apache-2.0", 2.4,
        ),
        Part(
            "canny-sdxl", "ControlNet canny for SDXL", "xinsir/controlnet-canny-sdxl-1.0", None, _ONE_NET,
            "Apache-2.0", 2.4,
        ),
        Part(
            "canny-sd15", "ControlNet canny for SD 1.5", "lllyasviel/sd-controlnet-canny",
            "7f2f69197050967007f6bbd23ab5e52f0384162a", _ONE_NET, "CreativeML Open RAIL-M", 1.4,
        ),
        Part("taesd-xl", "TAESD, previews of SDXL", "madebyollin/taesdxl", None, _ONE_NET, "MIT", 0.01),
        Part("taesd-15", "TAESD, previews of SD 1.5", "madebyollin/taesd", None, _ONE_NET, "MIT", 0.01),
        Part(
            "lcm-sd15", "LCM-LoRA for SD 1.5", "latent-consistency/lcm-lora-sdv1-5", None,
            ("pytorch_lora_weights.safetensors",), "CreativeML Open RAIL++-M", 0.13,
        ),
        Part(
            "lightning-sdxl", "SDXL-Lightning, 4 steps", "ByteDance/SDXL-Lightning", None,
            ("sdxl_lightning_4step_lora.safetensors",), "CreativeML Open RAIL++-M", 0.4,
        ),
        Part(
            "flux2-klein-base", "FLUX.2 klein 4B, bfloat16", "black-forest-labs/FLUX.2-klein-4B",
            "e7b7dc27f91deacad38e78976d1f2b499d76a294",
            _files(
                "model_index.json", scheduler=("scheduler_config.json",),
                text_encoder=(
                    "config.json", "generation_config.json", "model-00001-of-00002.safetensors",
                    "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                ),
                tokenizer=("added_tokens.json", "chat_template.jinja", "tokenizer.json", *_TOKENIZER),
                transformer=_ONE_NET, vae=_ONE_NET,
            ),
            "Apache-2.0", 14.9,
        ),
    )
}  # fmt: skip

_SDXL_PARTS: Final = {
    "family": "sdxl",
    "adapters": {"base": "ip-adapter-sdxl", "plus": "ip-adapter-plus-sdxl"},
    "encoder": "clip-vit-h",
    "controls": {"tile": "tile-sdxl", "canny": "canny-sdxl"},
    "preview": "taesd-xl",
}

MODELS: Final[dict[str, Model]] = {
    model.id: model
    for model in (
        Model("sdxl", "the default: best quality", base="sdxl-base", **_SDXL_PARTS),  # type: ignore[arg-type]
        Model(
            "sdxl-lightning", "SDXL in 4 steps", base="sdxl-base", lora="lightning-sdxl", scheduler="lightning",
            steps=4, guidance_scale=1.0, **_SDXL_PARTS,  # type: ignore[arg-type]
        ),
        Model(
            "sdxl-turbo", "SDXL in 4 steps, at 512 px", base="sdxl-turbo-base", scheduler="lightning", steps=4,
            guidance_scale=1.0, **_SDXL_PARTS,  # type: ignore[arg-type]
        ),
        Model(
            "sd15-lcm", "Stable Diffusion 1.5 in 6 steps: the small one", family="sd15", base="sd15-base",
            adapters={"base": "ip-adapter-sd15", "plus": "ip-adapter-plus-sd15"}, encoder="clip-vit-h",
            controls={"canny": "canny-sd15"}, preview="taesd-15", lora="lcm-sd15", scheduler="lcm", steps=6,
            guidance_scale=1.5,
        ),
        Model(
            "flux2-klein", "FLUX.2 klein 4B in 4 steps: is shown content and references, and told what to do",
            family="flux2-klein", base="flux2-klein-base", scheduler="own", steps=4, guidance_scale=1.0,
        ),
    )
}  # fmt: skip

#: SHA-256 of files, by ``owner/name/path``; see above where they come from.
PINS: Final[dict[str, str]] = {
    f"{PARTS['sdxl-base'].repository}/text_encoder/model.fp16.safetensors": (
        "660c6f5b1abae9dc498ac2d21e1347d2abdb0cf6c0c0c8576cd796491d9a6cdd"
    ),
    f"{PARTS['sdxl-base'].repository}/text_encoder_2/model.fp16.safetensors": (
        "ec310df2af79c318e24d20511b601a591ca8cd4f1fce1d8dff822a356bcdb1f4"
    ),
    f"{PARTS['sdxl-base'].repository}/unet/diffusion_pytorch_model.fp16.safetensors": (
        "83e012a805b84c7ca28e5646747c90a243c65c8ba4f070e2d7ddc9d74661e139"
    ),
    f"{PARTS['sdxl-base'].repository}/vae/diffusion_pytorch_model.fp16.safetensors": (
        "bcb60880a46b63dea58e9bc591abe15f8350bde47b405f9c38f4be70c6161e68"
    ),
    f"{_H94[0]}/sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors": (
        "3f5062b8400c94b7159665b21ba5c62acdcd7682262743d7f2aefedef00e6581"
    ),
    f"{_H94[0]}/models/image_encoder/model.safetensors": (
        "6ca9667da1ca9e0b0f75e46bb030f7e011f44f86cbfb8d5a36590fcd7507b030"
    ),
    f"{PARTS['flux2-klein-base'].repository}/text_encoder/model-00001-of-00002.safetensors": (
        "8c0506e7f4936fa7e26183a4fd8da4e2bdbc5990ba64ae441f965d51228f36ea"
    ),
    f"{PARTS['flux2-klein-base'].repository}/text_encoder/model-00002-of-00002.safetensors": (
        "82f2bd839378541b0557bfabaf37c7d3d637071fdcb73302dedd7cf61162ce07"
    ),
    f"{PARTS['flux2-klein-base'].repository}/transformer/diffusion_pytorch_model.safetensors": (
        "9f29f9edcfdae452a653ffb51a534ca4decd389952c225724ff3b94042612a6e"
    ),
    f"{PARTS['flux2-klein-base'].repository}/vae/diffusion_pytorch_model.safetensors": (
        "ca70d2202afe6415bdbcb8793ba8cd99fd159cfe6192381504d6c4d3036e0f04"
    ),
}


@dataclass(frozen=True)
class Located:
    """A part whose files are all there."""

    part: Part
    files: Mapping[str, Path] = field(repr=False)
    """Each of the part's files, by its name in the repository."""

    @property
    def folder(self) -> Path:
        """The part's folder: its files, in their layout, are below it."""
        name, path = next(iter(self.files.items()))
        depth = len(Path(name).parts) - len(Path(self.part.folder).parts)
        return path.parents[depth - 1]


def models_folder() -> Path:
    """Where the user's models lie; it need not be there yet."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("impasto") / "models"


def cache_folder() -> Path:
    """What is worth keeping of models: digests, and what was seen of references. It may be removed at any time."""
    return models_folder() / ".cache"


def parts_of(name: str) -> tuple[Part, ...]:
    """The parts of a model, or the one part of that name.

    Raises:
        SettingsError: there is neither.
    """
    if name in MODELS:
        return tuple(PARTS[part] for part in MODELS[name].needed)
    if name in PARTS:
        return (PARTS[name],)
    raise SettingsError(f"no model named {name!r}; there are {', '.join((*MODELS, *PARTS))}")


def find(part: Part) -> Located | None:
    """Where a part lies: in the user's folder, else in the cache of Hugging Face's tools; None if nowhere, whole."""
    for files in (_in_folder(part), _in_cache(part)):
        if files is not None:
            return Located(part, files)
    return None


def locate(part: Part) -> Located:
    """Where a part lies.

    Raises:
        WeightsError: it is not here, or not all of it; says what is missing, how large it is and where it goes.
    """
    found = find(part)
    if found is not None:
        return found
    place = models_folder() / part.repository
    missing = [name for name in part.files if not (place / name).is_file()]
    named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    raise WeightsError(
        f"{part.what} ({part.id}, about {part.gib:g} GiB, {part.licence}) is not here: {named} of {part.repository} "
        f"missing in {place} and in Hugging Face's cache; get it with: impasto models download {part.id}, or put the "
        "files there"
    )


def _in_folder(part: Part) -> dict[str, Path] | None:
    files = {name: models_folder() / part.repository / name for name in part.files}
    return files if all(path.is_file() for path in files.values()) else None


def _in_cache(part: Part) -> dict[str, Path] | None:
    """The files of one snapshot in the cache: of the pinned revision, or of the newest that was downloaded."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    files = {}
    for name in part.files:
        found = try_to_load_from_cache(part.repository, name, revision=part.revision)
        if not isinstance(found, str):
            return None
        files[name] = Path(found)
    return files
