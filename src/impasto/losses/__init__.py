"""Losses of style transfer: pure functions on activations or pixels. Nothing here knows a network."""

from impasto.losses.content import content_loss
from impasto.losses.gram import gram_loss
from impasto.losses.mean_std import mean_std_loss
from impasto.losses.moments import (
    Moments,
    MomentSums,
    blend_moments,
    columns_of,
    gram_matrix,
    moments,
    moments_gradient,
)
from impasto.losses.nearest import NearestTarget, nearest_loss
from impasto.losses.remd import palette_loss, remd_loss
from impasto.losses.self_similarity import self_similarity_loss
from impasto.losses.swd import SlicedTarget, swd_loss
from impasto.losses.temporal import temporal_loss
from impasto.losses.total_variation import total_variation
from impasto.losses.w2 import W2Target, w2_loss

__all__ = [
    "MomentSums",
    "Moments",
    "NearestTarget",
    "SlicedTarget",
    "W2Target",
    "blend_moments",
    "columns_of",
    "content_loss",
    "gram_loss",
    "gram_matrix",
    "mean_std_loss",
    "moments",
    "moments_gradient",
    "nearest_loss",
    "palette_loss",
    "remd_loss",
    "self_similarity_loss",
    "swd_loss",
    "temporal_loss",
    "total_variation",
    "w2_loss",
]
