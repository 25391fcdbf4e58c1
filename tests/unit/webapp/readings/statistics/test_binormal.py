"""The binormal curve against the parameters that MRMCaov prints for Van Dyke, and against the true ones."""

import numpy as np
import pytest
from scipy.stats import norm

from tests.unit.webapp.readings.statistics import vandyke
from webapp.readings.statistics.binormal import _information, _negative, binormal

TRUTH = vandyke.truth()
PRINTED = {  # treatment, reader: a, b, AUC to three digits
    (1, 0): (1.70, 0.537, 0.933),
    (1, 1): (1.40, 0.561, 0.890),
    (1, 2): (1.74, 0.635, 0.929),
    (1, 3): (1.93, 0.202, 0.970),
    (1, 4): (1.06, 0.464, 0.833),
    (2, 0): (1.85, 0.503, 0.951),
    (2, 1): (1.66, 0.447, 0.935),
    (2, 2): (1.62, 0.488, 0.928),
    (2, 4): (1.73, 0.422, 0.945),
}


@pytest.mark.parametrize(("treatment", "reader"), PRINTED)
def test_the_fits_of_van_dyke(treatment, reader):
    a, b, area = PRINTED[treatment, reader]
    found = binormal(vandyke.ratings(treatment)[reader], TRUTH)
    assert found.a == pytest.approx(a, abs=0.0052)
    assert found.b == pytest.approx(b, abs=0.00052)
    assert found.auc == pytest.approx(area, abs=0.00052)
    assert found.low < found.auc < found.high


def test_a_reader_without_errors_of_both_kinds_has_no_curve():
    """Reader 4 of treatment 2: MRMCaov's parameters run to infinity."""
    found = binormal(vandyke.ratings(2)[3], TRUTH)
    assert (found.a, found.auc, found.curve(np.array([0.5]))) == (None, None, None)
    assert "cannot be fitted" in found.note


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, (2, 5)).astype(float)
    at = np.array([0.7, -0.2, -1.0, -0.5, 0.1, -0.3])
    gradient = _negative(at, counts)[1]
    for k in range(len(at)):
        step = np.zeros(len(at))
        step[k] = 1e-6
        slope = (_negative(at + step, counts)[0] - _negative(at - step, counts)[0]) / 2e-6
        assert gradient[k] == pytest.approx(slope, rel=1e-5, abs=1e-6)
    assert np.linalg.eigvalsh(_information(at, counts)).shape == (6,)


def test_the_true_curve_is_found_and_the_interval_covers_it():
    """a = 1.2, b = 0.8 on five levels: 60 readers of 300 items."""
    rng = np.random.default_rng(5)
    truth = np.arange(300) < 150
    a, b, area = 1.2, 0.8, norm.cdf(1.2 / np.hypot(1, 0.8))
    covered, found = 0, []
    for _ in range(60):
        x = np.where(truth, a / b + rng.normal(size=300) / b, rng.normal(size=300))
        fit = binormal(np.searchsorted([-0.8, 0.2, 1.0, 1.8], x).astype(float), truth)
        found.append((fit.a, fit.b))
        covered += fit.low <= area <= fit.high
    assert np.mean(found, axis=0) == pytest.approx((a, b), abs=0.06)
    assert 51 <= covered <= 60


def test_a_slider_gives_the_same_curve_as_levels():
    rng = np.random.default_rng(6)
    truth = np.arange(2000) < 1000
    x = 1.5 * truth + rng.normal(size=2000)
    found = binormal(np.round(100 * norm.cdf(x / 2)), truth)
    assert found.categories == 12
    assert found.auc == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.02)
    assert found.curve(np.array([0.5]))[0] == pytest.approx(norm.cdf(found.a))


def test_one_kind_alone_and_constant_scores_have_no_curve():
    assert "of synthetic and of real" in binormal(np.array([1.0, 2]), np.array([True, True])).note
    assert "cannot be fitted" in binormal(np.ones(6), np.arange(6) < 3).note
