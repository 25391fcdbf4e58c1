"""Signal detection: how well a reader tells synthetic from real (d') and which way they lean (criterion)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

from webapp.readings.statistics.figure import Figure


@dataclass(frozen=True)
class Detection:
    """d' and criterion c of one reader; c > 0 leans to "real", c < 0 to "synthetic"."""

    d_prime: Figure
    criterion: Figure


def detection(hits: int, synthetic: int, false_alarms: int, real: int, *, level: float = 0.95) -> Detection:
    """d' = z(H) - z(F), c = -(z(H) + z(F))/2, with H the share of synthetic items called synthetic and F the
    share of real items called synthetic (Green and Swets 1966; Macmillan and Creelman 2005).

    Both shares carry the log-linear correction H = (hits + 1/2)/(synthetic + 1), F = (false alarms + 1/2)/
    (real + 1) for every reader, which keeps z finite (Hautus, Behav Res Methods 1995;27:46-51). Intervals:
    normal, with Var(z(p)) = p(1-p)/(n phi(z(p))^2) at the corrected shares (Gourevitch and Galanter,
    Psychometrika 1967;32:25-33); answers are taken as independent.
    """
    method = "log-linear correction; normal interval (Gourevitch-Galanter)"
    n = synthetic + real
    if not (synthetic and real):
        empty = Figure(
            None, level=level, n=n, method=method, note="Needs answers to synthetic and to real items."
        )
        return Detection(empty, empty)
    h, f = (hits + 0.5) / (synthetic + 1), (false_alarms + 0.5) / (real + 1)
    z_h, z_f = float(norm.ppf(h)), float(norm.ppf(f))
    variance = _variance(h, z_h, synthetic) + _variance(f, z_f, real)
    reach = float(norm.ppf((1 + level) / 2)) * math.sqrt(variance)
    d, c = z_h - z_f, -(z_h + z_f) / 2
    parts = {"hit_rate": h, "false_alarm_rate": f, "standard_error": math.sqrt(variance)}
    return Detection(
        Figure(d, d - reach, d + reach, level, n, method, parts=parts),
        Figure(c, c - reach / 2, c + reach / 2, level, n, method),
    )


def _variance(p: float, z: float, n: int) -> float:
    return p * (1 - p) / (n * float(norm.pdf(z)) ** 2)
