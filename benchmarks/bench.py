"""`make bench`: how fast, how large and how good, measured in one run on this machine.

Prints a table for each of four questions, and with --markdown writes them for docs/performance.md:
  1. time until our saved picture's loss, as pastiche defines it, is at or below pastiche's saved picture's;
  2. quality of our default beside pastiche's default (style gain, edge correlation);
  3. time of a step against the time of its matrix products alone;
  4. peak memory.

    python benchmarks/bench.py [--content FILE --style FILE] [--sizes 256 512] [--quick]

Whole processes are timed, as a user would run them. Absolute times on a shared machine are noisy; read the ratios.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from skimage import data

from impasto import evaluate
from impasto.engines.optimize.objective import Objective
from impasto.engines.optimize.plan import STRIP_MB
from impasto.engines.parts import Part, Source
from impasto.settings import OptimizeSettings
from impasto.vgg import choose_precision, load_network
from impasto.vgg.calibrate import PACKAGED_SCALES
from impasto.vgg.layers import CONVOLUTIONS, channels, stride, up_to
from peers import PEER_STEPS, PeerObjective, pastiche, run
from sheet import table

ROOT = Path(__file__).resolve().parent.parent


def impasto(content, style, output, *options):
    return run([sys.executable, "-m", "impasto", "stylize", content, style, "-o", output, "--quiet", *options])


def peer_settings(objective, size, steps):
    """pastiche's objective in our terms: its weights, carried over to activations of mean 1."""
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    weights = {layer: 10 / channels(layer) ** 2 / PACKAGED_SCALES[layer] ** 4 for layer in layers}
    return {
        "image_size": size,
        "scales": size,
        "steps": steps,
        "style_loss": "gram",
        "tv_weight": 0,
        "layers": ",".join(f"{layer}={weight:.8g}" for layer, weight in weights.items()),
        "style_weight": sum(weights.values()),
        "content_weight": 0.01 / PACKAGED_SCALES["relu4_2"] ** 2,
        "style_scale": max(objective.style_size) / max(objective.size),
    }


def flags(settings):
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]


def race(content, style, size, folder):
    """Both programs on the same objective; ours with more and more steps until its saved picture is as good."""
    peer_file = folder / f"peer-{content.stem}-{size}.png"
    peer_seconds, peer_mb = pastiche(content, style, size, peer_file)
    objective = PeerObjective(content, style, size)
    goal = objective(peer_file)
    for steps in (12, 15, 18, 22, 26, 30, 35, 40, 50, 60, 80, 100, 130, 160):
        ours_file = folder / f"race-{content.stem}-{size}.png"
        seconds, _ = impasto(content, style, ours_file, *flags(peer_settings(objective, size, steps)))
        loss = objective(ours_file)
        print(f"  {size} px, {steps} steps: {loss / goal:.2f} of the peer's loss after {seconds:.1f} s", flush=True)
        if loss <= goal:
            break
    row = {
        "pair": f"{content.stem} × {style.stem}", "size": size, "peer s": peer_seconds, "ours s": seconds,
        "steps": steps, "times sooner": peer_seconds / seconds, "loss ratio": loss / goal,
    }  # fmt: skip
    return row, peer_file, peer_mb


def quality(content, style, size, peer_file, peer_mb, folder):
    ours_file = folder / f"default-{content.stem}-{size}.png"
    seconds, mb = impasto(content, style, ours_file, "--image-size", size)
    judged = {
        whose: evaluate(file, content=content, style=style).values
        for whose, file in (("ours", ours_file), ("peer", peer_file))
    }
    return {
        "pair": f"{content.stem} × {style.stem}", "size": size,
        "gain ours": judged["ours"]["style_gain"], "gain peer": judged["peer"]["style_gain"],
        "edges ours": judged["ours"]["edge_content"], "edges peer": judged["peer"]["edge_content"],
        "ours s": seconds, "ours MiB": mb, "peer MiB": peer_mb,
    }  # fmt: skip


def iteration(size):
    """One step at size × ¾ size against the matrix products that its convolutions come down to."""
    precision = choose_precision()
    net = load_network(device=precision.device, dtype=precision.dtype).net
    height, width = size * 3 // 4, size
    generator = torch.Generator().manual_seed(0)
    picture, style = (torch.rand(1, 3, height, width, generator=generator) for _ in range(2))
    rows = []
    products = _products(height, width, precision.dtype)
    limit = _fastest(products)
    parts = [Part(None, (Source(style, None, 1.0),))]
    for loss, strips in (("gram", None), ("w2", None), ("w2,nn", None), ("w2,nn", STRIP_MB)):
        objective = Objective(net, picture, parts, OptimizeSettings.of(style_loss=loss), strip_mb=strips)
        seconds = _fastest(lambda objective=objective: objective(picture))
        rows.append(
            {
                "size": f"{width}x{height}",
                "loss": loss + (" in strips" if strips else ""),
                "dtype": str(precision.dtype).removeprefix("torch."),
                "step ms": seconds * 1e3,
                "products ms": limit * 1e3,
                "ratio": seconds / limit,
            }
        )
    return rows


def _products(height, width, dtype):
    """The convolutions of one step as plain matrix products of the same size, forward and back."""
    shapes = []
    for layer in up_to(["relu5_1"]):
        _, inputs, outputs = CONVOLUTIONS[layer]
        n = (height // stride(layer)) * (width // stride(layer))
        shapes += [(n, 9 * inputs, outputs), (n, 9 * outputs, inputs)]
    # One block of rows stands for all: the operands of a whole layer would not fit into any cache, and need not.
    tiles = [(n, torch.ones(2048, k, dtype=dtype), torch.ones(k, m, dtype=dtype)) for n, k, m in shapes]

    def run_all():
        for n, left, right in tiles:
            whole, part = divmod(n, 2048)
            for _ in range(whole):
                left @ right
            if part:
                left[:part] @ right

    return run_all


def _fastest(function, repeats=5):
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def free_pair(folder):
    """A photo that scikit-image ships (CC0) and one of our own style pictures."""
    photo = folder / "coffee.png"
    Image.fromarray(data.coffee()).save(photo)
    return photo, ROOT / "src" / "impasto" / "styles" / "house" / "flow_strokes.jpg"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--content", type=Path, nargs="*", help="content photos; by default one of scikit-image's")
    parser.add_argument("--style", type=Path, nargs="*", help="one style for each; by default a house style")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--json", type=Path, help="also write the rows there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = list(zip(options.content or [], options.style or [], strict=True)) or [free_pair(folder)]
        # First, while nothing else has heated the caches or the processor.
        steps = [row for size in options.sizes for row in iteration(size)]
        races, qualities = [], []
        for content, style in pairs:
            for size in options.sizes:
                row, peer_file, peer_mb = race(content, style, size, folder)
                races.append(row)
                qualities.append(quality(content, style, size, peer_file, peer_mb, folder))
    for title, rows in (
        (f"Time to pastiche's own loss after {PEER_STEPS} steps", races),
        ("Default against default", qualities),
        ("One step against its matrix products", steps),
    ):
        print(f"\n{title}\n\n{table(rows)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"race": races, "quality": qualities, "step": steps}, indent=1))


if __name__ == "__main__":
    main()
