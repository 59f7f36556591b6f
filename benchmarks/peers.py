"""Other programs to measure against: pastiche as it is installed, crowsonkb's style-transfer-pytorch as a recipe.

The recipe is written anew from its published facts (loss, weights, scales, optimiser) and run as plainly as PyTorch
allows: float32, NCHW modules, autograd, no packed kernels. Three things are not as in the original: the weights are
Caffe's with every activation brought to mean 1 (the original reads torchvision's, to which this comes close), nothing
is traced or shown while it runs, and there is one style picture. The matrix square root is by Newton–Schulz steps, and
its gradient by the same iteration for the Lyapunov equation, as there.

    python benchmarks/peers.py CONTENT STYLE -o OUT [--size 512] [--iterations-share 1.0]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from impasto.vgg import activations
from impasto.vgg.calibrate import PACKAGED_SCALES
from impasto.vgg.layers import CONVOLUTIONS, up_to
from impasto.vgg.network import VGG19
from impasto.vgg.weights import load_weights

PEER_STEPS = 300
PEER_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE_WEIGHTS = {"relu1_1": 256, "relu2_1": 64, "relu3_1": 16, "relu4_1": 4, "relu5_1": 1}
CONTENT_LAYER, CONTENT_WEIGHT, TV_WEIGHT = "relu4_2", 0.015, 2.0
SMALLEST, FIRST_ITERATIONS, ITERATIONS = 128, 1000, 500
ROOT_STEPS = 12


def run(command):
    """Seconds and peak MiB of a whole process."""
    began = time.perf_counter()
    script = (
        "import resource,subprocess,sys;"
        "code=subprocess.call(sys.argv[1:],stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024);sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, command)], check=True, stdout=subprocess.PIPE, text=True
    )
    return time.perf_counter() - began, float(done.stdout.strip().splitlines()[-1])


def pastiche(content, style, size, output):
    return run(
        [Path(sys.executable).with_name("pastiche"), "-c", content, "-s", style, "-o", output, "--size", size,
         "--num-steps", PEER_STEPS, "--device", "cpu", "--seed", 0]
    )  # fmt: skip


class Network(nn.Module):
    """VGG-19's activations by name; the first convolution repeats the rim, the others pad with 0."""

    def __init__(self, layers):
        super().__init__()
        weights = load_weights()
        self.layers = layers
        self.register_buffer("mean", torch.tensor(weights.mean).view(1, 3, 1, 1))
        self.convs = nn.ModuleDict()
        before = 1.0
        for layer in up_to(layers):
            name, inputs, outputs = CONVOLUTIONS[layer]
            mode = "replicate" if layer == "relu1_1" else "zeros"
            conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=mode)
            after = PACKAGED_SCALES[layer]
            conv.weight.data = weights.tensors[f"{name}.weight"] * (after / before)
            conv.bias.data = weights.tensors[f"{name}.bias"] * after
            before = after
            self.convs[layer] = conv
        self.requires_grad_(False)

    def forward(self, picture):
        x, found = picture - self.mean, {}
        for layer, conv in self.convs.items():
            if layer.endswith("_1") and layer != "relu1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu(conv(x))
            if layer in self.layers:
                found[layer] = x
        return found


class SquareRoot(torch.autograd.Function):
    """Square root of a symmetric positive definite matrix by coupled Newton–Schulz steps."""

    @staticmethod
    def forward(ctx, matrix):
        norm, eye = matrix.norm(), torch.eye(len(matrix))
        root, inverse = matrix / norm, eye
        for _ in range(ROOT_STEPS):
            factor = (3 * eye - inverse @ root) / 2
            root, inverse = root @ factor, factor @ inverse
        root = root * norm.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx, grad):
        # The gradient X solves RX + XR = grad. The matrix sign of [[R, grad], [0, −R]] holds 2X in its corner; the
        # sign is what Newton–Schulz steps M ← M(3 − M²)/2 tend to, written here for its two different blocks.
        (root,) = ctx.saved_tensors
        norm, eye = root.norm(), torch.eye(len(root))
        block, corner = root / norm, grad / norm
        for _ in range(ROOT_STEPS):
            factor = 3 * eye - block @ block
            corner = (corner @ factor - block @ (block @ corner - corner @ block)) / 2
            block = block @ factor / 2
        return corner / 2


def moments(activations):
    """Mean and covariance of the channels."""
    rows = activations[0].flatten(1)
    mean = rows.mean(1)
    return mean, rows @ rows.T / rows.shape[1] - torch.outer(mean, mean) + 1e-4 * torch.eye(len(rows))


class StyleLoss:
    """Squared 2-Wasserstein distance of two Gaussians, a mean over channels."""

    def __init__(self, activations):
        self.mean, self.covariance = moments(activations)
        self.root = SquareRoot.apply(self.covariance)

    def __call__(self, activations):
        mean, covariance = moments(activations)
        cross = SquareRoot.apply(self.root @ covariance @ self.root)
        return F.mse_loss(mean, self.mean) + (self.covariance + covariance - 2 * cross).diagonal().mean()


def total_variation(picture):
    """Nine-point stencil, squared differences."""
    x = F.pad(picture, (1, 1, 1, 1), "replicate")
    across, down = x[..., 1:, :-1] - x[..., 1:, 1:], x[..., :-1, 1:] - x[..., 1:, 1:]
    falling, rising = x[..., :-1, :-1] - x[..., 1:, 1:], x[..., 1:, :-1] - x[..., :-1, 1:]
    return 2 * ((across**2).mean() / 3 + (down**2).mean() / 3 + (falling**2).mean() / 12 + (rising**2).mean() / 12)


