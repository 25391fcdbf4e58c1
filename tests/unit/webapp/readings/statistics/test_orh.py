"""The marginal mean against the values that MRMCaov 0.3 prints for the study of Van Dyke (JSS manuscript)."""

import numpy as np
import pytest

from tests.unit.webapp.readings.statistics import vandyke
from webapp.readings.statistics import jackknife
from webapp.readings.statistics.binormal import binormal
from webapp.readings.statistics.jackknife import LeftOut
from webapp.readings.statistics.orh import Marginal, marginal, orh
from webapp.readings.statistics.roc import delong_covariance

TRUTH = vandyke.truth()
CASE = np.arange(len(TRUTH))


def areas(*treatments: int) -> LeftOut:
    return jackknife.area(np.vstack([vandyke.ratings(t) for t in treatments]), TRUTH, CASE)


def sensitivities(treatment: int) -> LeftOut:
    right = np.where(TRUTH, (vandyke.ratings(treatment) >= 3).astype(float), np.nan)
    return jackknife.proportion(right, CASE)


def binormal_areas(treatment: int) -> LeftOut:
    """A fit without each case; cases with the same rating and truth give the same fit.

    Without one case the likelihood of reader 4 grows to a limit at b = 0, where the area is 42/44: the share
    of abnormal cases above every normal rating that tells the kinds apart.
    """
    ratings = vandyke.ratings(treatment)
    value = np.array([binormal(row, TRUTH).auc for row in ratings])
    without = np.zeros(ratings.shape)
    for r, row in enumerate(ratings):
        for kind in (True, False):
            for level in np.unique(row[kind == TRUTH]):
                same = np.flatnonzero((kind == TRUTH) & (row == level))
                keep = same[0] != CASE
                fitted = binormal(row[keep], TRUTH[keep]).auc
                without[r, same] = 42 / 44 if fitted is None else fitted
    return LeftOut(value, without, np.ones(ratings.shape, bool))


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        (1, (0.8222222, 0.009135802, 0.001646465, 0.05893747, 14.456811, 0.6961876, 0.9482568)),
        (2, (0.92, 0.005086420, 0.000382716, 0.03741657, 7.575855, 0.8328691, None)),
    ],
)
def test_jackknife_of_the_sensitivity_of_one_treatment(treatment, expected):
    mean, mean_square, cov2, error, degrees, low, high = expected
    one = orh(sensitivities(treatment))
    assert one.mean == pytest.approx(mean, rel=2e-6)
    assert one.mean_square == pytest.approx(mean_square, rel=2e-5)
    assert one.cov2 == pytest.approx(cov2, rel=2e-5)
    assert one.standard_error == pytest.approx(error, rel=1e-5)
    assert one.degrees == pytest.approx(degrees, rel=3e-5)
    assert one.interval()[0] == pytest.approx(low, abs=3e-6)
    if high is not None:  # MRMCaov cuts at 1
        assert one.interval()[1] == pytest.approx(high, abs=3e-6)


@pytest.mark.parametrize(
    ("mean_square", "cov2", "error", "degrees"),
    [
        (0.0027417481, 0.0004612327, 0.03177392, 13.55902),
        (0.0008142512, 0.0001619773, 0.01802297, 15.91435),
    ],
)
def test_the_formula_on_printed_mean_squares(mean_square, cov2, error, degrees):
    """The binormal areas of both treatments."""
    values = np.sqrt(mean_square) * np.array([-1.0, -1, 0, 1, 1])
    found = marginal(values, cov2 + np.diag(np.full(5, 0.001)))
    assert found.mean_square == pytest.approx(mean_square)
    assert found.standard_error == pytest.approx(error, rel=2e-7)
    assert found.degrees == pytest.approx(degrees, rel=1e-6)


def test_jackknife_of_the_binormal_area():
    """Treatment 1 from the ratings on; one of 570 fits is degenerate, and MRMCaov ends elsewhere in it."""
    found = orh(binormal_areas(1))
    assert found.mean == pytest.approx(0.9109867, abs=5e-7)
    assert found.mean_square == pytest.approx(0.0027417481, rel=1e-6)
    assert found.cov2 == pytest.approx(0.0004612327, rel=5e-4)
    assert found.standard_error == pytest.approx(0.03177392, rel=1e-4)
    assert found.degrees == pytest.approx(13.55902, rel=5e-4)


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        (1, (0.8970370, 0.003082629, 0.0004775239, 0.03307642, 12.59597, 0.8253461, 0.9687280)),
        (2, (0.9408374, 0.001304602, 0.0002015292, 0.02150464, 12.56530, 0.8942155, 0.9874592)),
    ],
)
def test_delong_of_one_treatment(treatment, expected):
    mean, mean_square, cov2, error, degrees, low, high = expected
    found = marginal(areas(treatment).value, delong_covariance(vandyke.ratings(treatment), TRUTH))
    assert found.mean == pytest.approx(mean, rel=1e-7)
    assert found.mean_square == pytest.approx(mean_square, rel=1e-6)
    assert found.cov2 == pytest.approx(cov2, rel=1e-6)
    assert found.standard_error == pytest.approx(error, rel=1e-6)
    assert found.degrees == pytest.approx(degrees, rel=1e-6)
    assert found.interval() == pytest.approx((low, high), abs=1e-7)


