"""The field's standard metrics, for users who have their networks' weights; none is shipped or downloaded.

They need files that :mod:`~impasto.evaluation.adapters.weights` lists; importing this package reads none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from impasto.evaluation.adapters import clip, csd, dists, lpips

if TYPE_CHECKING:
    from impasto.evaluation.metric import Metric

#: Metrics of one picture. Those of sets are in :mod:`~impasto.evaluation.adapters.fid`.
ADAPTERS: Final[tuple[Metric, ...]] = (lpips.METRIC, dists.METRIC, clip.METRIC, csd.METRIC)
