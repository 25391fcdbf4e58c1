"""Intervals of one share: exact binomial, Wilson, and Wilson on the effective number of answers."""

from __future__ import annotations

from statsmodels.stats.proportion import proportion_confint

from webapp.readings.statistics.figure import Figure


def exact(successes: int, n: int, *, level: float = 0.95) -> Figure:
    """The share with the exact binomial interval of Clopper and Pearson, Biometrika 1934;26:404-413.

    [B(a/2; k, n-k+1), B(1-a/2; k+1, n-k)], B the beta quantile; never covers less than `level`.
    """
    if n == 0:
        return Figure(None, level=level, method="exact binomial (Clopper-Pearson)", note="No answers.")
    low, high = proportion_confint(successes, n, alpha=1 - level, method="beta")
    return Figure(successes / n, float(low), float(high), level, n, "exact binomial (Clopper-Pearson)")


def wilson(successes: float, n: float, *, level: float = 0.95) -> Figure:
    """The share with the score interval of Wilson, J Am Stat Assoc 1927;22:209-212.

    The p for which |k/n - p| <= z sqrt(p(1-p)/n); `n` may be an effective, fractional number.
    """
    if n == 0:
        return Figure(None, level=level, method="Wilson", note="No answers.")
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    share = successes / n  # at 0 and 1 rounding may put an end on its wrong side
    return Figure(share, min(float(low), share), max(float(high), share), level, round(n), "Wilson")


def clustered(successes: int, n: int, variance: float, *, level: float = 0.95) -> Figure:
    """Wilson on n_eff = p(1-p)/variance answers, where the answers come in clusters (several items of a
    case).

    `variance` is the cluster variance of the share. n_eff never exceeds n: clusters are not allowed to
    narrow the interval (Korn and Graubard, Surv Methodol 1998;24:193-201, with Wilson for the exact).
    """
    p = successes / n if n else 0.0
    effective = min(n, p * (1 - p) / variance) if variance > 0 else float(n)
    plain = wilson(p * effective, effective, level=level)
    return Figure(
        plain.value,
        plain.low,
        plain.high,
        level,
        n,
        "Wilson, clustered by case",
        parts={"n_effective": effective},
    )