def test_jackknife_covariances_of_two_treatments():
    """Error, Cov1, Cov2 and Cov3 of the ten reader-by-treatment areas, as MRMCaov prints them."""
    covariances = jackknife.covariance(areas(1, 2)).reshape(2, 5, 2, 5)
    own = covariances[[0, 1], :, [0, 1], :]
    off = ~np.eye(5, dtype=bool)
    assert np.mean([np.diag(c) for c in own]) == pytest.approx(0.0008022883, rel=1e-6)
    assert np.diag(covariances[0, :, 1, :]).mean() == pytest.approx(0.0003466137, rel=1e-6)
    assert own[:, off].mean() == pytest.approx(0.0003440748, rel=1e-6)
    assert covariances[0, :, 1, :][off].mean() == pytest.approx(0.0002390284, rel=1e-6)


def test_delong_covariances_of_two_treatments():
    covariances = delong_covariance(np.vstack([vandyke.ratings(t) for t in (1, 2)]), TRUTH).reshape(
        2, 5, 2, 5
    )
    off = ~np.eye(5, dtype=bool)
    assert np.diag(covariances[0, :, 1, :]).mean() == pytest.approx(0.0003420090, rel=1e-6)
    assert covariances[0, :, 1, :][off].mean() == pytest.approx(0.0002358497, rel=1e-6)
    values = areas(1, 2).value.reshape(2, 5)
    interaction = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    assert (interaction**2).sum() / 4 == pytest.approx(0.0005510306, rel=1e-6)


def test_readers_of_different_cases_do_not_covary():
    """MRMCaov, cases nested within readers: Cov2 = 0, SE .02482994 on 4 degrees of freedom."""
    ratings = vandyke.ratings(1)
    nested = np.full((5, 5 * len(TRUTH)), np.nan)
    for r, row in enumerate(ratings):
        nested[r, r * len(TRUTH) : (r + 1) * len(TRUTH)] = row
    found = orh(jackknife.area(nested, np.tile(TRUTH, 5), np.arange(5 * len(TRUTH))))
    assert found.cov2 == pytest.approx(0.0, abs=1e-15)
    assert found.standard_error == pytest.approx(0.02482994, rel=1e-6)
    assert found.degrees == pytest.approx(4.0)
    assert found.interval() == pytest.approx((0.8280981, 0.9659760), abs=1e-7)


@pytest.mark.parametrize("treatment", [1, 2])
def test_the_bound_changes_nothing_where_readers_differ_enough(treatment):
    found = areas(treatment)
    covariances = jackknife.covariance(found)
    assert marginal(found.value, covariances) == marginal(found.value, covariances, bounded=True)


def test_the_bound_holds_the_variance_up_where_readers_agree_by_luck():
    covariances = 0.001 * np.eye(3) + 0.001
    values = np.array([0.6, 0.6, 0.6])
    plain, bounded = marginal(values, covariances), marginal(values, covariances, bounded=True)
    assert plain.standard_error == pytest.approx(np.sqrt(0.001))
    assert bounded.standard_error == pytest.approx(np.sqrt(0.001 + 0.001 / 3))
    assert bounded.degrees == pytest.approx(0.004**2 / (0.0005**2 / 2))
    assert bounded.reader_variance == 0.0


def test_negative_covariance_counts_as_none():
    covariances = np.array([[0.002, -0.001], [-0.001, 0.002]])
    found = marginal(np.array([0.5, 0.7]), covariances)
    assert found.cov2 == pytest.approx(-0.001)
    assert found.standard_error == pytest.approx(np.sqrt(0.02 / 2))
    assert found.degrees == pytest.approx(1.0)


def test_tests_and_intervals_agree():
    found = Marginal(0.6, 0.04, 7.3, 4, 0.001, 0.002, 0.0005)
    low, _ = found.interval(0.95)
    assert found.two_sided(low) == pytest.approx(0.05)
    low, high = found.logit_interval(0.95)
    assert low + high < 1.2
    assert 0 < low < 0.6 < high < 1


def test_too_few_readers_are_refused():
    with pytest.raises(ValueError, match="at least 2 readers"):
        marginal(np.array([0.5]), np.eye(1))
    with pytest.raises(ValueError, match="finite"):
        marginal(np.array([0.5, np.nan]), np.eye(2))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Marginal(1.0, 0.1, 3.0, 2, 0.0, 0.0, 0.0).logit_interval()
