"""Weighted kappa against statsmodels, a closed form and leaving cases out by hand."""

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from webapp.readings.statistics import accuracy
from webapp.readings.statistics.weighted_kappa import against_intended, between_readers, weighted_kappa

RNG = np.random.default_rng(11)
FIRST = RNG.integers(0, 5, 80).astype(float)
SECOND = np.clip(FIRST + RNG.integers(-1, 2, 80), 0, 4)


def pairs_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, j = np.indices(table.shape)
    counts = table.ravel()
    return np.repeat(i.ravel(), counts).astype(float), np.repeat(j.ravel(), counts).astype(float)


def test_two_abstractors_of_gwet():
    """irrCAC's cont3x3abstractors: Cohen's kappa .7964094."""
    first, second = pairs_of(np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]]))
    assert weighted_kappa(first, second, "unweighted") == pytest.approx(0.7964094, abs=5e-8)


@pytest.mark.parametrize(
    ("weights", "theirs"), [("quadratic", "quadratic"), ("linear", "linear"), ("unweighted", None)]
)
def test_against_statsmodels(weights, theirs):
    table = np.zeros((5, 5))
    np.add.at(table, (FIRST.astype(int), SECOND.astype(int)), 1)
    expected = cohens_kappa(table, wt=theirs, return_results=False)
    assert weighted_kappa(FIRST, SECOND, weights) == pytest.approx(expected)


def test_quadratic_kappa_in_closed_form():
    """1 - sum (x - y)^2 / n (var x + var y + (mean x - mean y)^2): Fleiss and Cohen 1973."""
    spread = FIRST.var() + SECOND.var() + (FIRST.mean() - SECOND.mean()) ** 2
    expected = 1 - ((FIRST - SECOND) ** 2).mean() / spread
    assert weighted_kappa(FIRST, SECOND) == pytest.approx(expected)


def test_gaps_in_the_scale_count_as_distance():
    assert weighted_kappa(FIRST, SECOND) == pytest.approx(weighted_kappa(2 * FIRST, 2 * SECOND))
    near, far = np.array([0.0, 1, 0, 1]), np.array([0.0, 1, 1, 0])
    assert weighted_kappa(near, far) == pytest.approx(0.0)


def test_mean_over_pairs_and_its_jackknife():
    third = np.clip(FIRST + RNG.integers(-2, 3, 80), 0, 4)
    grades = np.array([FIRST, SECOND, third])
    grades[2, :10] = np.nan
    case = np.repeat(np.arange(40), 2)

    def mean(keep: np.ndarray) -> float:
        found = []
        for a, b in ((0, 1), (0, 2), (1, 2)):
            both = keep & np.isfinite(grades[a]) & np.isfinite(grades[b])
            found.append(weighted_kappa(grades[a, both], grades[b, both]))
        return float(np.mean(found))

    figure = between_readers(grades, case)
    assert figure.value == pytest.approx(mean(np.ones(80, bool)))
    without = np.array([mean(case != c) for c in range(40)])
    assert figure.parts["standard_error"] == pytest.approx(np.sqrt(39 * without.var()))


def test_grades_against_what_was_asked_for():
    """Readers with their own noise: the leave-one-case-out values are those without the case."""
    intended = np.tile(np.arange(5.0), 16)
    grades = np.array([FIRST, intended, np.clip(intended + RNG.integers(-1, 2, 80), 0, 4)])
    grades[0, 3] = np.nan
    intended[10] = np.nan
    case = np.arange(80)
    found = against_intended(grades, intended, case)
    assert found.value[1] == 1.0
    keep = np.isfinite(grades[0]) & np.isfinite(intended) & (case != 7)
    assert found.without[0, 7] == pytest.approx(weighted_kappa(grades[0, keep], intended[keep]))
    assert not found.counts[0, 3]
    assert not found.counts[1, 10]
    figure = accuracy.over_readers(found, n=3 * 79, kind="coefficient")
    assert figure.value == pytest.approx(found.value.mean())
    assert -1 <= figure.low <= figure.value <= figure.high <= 1


def test_constants_have_no_kappa():
    assert np.isnan(weighted_kappa(np.ones(4), np.ones(4)))
    figure = between_readers(np.ones((2, 4)), np.arange(4))
    assert figure.value is None
    assert "left out" in figure.note
