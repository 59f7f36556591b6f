"""Weights of engine ``fast`` on disk: safetensors in half precision, with what they are in the header."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from impasto.engines.fast.network import StyleEncoder, TransferNet
from impasto.errors import WeightsError
from impasto.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

M = TypeVar("M", bound=nn.Module)

#: Of the file's header: what it is, and the one version that this code reads.
FORMAT: Final = "impasto.fast"
VERSION: Final = "1"
#: The shipped any-style network.
PACKAGED: Final = "any-style.safetensors"
_LARGEST_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Model:
    """A transfer network, with what makes codes for it or the one code that it was trained for."""

    net: TransferNet
    encoder: StyleEncoder | None
    """None in a model of one style."""
    code: Tensor | None
    """``(1, code_size)`` of the one style; None in an any-style model."""
    about: Mapping[str, Any]
    """How it was trained."""
    source: str
    """``any-style`` for the shipped one, otherwise the file's name."""
    sha256: str
    """Of the file."""


def save_model(path: Path, net: TransferNet, coder: StyleEncoder | Tensor, about: Mapping[str, Any]) -> str:
    """Write a model's file, whole or not at all; gives its SHA-256. See :func:`encode_model`.

    Raises:
        WeightsError: the weights are not finite; nothing was written.
        OutputError: it cannot be written there.
    """
    data = encode_model(net, coder, about)
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def encode_model(net: TransferNet, coder: StyleEncoder | Tensor, about: Mapping[str, Any]) -> bytes:
    """The bytes of a model's file.

    Args:
        net: the transfer network.
        coder: the style encoder, or the code ``(1, code_size)`` of the one style.
        about: how it was trained: whatever JSON can hold.

    Raises:
        WeightsError: the weights are not finite.
    """
    tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    if isinstance(coder, Tensor):
        tensors["code"] = coder
    else:
        tensors |= {f"encoder.{name}": tensor for name, tensor in coder.state_dict().items()}
    halves = {name: tensor.detach().cpu().half().contiguous() for name, tensor in tensors.items()}
    if not all(bool(tensor.isfinite().all()) for tensor in halves.values()):
        raise WeightsError("the trained weights are not finite numbers; train again, more slowly")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "shape": json.dumps(net.shape),
        "about": json.dumps(dict(about), sort_keys=True),
    }
    return save_safetensors(halves, metadata=header)


def load_model(path: Path | None = None, *, sha256: str | None = None) -> Model:
    """Read a model; the shipped any-style one if no path is given.

    Args:
        path: of a file that :func:`save_model` wrote.
        sha256: what the file must have, if known.

    Raises:
        WeightsError: it is missing, of another version, damaged or not a model.
    """
    if path is None:
        return _packaged()
    try:
        facts = path.stat()
        if facts.st_size > _LARGEST_BYTES:
            raise WeightsError(f"{str(path)!r} has more than {_LARGEST_BYTES >> 20} MiB; it is no model of engine fast")
        return _kept(path, facts.st_mtime_ns, sha256)
    except OSError as error:
        raise WeightsError(f"cannot read the model {str(path)!r}: {error.strerror or error}; check its name") from None


@lru_cache(maxsize=4)
def _kept(path: Path, changed_ns: int, sha256: str | None) -> Model:  # noqa: ARG001 — read again if it has changed
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise WeightsError(
            f"the model {str(path)!r} has SHA-256 {found}, expected {sha256}: it was changed; restore it or train again"
        )
    return _parse(data, str(path), path.name, found)


@lru_cache(maxsize=1)
def _packaged() -> Model:
    data = files("impasto.engines.fast").joinpath("data", PACKAGED).read_bytes()
    return _parse(data, PACKAGED, "any-style", hashlib.sha256(data).hexdigest())


def _parse(data: bytes, shown: str, source: str, sha256: str) -> Model:
    """A model from the bytes of its file."""
    remedy = "give a file that `impasto train` wrote"
    try:
        header = _header(data)
        if header.get("format") != FORMAT:
            raise WeightsError(f"{shown!r} is no model of engine fast (format {header.get('format')!r}); {remedy}")
        if header.get("version") != VERSION:
            raise WeightsError(
                f"{shown!r} is of version {header.get('version')!r}, this impasto reads version {VERSION}; train again"
            )
        tensors = {name: tensor.float() for name, tensor in load_safetensors(data).items()}
        narrow, wide, blocks = (int(number) for number in json.loads(header["shape"]))
        if not (0 < narrow <= 512 and 0 < wide <= 512 and 0 < blocks <= 64):
            raise ValueError(f"shape {narrow}, {wide}, {blocks}")
        about = json.loads(header["about"])
        net = _filled(TransferNet(narrow, wide, blocks), tensors, "net.")
        encoder, code = None, tensors.get("code")
        if code is None:
            encoder = _filled(StyleEncoder(net.code_size), tensors, "encoder.")
        elif code.shape != (1, net.code_size):
            raise ValueError(f"its code has shape {tuple(code.shape)}, expected (1, {net.code_size})")
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{shown!r} is damaged or no model of engine fast ({reason}); {remedy}") from None
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise WeightsError(f"{shown!r} holds weights that are not finite numbers; {remedy}")
    return Model(net, encoder, code, about, source, sha256)


def _filled(module: M, tensors: Mapping[str, Tensor], prefix: str) -> M:
    """The module with its weights, ready to paint."""
    module.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
    return module.eval().requires_grad_(False)


def _header(data: bytes) -> dict[str, str]:
    """What stands beside the tensors in a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        raise ValueError("it is truncated, or not safetensors")
    header = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return dict(header)