class Average:
    """Running mean of the iterates with decay 0.99, corrected for its start."""

    def __init__(self, first, decay=0.99):
        self.decay, self.sum, self.weight = decay, torch.zeros_like(first), 0.0
        self.add(first)

    def add(self, picture):
        self.sum = self.decay * self.sum + (1 - self.decay) * picture
        self.weight = self.decay * self.weight + 1 - self.decay

    def value(self):
        return self.sum / self.weight


def crowsonkb(content, style, size, *, share=1.0):
    """The picture after ``share`` of the recipe's iterations (1000 at the first scale, 500 at each later one).

    ``content`` and ``style`` are paths, ``size`` is the longer side in pixels.
    """
    content, style = (Image.open(path).convert("RGB") for path in (content, style))
    network = Network([*STYLE_WEIGHTS, CONTENT_LAYER])
    picture, optimizer = None, None
    for scale in scales(size):
        pixels = _resized(content, scale)
        with torch.no_grad():
            content_target = network(pixels)[CONTENT_LAYER]
            found = network(_resized(style, min(scale, max(style.size))))
            style_losses = {layer: StyleLoss(found[layer]) for layer in STYLE_WEIGHTS}
        iterations = max(1, round(share * (FIRST_ITERATIONS if picture is None else ITERATIONS)))
        start = pixels if picture is None else _upsampled(picture, pixels.shape[2:]).clamp(0, 1)
        variable = start.clone().requires_grad_()
        optimizer = _adam(variable, optimizer)
        average = Average(start)
        for _ in range(iterations):
            activations = network(variable)
            loss = CONTENT_WEIGHT * F.mse_loss(activations[CONTENT_LAYER], content_target)
            for layer, weight in STYLE_WEIGHTS.items():
                loss = loss + weight / sum(STYLE_WEIGHTS.values()) * style_losses[layer](activations[layer])
            loss = loss + TV_WEIGHT * total_variation(variable)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                variable.clamp_(0, 1)
                average.add(variable)
        picture = average.value().clamp(0, 1)
    return Image.fromarray((picture[0].permute(1, 2, 0) * 255).round().byte().numpy())


def scales(size):
    """√2 steps down from ``size`` to no less than 128, ascending."""
    found = [size]
    while (smaller := round(size / 2 ** (len(found) / 2))) >= SMALLEST:
        found.append(smaller)
    return found[::-1]


def _resized(image, longer):
    factor = longer / max(image.size)
    resized = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 255


def _upsampled(picture, size, mode="bicubic"):
    return F.interpolate(picture, tuple(size), mode=mode, align_corners=False)


def _adam(variable, before):
    """Adam that goes on from the coarser scale: both moments resampled, the step count kept."""
    optimizer = torch.optim.Adam([variable], lr=0.02, betas=(0.9, 0.99))
    if before is not None:
        (state,) = before.state.values()
        size = variable.shape[2:]
        optimizer.state[variable] = {
            "step": state["step"].clone(),
            "exp_avg": _upsampled(state["exp_avg"], size),
            "exp_avg_sq": _upsampled(state["exp_avg_sq"], size, "bilinear").relu(),
        }
    return optimizer


class PeerObjective:
    """The loss of pastiche 1.6.0 in float32: its layers, weights and resampling, on pictures that were saved.

    Its activations are Caffe's own (not rescaled), style pictures have the content's number of pixels, both are
    resampled bilinearly by Pillow.
    """

    def __init__(self, content, style, size):
        self.net = VGG19(load_weights(), {}, device=torch.device("cpu"), dtype=torch.float32)
        image = Image.open(content).convert("RGB")
        factor = size / max(image.size)
        width, height = round(image.width * factor), round(image.height * factor)
        self.size = (width, height)
        style_image = Image.open(style).convert("RGB")
        tall = round((width * height * style_image.height / style_image.width) ** 0.5)
        self.style_size = (round(style_image.width / style_image.height * tall), tall)
        with torch.no_grad():
            self.content = activations(self.net, self._pixels(image, self.size), ("relu4_2",))["relu4_2"]
            style_features = activations(self.net, self._pixels(style_image, self.style_size), PEER_LAYERS)
        self.grams = {layer: self._gram(f) for layer, f in style_features.items()}

    @staticmethod
    def _pixels(image, size):
        resized = image.resize(size, Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 255

    @staticmethod
    def _gram(features):
        rows = features[0].flatten(1)
        return rows @ rows.T / rows.shape[1]

    def __call__(self, output):
        image = Image.open(output).convert("RGB")
        if image.size != self.size:
            raise ValueError(f"{output} is {image.size}, expected {self.size}")
        with torch.no_grad():
            features = activations(self.net, self._pixels(image, self.size), (*PEER_LAYERS, "relu4_2"))
        loss = 0.01 * F.mse_loss(features["relu4_2"], self.content)
        for layer, target in self.grams.items():
            loss += 10 / target.shape[0] ** 2 * F.mse_loss(self._gram(features[layer]), target)
        return float(loss)


def main():
    parser = argparse.ArgumentParser(description="crowsonkb's recipe, run plainly")
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512, help="longer side in pixels")
    parser.add_argument("--iterations-share", type=float, default=1.0, help="of 1000 and 500 iterations a scale")
    chosen = parser.parse_args()
    began = time.perf_counter()
    crowsonkb(chosen.content, chosen.style, chosen.size, share=chosen.iterations_share).save(chosen.output)
    print(f"{chosen.output}  {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
