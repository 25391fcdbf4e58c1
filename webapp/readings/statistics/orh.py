"""Obuchowski-Rockette-Hillis for one modality: the mean of a figure over random readers and random cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from webapp.readings.statistics.data import Numbers
from webapp.readings.statistics.jackknife import LeftOut, covariance


@dataclass(frozen=True)
class Marginal:
    """The mean of R readers' figures and its precision, both readers and cases taken as a random draw.

    mean_square = MS(R), the variance of the readers' figures; error = their mean case variance;
    cov2 = the mean case covariance of two readers, as estimated (it may be negative).
    """

    mean: float
    standard_error: float
    degrees: float
    readers: int
    mean_square: float
    error: float
    cov2: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """mean -+ t(df) SE; not cut at 0 or 1."""
        half = float(stats.t.ppf((1 + level) / 2, self.degrees)) * self.standard_error
        return self.mean - half, self.mean + half

    def logit_interval(self, level: float = 0.95) -> tuple[float, float]:
        """The same on the logit scale, logit(mean) -+ t(df) SE / (mean (1 - mean)): stays inside 0 to 1, and
        covers better where the mean is high (docs/evidence/readings.md). Raises ValueError for a mean of 0
        or 1."""
        if not 0 < self.mean < 1:
            raise ValueError(f"expected a mean between 0 and 1, got {self.mean}")
        half = float(stats.t.ppf((1 + level) / 2, self.degrees)) * self.standard_error
        half /= self.mean * (1 - self.mean)
        centre = logit(self.mean)
        return float(expit(centre - half)), float(expit(centre + half))

    def two_sided(self, against: float) -> float:
        """The two-sided p-value of mean = against."""
        if self.standard_error == 0:
            return 1.0 if self.mean == against else 0.0
        return float(2 * stats.t.sf(abs(self.mean - against) / self.standard_error, self.degrees))

    @property
    def reader_variance(self) -> float:
        """sigma^2_R = max(MS(R) - error + cov2, 0): how far readers truly differ (Hillis 2014)."""
        return max(self.mean_square - self.error + max(self.cov2, 0.0), 0.0)


def marginal(values: Numbers, covariances: Numbers, *, bounded: bool = False) -> Marginal:
    """The marginal mean from readers' figures [R >= 2] and their case covariances [R, R].

    v = MS(R) + R max(Cov2, 0), SE = sqrt(v/R), df = v^2 / (MS(R)^2 / (R-1)): Hillis, Obuchowski and
    Berbaum, Acad Radiol 2011;18:129-142, and Hillis, Stat Med 2014;33:330-360, for one modality.
    E[v]/R is the variance of the mean also where readers read different numbers of cases.

    `bounded` keeps MS(R) at or above what the cases alone make it, error - max(Cov2, 0), since readers
    cannot differ by less than nothing; df then takes the mean of MS(R) and its bounded value. With few
    readers the plain formula covers too little (docs/evidence/readings.md has both side by side); where
    MS(R) exceeds the bound they are the same.

    Raises ValueError for fewer than two readers or figures that are not finite.
    """
    readers = len(values)
    if readers < 2 or covariances.shape != (readers, readers):
        raise ValueError(f"expected at least 2 readers and a square of covariances, got {covariances.shape}")
    if not (np.isfinite(values).all() and np.isfinite(covariances).all()):
        raise ValueError("expected finite figures of every reader")
    mean_square = float(values.var(ddof=1))
    error = float(np.trace(covariances) / readers)
    cov2 = float((covariances.sum() - np.trace(covariances)) / (readers * (readers - 1)))
    common = max(cov2, 0.0)
    used = max(mean_square, error - common) if bounded else mean_square
    v = used + readers * common
    uncertain = (mean_square + used) / 2
    degrees = v**2 / (uncertain**2 / (readers - 1)) if uncertain > 0 else np.inf
    error_of_mean = float(np.sqrt(v / readers))
    return Marginal(float(values.mean()), error_of_mean, float(degrees), readers, mean_square, error, cov2)


def orh(left_out: LeftOut) -> Marginal:
    """The published marginal mean of leave-one-case-out figures, with jackknife covariances."""
    return marginal(left_out.value, covariance(left_out))
