"""Krippendorff's alpha: agreement of any number of readers, with gaps, for any kind of scale."""

from __future__ import annotations

from typing import Literal

import numpy as np

from webapp.readings.statistics import agreement
from webapp.readings.statistics.agreement import Tally
from webapp.readings.statistics.data import Numbers
from webapp.readings.statistics.figure import Figure

Scale = Literal["nominal", "ordinal", "interval"]


def alpha(found: Tally, scale: Scale, *, level: float = 0.95) -> Figure:
    """alpha = 1 - Do/De (Krippendorff, Content Analysis, 4th ed. 2018, chapter 12; Hayes and Krippendorff
    2007).

    Do = (1/n) sum_u sum_{i != j in u} d^2(x_i, x_j)/(m_u - 1), De = sum_{c,k} n_c n_k d^2(c, k)/(n(n - 1)),
    over units with m_u >= 2 values; n such values in all, n_c of them equal to c. d^2 is 0 or 1 (nominal),
    (c - k)^2 (interval), or (sum_{g=c..k} n_g - (n_c + n_k)/2)^2 (ordinal), which is the interval metric
    between mid-ranks. Interval over cases by the jackknife.
    """

    def coefficient(counts: Numbers, values: Numbers, weights: Numbers) -> Numbers:
        return _alpha(counts, values, weights, scale)

    return agreement.figure(
        found, coefficient, method=f"Krippendorff's alpha, {scale}; case jackknife", level=level
    )


def _alpha(counts: Numbers, values: Numbers, weights: Numbers, scale: Scale) -> Numbers:
    m = counts.sum(1)
    counts, weights, m = counts[m >= 2], weights[:, m >= 2], m[m >= 2]
    margin = weights @ counts  # [W, K]
    n = margin.sum(1)
    if scale == "nominal":
        within = (m**2 - (counts**2).sum(1)) / (m - 1)
        observed = weights @ within
        expected = n**2 - (margin**2).sum(1)
    else:
        where = (
            np.broadcast_to(values, margin.shape)
            if scale == "interval"
            else np.cumsum(margin, 1) - margin / 2
        )
        first, second = where @ counts.T, where**2 @ counts.T  # [W, U]
        observed = (weights * (2 * m * second - 2 * first**2) / (m - 1)).sum(1)
        expected = 2 * n * (margin * where**2).sum(1) - 2 * (margin * where).sum(1) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Numbers = np.where(expected > 1e-12, 1 - (n - 1) * observed / expected, np.nan)
    return found
