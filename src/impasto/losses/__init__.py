"""Losses of style transfer: pure functions on activations or pixels. Nothing here knows a network."""

from impasto.losses.content import content_loss
from impasto.losses.gram import gram_loss
from impasto.losses.moments import Moments, blend_moments, gram_matrix, moments
from impasto.losses.total_variation import total_variation
from impasto.losses.w2 import W2Target, w2_loss

__all__ = [
    "Moments",
    "W2Target",
    "blend_moments",
    "content_loss",
    "gram_loss",
    "gram_matrix",
    "moments",
    "total_variation",
    "w2_loss",
]
