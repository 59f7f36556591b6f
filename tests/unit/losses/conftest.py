"""How much memory a loss takes, for those that could make a matrix of all pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Callable


class _Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
        self.bytes = max([self.bytes, *(tensor.untyped_storage().nbytes() for tensor in tensors)])
        return found


@pytest.fixture
def memory_bytes() -> Callable[[Callable[[], Tensor]], tuple[int, int]]:
    """Of a loss and its gradient: the largest tensor made, and all that is kept in between, in bytes."""

    def measure(loss: Callable[[], Tensor]) -> tuple[int, int]:
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with _Largest() as largest:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                value = loss()
            value.backward()
        return largest.bytes, sum(kept.values())

    return measure
