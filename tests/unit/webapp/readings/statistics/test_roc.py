"""The empirical ROC of one reader against MRMCaov, brute force and the definition."""

import numpy as np
import pytest

from tests.unit.webapp.readings.statistics import vandyke
from webapp.readings.statistics import jackknife, roc

TRUTH = vandyke.truth()
PRINTED = {  # MRMCaov, "Single reader 95% CIs": area and jackknife standard error of treatments 1 and 2
    1: [0.9196457, 0.8587762, 0.9038647, 0.9731079, 0.8297907],
    2: [0.9478261, 0.9053140, 0.9217391, 0.9993559, 0.9299517],
}
ERRORS = {
    1: [0.0301255164, 0.0363753335, 0.0282594118, 0.0173388332, 0.0417201720],
    2: [0.0221416887, 0.0298151099, 0.0297673065, 0.0007213348, 0.0262023046],
}


@pytest.mark.parametrize("treatment", [1, 2])
def test_areas_and_jackknife_errors_of_van_dyke(treatment):
    ratings = vandyke.ratings(treatment)
    assert [roc.auc(row, TRUTH) for row in ratings] == pytest.approx(PRINTED[treatment], abs=5e-8)
    left_out = jackknife.area(ratings, TRUTH, np.arange(len(TRUTH)))
    errors = np.sqrt(np.diag(jackknife.covariance(left_out)))
    assert errors == pytest.approx(ERRORS[treatment], rel=1e-7)


def test_area_is_the_mean_over_pairs():
    rng = np.random.default_rng(1)
    score, truth = rng.integers(0, 4, 40).astype(float), rng.random(40) < 0.4
    high, low = score[truth][:, None], score[~truth][None, :]
    assert roc.auc(score, truth) == pytest.approx(((high > low) + 0.5 * (high == low)).mean())


def test_delong_variance_is_the_diagonal_of_the_covariance():
    ratings = vandyke.ratings(1)
    together = np.diag(roc.delong_covariance(ratings, TRUTH))
    assert [roc.delong_variance(row, TRUTH) for row in ratings] == pytest.approx(together)


def test_clustered_variance_by_the_definition():
    """Obuchowski 1997, summed case by case."""
    rng = np.random.default_rng(3)
    case = rng.integers(0, 12, 60)
    truth = rng.random(60) < 0.5
    score = truth + rng.normal(size=60) + rng.normal(size=12)[case]
    psi = (score[truth][:, None] > score[~truth][None, :]).astype(float)
    v10, v01, area = psi.mean(1), psi.mean(0), psi.mean()
    m, n = psi.shape
    names = np.unique(case)
    a = np.array([(v10 - area)[case[truth] == c].sum() for c in names])
    b = np.array([(v01 - area)[case[~truth] == c].sum() for c in names])
    big_m, big_n, all_cases = len(np.unique(case[truth])), len(np.unique(case[~truth])), len(names)
    s10 = big_m / ((big_m - 1) * m) * (a**2).sum()
    s01 = big_n / ((big_n - 1) * n) * (b**2).sum()
    s11 = all_cases / (all_cases - 1) * (a * b).sum()
    expected = s10 / m + s01 / n + 2 * s11 / (m * n)
    assert roc.delong_variance(score, truth, case) == pytest.approx(expected)


def test_leaving_a_case_out_is_the_same_as_not_having_it():
    rng = np.random.default_rng(4)
    case = np.repeat(np.arange(8), 4)
    truth = rng.random(32) < 0.5
    score = rng.integers(1, 6, (2, 32)).astype(float)
    score[1, 5:9] = np.nan
    left_out = jackknife.area(score, truth, case)
    for r in range(2):
        read = np.isfinite(score[r])
        for c in range(8):
            keep = read & (case != c)
            assert left_out.without[r, c] == pytest.approx(roc.auc(score[r, keep], truth[keep]))


def test_points_run_from_corner_to_corner():
    score = np.array([1.0, 2, 2, 3, 4, 4])
    truth = np.array([False, False, True, True, False, True])
    found = roc.points(score, truth)
    assert found.threshold.tolist() == [np.inf, 4, 3, 2, 1]
    assert found.fpr == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1])
    assert found.tpr == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert np.trapezoid(found.tpr, found.fpr) == pytest.approx(roc.auc(score, truth))


def test_the_interval_stays_inside_and_says_when_there_is_none():
    figure = roc.auc_figure(vandyke.ratings(2)[3], TRUTH)
    assert 0 < figure.low < figure.value < figure.high < 1
    perfect = roc.auc_figure(np.array([1.0, 1, 2, 2]), np.array([False, False, True, True]))
    assert (perfect.value, perfect.low) == (1.0, None)
    assert "no variance" in perfect.note
    none = roc.auc_figure(np.array([1.0, 2]), np.array([True, True]))
    assert none.value is None


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="one kind"):
        roc.auc(np.array([1.0, 2]), np.array([True, True]))
    with pytest.raises(ValueError, match="finite"):
        roc.points(np.array([np.nan, 2]), np.array([True, False]))
    with pytest.raises(ValueError, match="every score"):
        roc.delong_covariance(np.array([[np.nan, 2, 3, 4]]), np.array([True, False, True, False]))
