"""Two one-sided tests (TOST): is the figure within a preregistered margin of chance?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import binom_test, binom_tost, proportion_confint

from webapp.readings.statistics.data import Indices, Numbers
from webapp.readings.statistics.figure import Json, finite
from webapp.readings.statistics.orh import Marginal

CHANCE = 0.5
NOT_SIGNIFICANT = (
    "Not significant is not equivalent: failing to find a difference does not show that there is none."
)


@dataclass(frozen=True)
class Equivalence:
    """The outcome of one TOST at level `alpha`; low, high are the 1 - 2 alpha interval that decides it.

    p_lower tests figure <= 1/2 - margin, p_upper tests figure >= 1/2 + margin; p_difference is the
    ordinary two-sided test against 1/2.
    """

    measure: str
    estimate: float | None
    low: float | None
    high: float | None
    margin: float
    alpha: float
    p_lower: float | None
    p_upper: float | None
    p_difference: float | None
    method: str

    @property
    def p_value(self) -> float | None:
        """The larger of the two one-sided p-values."""
        return None if self.p_lower is None or self.p_upper is None else max(self.p_lower, self.p_upper)

    @property
    def equivalent(self) -> bool | None:
        """Both one-sided tests reject at `alpha`."""
        return None if self.p_value is None else self.p_value < self.alpha

    @property
    def different(self) -> bool | None:
        """The ordinary test against 1/2 rejects at 5%."""
        return None if self.p_difference is None else self.p_difference < 0.05

    @property
    def verdict(self) -> str:
        """One of "equivalent", "different", "equivalent and different", "inconclusive", "not known"."""
        if self.equivalent is None:
            return "not known"
        found = [
            name for name, holds in (("equivalent", self.equivalent), ("different", self.different)) if holds
        ]
        return " and ".join(found) or "inconclusive"

    @property
    def sentence(self) -> str:
        """The verdict in words, with the warning wherever the ordinary test alone would mislead."""
        name = {"auc": "area under the ROC curve", "accuracy": "accuracy"}.get(self.measure, self.measure)
        bounds = f"{100 * (CHANCE - self.margin):.0f}% to {100 * (CHANCE + self.margin):.0f}%"
        if self.measure == "auc":
            bounds = f"{CHANCE - self.margin:.2f} to {CHANCE + self.margin:.2f}"
        if self.equivalent is None:
            return f"The equivalence of the {name} to chance cannot be tested with these answers."
        if self.equivalent and self.different:
            return (
                f"The {name} is within the margin ({bounds}) and yet differs from chance: readers tell the "
                f"kinds "
                "apart, but by less than the margin."
            )
        if self.equivalent:
            return f"The {name} is equivalent to chance within the margin ({bounds})."
        if self.different:
            return (
                f"The {name} differs from chance, and equivalence within the margin ({bounds}) is not shown."
            )
        return (
            f"The {name} is neither shown to differ from chance nor to be equivalent to it. {NOT_SIGNIFICANT}"
        )

    def as_json(self, *, preregistered: bool) -> dict[str, Json]:
        """Plain JSON; `preregistered` says whether the protocol set its margin on this measure."""
        note = "" if preregistered else " The margin was not preregistered on this measure."
        return {
            "measure": self.measure,
            "estimate": finite(self.estimate),
            "low": finite(self.low),
            "high": finite(self.high),
            "margin": self.margin,
            "alpha": self.alpha,
            "p_lower": finite(self.p_lower),
            "p_upper": finite(self.p_upper),
            "p_value": finite(self.p_value),
            "p_difference": finite(self.p_difference),
            "equivalent": self.equivalent,
            "different": self.different,
            "verdict": self.verdict,
            "method": self.method,
            "preregistered": preregistered,
            "sentence": self.sentence + note,
        }


def exact_binomial(right: int, n: int, *, margin: float, alpha: float = 0.05) -> Equivalence:
    """One reader's accuracy from n independent answers, by exact binomial tests.

    p_lower = P(X >= k | n, 1/2 - margin), p_upper = P(X <= k | n, 1/2 + margin) (Schuirmann, J Pharmacokinet
    Biopharm 1987;15:657-680, with the exact tests of Clopper and Pearson); never above `alpha` at the margin.
    Raises ValueError for no answers.
    """
    if n < 1:
        raise ValueError(f"expected at least one answer, got {n}")
    _, p_lower, p_upper = binom_tost(right, n, CHANCE - margin, CHANCE + margin)
    low, high = proportion_confint(right, n, alpha=2 * alpha, method="beta")
    difference = float(binom_test(right, n, CHANCE))
    return Equivalence(
        "accuracy",
        right / n,
        float(low),
        float(high),
        margin,
        alpha,
        float(p_lower),
        float(p_upper),
        difference,
        "exact binomial TOST, one reader",
    )


def with_standard_error(
    measure: str,
    estimate: float,
    standard_error: float,
    degrees: float,
    *,
    margin: float,
    alpha: float = 0.05,
    method: str,
) -> Equivalence:
    """A figure with a standard error on `degrees` of freedom (inf: normal): t = (figure -+ bound)/SE each
    way."""
    low_bound, high_bound = CHANCE - margin, CHANCE + margin
    if not standard_error > 0:
        if abs(estimate - CHANCE) < margin:
            return unknown(measure, margin=margin, alpha=alpha)
        lower, upper = float(estimate <= low_bound), float(estimate >= high_bound)
        return Equivalence(measure, estimate, None, None, margin, alpha, lower, upper, 0.0, method)
    half = float(stats.t.ppf(1 - alpha, degrees)) * standard_error
    return Equivalence(
        measure,
        estimate,
        estimate - half,
        estimate + half,
        margin,
        alpha,
        float(stats.t.sf((estimate - low_bound) / standard_error, degrees)),
        float(stats.t.cdf((estimate - high_bound) / standard_error, degrees)),
        float(2 * stats.t.sf(abs(estimate - CHANCE) / standard_error, degrees)),
        method,
    )


def many_readers(measure: str, found: Marginal, *, margin: float, alpha: float = 0.05) -> Equivalence:
    """The mean figure of random readers over random cases, on Hillis's degrees of freedom (see
    `orh.marginal`)."""
    method = "TOST; readers and cases random (Obuchowski-Rockette-Hillis)"
    return with_standard_error(
        measure, found.mean, found.standard_error, found.degrees, margin=margin, alpha=alpha, method=method
    )


def unknown(measure: str, *, margin: float, alpha: float = 0.05) -> Equivalence:
    """The outcome where the answers allow no test."""
    return Equivalence(measure, None, None, None, margin, alpha, None, None, None, "none: too few answers")


def exact_size(items: Indices, p: float, *, margin: float, alpha: float = 0.05) -> Numbers:
    """P(the exact binomial TOST declares equivalence) for each number of answers [N] with true accuracy p:
    its power, or its type-I error where p lies on the margin.

    The test accepts low <= k <= n - low, low the least k with P(X >= k | n, 1/2 - margin) <= alpha.
    """
    low = stats.binom.isf(alpha, items, CHANCE - margin) + 1
    inside = stats.binom.cdf(items - low, items, p) - stats.binom.cdf(low - 1, items, p)
    found: Numbers = np.where(low <= items - low, inside, 0.0)
    return found
