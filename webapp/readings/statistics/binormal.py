"""The binormal ROC of one reader by maximum likelihood on ordered categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from webapp.readings.statistics.data import Flags, Indices, Numbers

MOST_CATEGORIES = 12
WIDEST = 3.0  # a standard error of a/sqrt(1+b^2) beyond which the area is anything from 0 to 1


@dataclass(frozen=True)
class Binormal:
    """TPR = Phi(a + b Phi^-1(FPR)), AUC = Phi(a / sqrt(1 + b^2)); all None where `note` says why.

    standard_error is that of the AUC by the delta method on the observed information; low and high
    are its 95% interval on the scale of a/sqrt(1+b^2).
    """

    a: float | None = None
    b: float | None = None
    auc: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    categories: int = 0
    note: str = ""

    def curve(self, fpr: Numbers) -> Numbers | None:
        """TPR at each FPR, None where there is no fit."""
        if self.a is None or self.b is None:
            return None
        found: Numbers = norm.cdf(self.a + self.b * norm.ppf(fpr))
        return found


def binormal(score: Numbers, truth: Flags) -> Binormal:
    """Dorfman and Alf, J Math Psychol 1969;6:487-496: real items N(0, 1), synthetic items N(a/b, 1/b^2) on a
    latent scale cut at thresholds t_k; P(score <= k) = Phi(t_k) and Phi(b t_k - a).

    Scores with more than 12 distinct values are cut into categories of about equal number (a truth-state run
    keeps the ROC's operating points as well: Metz, Herman and Shen, Stat Med 1998;17:1033-1053). Degenerate
    data, where the likelihood grows without end (no operating point inside the unit square), give no fit and
    a plain note.
    """
    if not (truth.any() and (~truth).any()):
        return Binormal(note="The curve needs scores of synthetic and of real items.")
    category = _categories(score)
    levels = int(category.max()) + 1
    counts = np.array([np.bincount(category[side], minlength=levels) for side in (~truth, truth)], np.float64)
    counts = _merge(counts)
    note = _degenerate(counts)
    if note:
        return Binormal(categories=counts.shape[1], note=note)
    return _fit(counts)


def _fit(counts: Numbers) -> Binormal:
    start = _start(counts)
    best = minimize(
        _negative, start, args=(counts,), method="BFGS", jac=True, options={"gtol": 1e-7, "maxiter": 500}
    )
    parameters = best.x
    a, b = float(parameters[0]), float(np.exp(parameters[1]))
    if not np.isfinite(best.fun) or np.abs(best.jac).max() > 1e-3 or not 0.02 < b < 50 or abs(a) > 20:
        note = "The likelihood has no maximum for these answers: a binormal curve does not fit them."
        return Binormal(categories=counts.shape[1], note=note)
    slope = np.zeros(len(parameters))
    slope[:2] = 1 / np.sqrt(1 + b**2), -a * b**2 / (1 + b**2) ** 1.5
    try:
        variance = float(slope @ np.linalg.solve(_information(parameters, counts), slope))
    except np.linalg.LinAlgError:
        variance = np.nan
    z = a / np.sqrt(1 + b**2)
    area = float(norm.cdf(z))
    if not 0 < variance < WIDEST**2:
        note = "The interval of the binormal area cannot be estimated from these answers."
        return Binormal(a, b, area, None, None, None, counts.shape[1], note)
    spread = float(np.sqrt(variance))
    low, high = norm.cdf(z - 1.959963984540054 * spread), norm.cdf(z + 1.959963984540054 * spread)
    return Binormal(
        a,
        b,
        area,
        float(norm.pdf(z)) * spread,
        float(low),
        float(high),
        counts.shape[1],
    )


def _negative(parameters: Numbers, counts: Numbers) -> tuple[float, Numbers]:
    """Minus log likelihood and its gradient; parameters are a, log b, t_1, log of the steps to t_2, t_3
    ..."""
    a, b = parameters[0], np.exp(np.clip(parameters[1], -20, 20))
    steps = np.exp(np.clip(parameters[3:], -30, 10))
    t = parameters[2] + np.r_[0.0, np.cumsum(steps)]
    value, by_t, by_a, by_b = 0.0, np.zeros(len(t)), 0.0, 0.0
    for side, argument, scale in ((0, t, 1.0), (1, b * t - a, b)):
        probability = np.diff(np.r_[0.0, norm.cdf(argument), 1.0])
        upper = np.diff(np.r_[0.0, norm.cdf(-argument[::-1]), 1.0])[::-1]  # accurate in the right tail
        probability = np.maximum(np.where(np.r_[-np.inf, argument] > 0, upper, probability), 1e-300)
        value -= float(counts[side] @ np.log(probability))
        weight = counts[side] / probability
        by_argument = -norm.pdf(argument) * (weight[:-1] - weight[1:])
        by_t += by_argument * scale
        if side:
            by_a, by_b = -float(by_argument.sum()), float(by_argument @ t)
    rest = np.cumsum(by_t[::-1])[::-1]
    return value, np.r_[by_a, by_b * b, rest[0], rest[1:] * steps]


def _information(parameters: Numbers, counts: Numbers) -> Numbers:
    size = len(parameters)
    found = np.zeros((size, size))
    for k in range(size):
        step = np.zeros(size)
        step[k] = 1e-5 * max(1.0, abs(parameters[k]))
        found[k] = (_negative(parameters + step, counts)[1] - _negative(parameters - step, counts)[1]) / (
            2 * step[k]
        )
    return (found + found.T) / 2


def _start(counts: Numbers) -> Numbers:
    """A line through the operating points on normal axes, by least squares."""
    below = np.cumsum(counts + 0.5, 1)[:, :-1] / (counts + 0.5).sum(1, keepdims=True)
    t, u = norm.ppf(below[0]), norm.ppf(below[1])
    b = 1.0 if np.ptp(t) < 1e-9 else float(np.clip(np.polyfit(t, u, 1)[0], 0.2, 5.0))
    a = float((b * t - u).mean())
    return np.r_[a, np.log(b), t[0], np.log(np.maximum(np.diff(t), 1e-3))]


def _categories(score: Numbers) -> Indices:
    levels, category = np.unique(score, return_inverse=True)
    if len(levels) <= MOST_CATEGORIES:
        return category.astype(np.int64)
    cuts = np.unique(np.quantile(score, np.linspace(0, 1, MOST_CATEGORIES + 1)[1:-1]))
    return np.unique(np.searchsorted(cuts, score, "left"), return_inverse=True)[1].astype(np.int64)


def _merge(counts: Numbers) -> Numbers:
    """Neighbouring categories that hold one kind of item only, the same kind, add nothing to the ROC."""
    merged = [counts[:, 0]]
    for column in counts.T[1:]:
        last = merged[-1]
        if (last[0] == column[0] == 0) or (last[1] == column[1] == 0):
            merged[-1] = last + column
        else:
            merged.append(column)
    return np.array(merged).T


def _degenerate(counts: Numbers) -> str:
    below = np.cumsum(counts, 1)[:, :-1] / counts.sum(1, keepdims=True)
    inside = ((below > 0) & (below < 1)).all(0)
    if not inside.any():
        return "No score threshold makes errors of both kinds: a binormal curve cannot be fitted."
    return ""
