"""A small network with fixed random weights: what holds for any weights is tested on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from impasto.engines.fast.model import save_model
from impasto.engines.fast.network import StyleEncoder, TransferNet
from impasto.engines.fast.painting import TorchPainter

if TYPE_CHECKING:
    from pathlib import Path


def networks(seed: int = 0) -> tuple[TransferNet, StyleEncoder]:
    """Of four blocks' width, with codes that differ between styles."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = TransferNet(8, 16, 2)
        encoder = StyleEncoder(net.code_size)
        torch.nn.init.normal_(encoder.head.weight, std=0.3)
        return net.requires_grad_(False), encoder.requires_grad_(False)


@pytest.fixture
def painter() -> TorchPainter:
    """In float32 on the CPU."""
    return TorchPainter(*networks(), torch.device("cpu"), torch.float32)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """An any-style model on disk."""
    path = tmp_path / "small.safetensors"
    save_model(path, *networks(), {"kind": "any-style"})
    return path


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Smooth colours, ``(1, 3, h, w)`` in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
