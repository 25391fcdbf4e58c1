"""Gwet's AC1: agreement beyond chance that does not collapse where one answer is rare."""

from __future__ import annotations

import numpy as np

from webapp.readings.statistics import agreement
from webapp.readings.statistics.agreement import Tally
from webapp.readings.statistics.data import Numbers
from webapp.readings.statistics.figure import Figure


def ac1(found: Tally, *, categories: int | None = None, level: float = 0.95) -> Figure:
    """AC1 = (Pa - Pe)/(1 - Pe), Pe = sum_k pi_k (1 - pi_k)/(q - 1) (Gwet, Br J Math Stat Psychol
    2008;61:29-48).

    `categories` is q, the number of answers that were on offer; by default those that were given.
    """
    offered = max(categories or 0, len(found.values))

    def coefficient(counts: Numbers, values: Numbers, weights: Numbers) -> Numbers:
        share = agreement.prevalence(counts, weights)
        chance = (share * (1 - share)).sum(1) / (offered - 1) if offered > 1 else np.ones(len(weights))
        return agreement.chance_corrected(agreement.observed_agreement(counts, weights), chance)

    return agreement.figure(found, coefficient, method="Gwet's AC1; case jackknife", level=level)
