"""Several processes that train one network: under ``torchrun`` each draws its own batches, gradients are averaged."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor


class Ranks(NamedTuple):
    """Which of how many processes this one is."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def average(self, gradients: Iterable[Tensor]) -> None:
        """Give every process the mean of all processes' gradients, in place."""
        if self.world == 1:
            return
        tensors = list(gradients)
        flat = torch.cat([tensor.flatten() for tensor in tensors])  # one message instead of a hundred
        dist.all_reduce(flat)
        flat /= self.world
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def mean(self, value: float) -> float:
        """The mean of a number over all processes; not finite if one of them is not."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(shared)
        return float(shared) / self.world

    def agree(self, state: object) -> object:
        """What the leading process has, in every process."""
        if self.world == 1:
            return state
        box = [state]
        dist.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def ranks() -> Iterator[Ranks]:
    """The processes that ``torchrun`` or Ray Train started, joined while the block runs; else this one."""
    if dist.is_initialized():  # Ray Train has joined them, and parts them
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield Ranks()
        return
    # Each kind of tensor by the backend that can carry it: training on the CPU of a machine with GPUs works too.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
        # Without this, of 24 pairs of processes 6 aborted at the interpreter's end ("terminate called without an active
        # exception"), when all was done and written; with it none of 40 did.
        gc.collect()
