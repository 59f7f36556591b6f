"""Engine ``fast``: a network paints a picture in one pass, in any style.

Source: Ghiasi, Lee, Kudlur, Dumoulin, Shlens, "Exploring the structure of a real-time, arbitrary neural artistic
stylization network", BMVC 2017.
"""

from impasto.engines.fast.engine import FastEngine

__all__ = ["FastEngine"]
