"""Engine ``optimize``: a picture is optimised until its statistics in VGG-19 are the style's.

Source: Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.
"""

from impasto.engines.optimize.engine import OptimizeEngine

__all__ = ["OptimizeEngine"]
