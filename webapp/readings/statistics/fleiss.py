"""Fleiss' kappa: agreement of many readers beyond chance."""

from __future__ import annotations

from webapp.readings.statistics import agreement
from webapp.readings.statistics.agreement import Tally
from webapp.readings.statistics.data import Numbers
from webapp.readings.statistics.figure import Figure


def coefficient(counts: Numbers, values: Numbers, weights: Numbers) -> Numbers:
    """kappa = (Pa - Pe)/(1 - Pe), Pe = sum_k pi_k^2 (Fleiss, Psychol Bull 1971;76:378-382).

    Items with different numbers of readers: Pa over items with two or more, pi_k the mean share over all
    items (Gwet, Handbook of Inter-Rater Reliability, 4th ed. 2014, section 2.4). Shapes as in
    `agreement.Coefficient`.
    """
    chance = (agreement.prevalence(counts, weights) ** 2).sum(1)
    return agreement.chance_corrected(agreement.observed_agreement(counts, weights), chance)


def fleiss_kappa(found: Tally, *, level: float = 0.95) -> Figure:
    """Fleiss' kappa of a tally, with a case-jackknife interval."""
    return agreement.figure(found, coefficient, method="Fleiss' kappa; case jackknife", level=level)
