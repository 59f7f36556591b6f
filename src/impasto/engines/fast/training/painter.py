"""What is trained: a transfer network, and what makes codes for it."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.engines.fast.network import Conditional, TransferNet, colored

#: Pixels that a crop is extended by: half of what a picture is, since every one of them is painted in every step.
_MARGIN: Final = 16


class Painter(nn.Module):
    """A transfer network with its coder.

    Args:
        net: the transfer network.
        coder: from styles ``(b, 3, n, n)`` to codes ``(b, code_size)``: a style encoder, or one :class:`Code`.
    """

    def __init__(self, net: TransferNet, coder: nn.Module) -> None:
        super().__init__()
        self.net, self.coder = net, coder

    def forward(self, contents: Tensor, styles: Tensor) -> Tensor:
        """Contents ``(b, 3, n, n)`` painted in a style each, float32; a little outside [0, 1] here and there."""
        code = self.coder(styles)
        extended = F.pad(contents, (_MARGIN,) * 4, mode="reflect")
        painted = colored(self.net(extended, Conditional(code, self.net.widths)), code)
        return painted[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


class Code(nn.Module):
    """The code of one style, whatever crop of it is given.

    Args:
        start: ``(1, code_size)``.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.code = nn.Parameter(start.clone())

    def forward(self, styles: Tensor) -> Tensor:
        """``(b, code_size)``."""
        return self.code.expand(len(styles), -1)


@torch.no_grad()
def contact_sheet(painter: Painter, contents: Tensor, styles: Tensor) -> Tensor:
    """Styles across, contents down, every content in every style: ``(3, h, w)`` in [0, 1] on the CPU."""
    device = next(painter.parameters()).device
    across, down = len(styles), len(contents)
    pairs = contents.repeat_interleave(across, 0).to(device), styles.repeat(down, 1, 1, 1).to(device)
    painted = painter(*pairs).clamp(0, 1).cpu()
    rows = [torch.cat([torch.ones_like(styles[0]), *styles], 2)]
    for index, content in enumerate(contents):
        rows.append(torch.cat([content, *painted[index * across : (index + 1) * across]], 2))
    return torch.cat(rows, 1)
