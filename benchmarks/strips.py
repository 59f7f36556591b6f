"""Strips against the whole picture, as processes: how far apart the results are, seams, memory and time.

    python benchmarks/strips.py [CONTENT STYLE] [--size 1224] [--steps 20]

Both runs are the same but for --memory. The seam ratio is taken where the strips of the first stage meet.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench import free_pair
from impasto.engines.optimize.plan import STRIP_MB
from impasto.vgg import Passage, choose_precision, load_network
from peers import run
from sheet import table


def seam_ratio(picture, borders_x, borders_y):
    """Mean step across the borders of blocks ÷ mean of the steps one and two pixels beside them; 1: no seam.

    Taken at full size. A border is the first column (x) or row (y) of the block behind it, at least 3 pixels from
    the rim.
    """
    pixels = np.asarray(Image.open(picture).convert("RGB"), dtype=np.float64)
    across, beside = [], []
    for axis, borders in ((1, borders_x), (0, borders_y)):
        steps = np.abs(np.diff(pixels, axis=axis))  # step i lies between pixels i and i + 1
        for border in borders:
            across.append(steps.take(border - 1, axis).mean())
            beside.append(np.mean([steps.take(border - 1 + k, axis).mean() for k in (-2, -1, 1, 2)]))
    return float(np.mean(across) / np.mean(beside))


def borders(width, height):
    """First rows of the strips of the first stage."""
    precision = choose_precision()
    net = load_network(device=precision.device, dtype=precision.dtype).net
    rows = []
    passage = Passage(net, ("relu1_1",), strip_mb=STRIP_MB)
    passage.forward(torch.zeros(1, 3, height, width), lambda *seen: rows.append(seen[2]), backward=False)
    return rows[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="*", help="content and style; by default free ones")
    parser.add_argument("--size", type=int, default=1224)
    parser.add_argument("--steps", type=int, default=20)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content, style = chosen.pictures or free_pair(folder)
        rows, pictures = [], {}
        for memory in ("whole", "strips"):
            output = folder / f"{memory}.png"
            seconds, mb = run(
                [sys.executable, "-m", "impasto", "stylize", content, style, "-o", output, "--quiet",
                 "--image-size", chosen.size, "--steps", chosen.steps, "--memory", memory]
            )  # fmt: skip
            pictures[memory] = np.asarray(Image.open(output), dtype=np.float64)
            height, width = pictures[memory].shape[:2]
            seam = seam_ratio(output, [], borders(width, height))
            rows.append({"memory": memory, "size": f"{width}x{height}", "s": seconds, "peak MiB": mb, "seam": seam})
    print(table(rows))
    apart = np.abs(pictures["whole"] - pictures["strips"]).mean()
    print(f"\nmean difference {apart:.2f} of 255; strips ÷ whole: time {rows[1]['s'] / rows[0]['s']:.2f}, "
          f"memory {rows[1]['peak MiB'] / rows[0]['peak MiB']:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
