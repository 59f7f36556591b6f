"""The weight files that the adapters need: what each is, where people get it, and how it is read safely.

Nothing is downloaded. A file is looked for in one folder, its SHA-256 is checked, and only tensors are read from it.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from impasto.errors import WeightsError
from impasto.hashes import file_sha256

_log = logging.getLogger("impasto")

#: The environment variable that names the folder of weights.
FOLDER_VARIABLE: Final = "IMPASTO_WEIGHTS"


@dataclass(frozen=True)
class WeightsFile:
    """One file of weights that users bring."""

    file: str
    """Its name in the folder of weights: the official one, or ours where that says nothing."""
    what: str
    home: str
    size: int | None
    """In bytes; ``None``: not known for certain."""
    sha256: str | None
    """``None``: not pinned; the file's own is logged when it is read."""
    licence: str
    packaged: str | None = None
    """Where torchmetrics, which impasto needs anyway, ships a copy of the same bytes."""


#: By the names that messages and :func:`find_weights` use. The heads were hashed as PyPI ships them. Digests of the
#: large files are those that several of their users publish independently; torchvision's and pytorch-fid's begin with
#: the digits in the official file names.
FILES: Final[dict[str, WeightsFile]] = {
    "lpips-heads": WeightsFile(
        "alex.pth",
        "the linear heads of LPIPS v0.1 for AlexNet",
        "https://github.com/richzhang/PerceptualSimilarity (lpips/weights/v0.1/alex.pth)",
        6_009,
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "BSD-2-Clause",
        "functional/image/lpips_models/alex.pth",
    ),
    "alexnet": WeightsFile(
        "alexnet-owt-7be5be79.pth",
        "torchvision's AlexNet, trained on ImageNet",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        244_408_911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "BSD-3-Clause",
    ),
    "dists-weights": WeightsFile(
        "dists-weights.pt",
        "the weights α and β of DISTS",
        "https://github.com/dingkeyan93/DISTS (DISTS_pytorch/weights.pt)",
        12_288,
        "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
        "MIT",
        "functional/image/dists_models/weights.pt",
    ),
    "vgg16": WeightsFile(
        "vgg16-397923af.pth",
        "torchvision's VGG-16, trained on ImageNet",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        553_433_881,
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "BSD-3-Clause",
    ),
    "clip": WeightsFile(
        "clip-vit-b-32-openai.safetensors",
        "OpenAI's CLIP ViT-B/32 in open_clip's naming",
        "https://huggingface.co/timm/vit_base_patch32_clip_224.openai (open_clip_model.safetensors)",
        605_143_284,
        "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
        "MIT",
    ),
    "csd": WeightsFile(
        "csd-vit-l.bin",
        "CSD's fine-tuned CLIP ViT-L/14",
        "https://huggingface.co/tomg-group-umd/CSD-ViT-L (pytorch_model.bin)",
        2_438_228_893,
        "40e92fad63a361b8136100cd234c42d401ef9b34ff1748234318929ebcc7e7a1",
        "CC-BY-4.0",
    ),
    "inception": WeightsFile(
        "pt_inception-2015-12-05-6726825d.pth",
        "pytorch-fid's Inception v3",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        95_628_359,
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "Apache-2.0",
    ),
    "art-inception": WeightsFile(
        "art_inception.pth",
        "ArtFID's Inception v3, trained on artworks",
        "https://huggingface.co/matthias-wright/art_inception/resolve/main/art_inception.pth",
        None,
        None,
        "not stated with the file; the code is MIT",
    ),
}

#: What the readers raise when a file is damaged or holds more than tensors.
_DAMAGE: Final = (
    SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error, OSError, RuntimeError, ValueError,
    EOFError, LookupError, TypeError, AttributeError, AssertionError, OverflowError, MemoryError,
)  # fmt: skip

#: What CSD's checkpoint holds beside tensors: its training options and NumPy numbers, under NumPy 1's name as well.
_SCALAR: Any = np.float64(0).__reduce__()[0]
_HARMLESS: Final = [
    argparse.Namespace, np.dtype, type(np.dtype(np.float64)), _SCALAR, (_SCALAR, "numpy.core.multiarray.scalar"),
]  # fmt: skip


class FoundWeights(NamedTuple):
    """A file of weights that is there and has been checked."""

    path: Path
    sha256: str


class Tensors(dict[str, Tensor]):
    """A network's tensors by name; a name that is not there is the file's fault."""

    def __init__(self, tensors: dict[str, Tensor], source: str) -> None:
        super().__init__(tensors)
        self.source = source

    def __missing__(self, key: str) -> Tensor:
        raise WeightsError(f"{self.source} is not what it should be: it has no tensor {key}; get the file again")


def weights_folder() -> Path:
    """The folder that ``IMPASTO_WEIGHTS`` names; by default ``weights`` in impasto's data folder of the user."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_data_dir("impasto")) / "weights"


def find_weights(name: str) -> FoundWeights:
    """Where a file of weights is, with its digest checked.

    Args:
        name: of :data:`FILES`.

    Raises:
        WeightsError: it is not there, cannot be read, or its SHA-256 is another; the message says where to get it
            and where to put it.
    """
    wanted = FILES[name]
    path = weights_folder() / wanted.file
    spec = importlib.util.find_spec("torchmetrics")
    if wanted.packaged and not path.is_file() and spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / wanted.packaged
    if not path.is_file():
        size = f"{wanted.size:,} bytes, " if wanted.size else ""
        raise WeightsError(
            f"{wanted.what}: the file {path} is missing; get it from {wanted.home} ({size}licence: {wanted.licence}) "
            f"and save it as {path}, or name the folder it lies in with {FOLDER_VARIABLE}"
        )
    try:
        sha256 = file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); allow reading it") from None
    if wanted.sha256 is None:
        _log.warning("%s is used unchecked, for nobody has pinned it; its SHA-256 is %s", path, sha256)
    elif sha256 != wanted.sha256:
        raise WeightsError(
            f"{path} has SHA-256 {sha256}, expected {wanted.sha256}: it is damaged or not {wanted.what}; "
            f"get it again from {wanted.home}"
        )
    return FoundWeights(path, sha256)


def read_weights(name: str, prefix: str = "") -> Tensors:
    """The tensors of a file of weights, in float32.

    Args:
        name: of :data:`FILES`.
        prefix: only tensors whose names begin with it are read; it is taken off.

    Raises:
        WeightsError: as :func:`find_weights`, or the file holds anything but tensors.
    """
    path = find_weights(name).path
    try:
        loaded: Any = load_file(path) if path.suffix == ".safetensors" else _load_pickle(path)
        state = {name.removeprefix("module."): value for name, value in loaded.get("model_state_dict", loaded).items()}
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"{path} is not a weights file that can be read safely: {reason}; get it again from {FILES[name].home}"
        ) from None
    found = {
        key.removeprefix(prefix): value.to(torch.float32, copy=True)
        for key, value in state.items()
        if key.startswith(prefix) and isinstance(value, Tensor)
    }
    return Tensors(found, str(path))


def _load_pickle(path: Path) -> object:
    with torch.serialization.safe_globals(_HARMLESS):
        # Mapped, so that the optimiser's state in CSD's file stays on the disk; the oldest format cannot be.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
