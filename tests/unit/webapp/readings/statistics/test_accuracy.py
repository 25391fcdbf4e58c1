"""Accuracy, sensitivity and specificity by hand, and the intervals of shares."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from tests.unit.webapp.readings.statistics.answers import study
from webapp.readings.statistics import accuracy, jackknife, proportion
from webapp.readings.statistics.data import table

RNG = np.random.default_rng(8)
TRUTH = np.arange(40) < 18
DECISIONS = np.where(RNG.random((4, 40)) < 0.65, TRUTH, ~TRUTH).astype(float)
DECISIONS[2, 5:15] = np.nan


def test_counts_by_hand():
    answers = table(study(DECISIONS, TRUTH))
    found = accuracy.counts(answers, 2)
    read = np.isfinite(DECISIONS[2])
    called = DECISIONS[2] == 1
    assert found.true_positive == (read & TRUTH & called).sum()
    assert found.false_negative == (read & TRUTH & ~called).sum()
    assert found.false_positive == (read & ~TRUTH & called).sum()
    assert found.true_negative == (read & ~TRUTH & ~called).sum()
    assert (found.synthetic, found.real) == (8, 22)


def test_each_reader_is_judged_on_what_they_read():
    answers = table(study(DECISIONS, TRUTH))
    right = np.where(np.isfinite(DECISIONS), DECISIONS == TRUTH, np.nan)
    assert accuracy.accuracy(answers).value == pytest.approx(np.nanmean(right, 1))
    assert accuracy.sensitivity(answers).value == pytest.approx(np.nanmean(right[:, TRUTH], 1))
    assert accuracy.specificity(answers).value == pytest.approx(np.nanmean(right[:, ~TRUTH], 1))
    middle = (np.nanmean(right[:, TRUTH], 1) + np.nanmean(right[:, ~TRUTH], 1)) / 2
    assert accuracy.balanced(answers).value == pytest.approx(middle)


def test_the_jackknife_of_a_share_in_closed_form():
    """One item to a case: p(1-p)/(n-1) on the diagonal, the sample covariance over n beside it."""
    right = (RNG.random((3, 25)) < 0.6).astype(float)
    found = jackknife.covariance(jackknife.proportion(right, np.arange(25)))
    p = right.mean(1)
    assert np.diag(found) == pytest.approx(p * (1 - p) / 24)
    assert found == pytest.approx(np.cov(right) / 25)


def test_items_of_one_case_leave_together():
    """Doubling every item changes no variance when the copies belong to the same case."""
    right = (RNG.random((2, 25)) < 0.6).astype(float)
    once = jackknife.covariance(jackknife.proportion(right, np.arange(25)))
    twice = jackknife.covariance(jackknife.proportion(np.tile(right, 2), np.tile(np.arange(25), 2)))
    apart = jackknife.covariance(jackknife.proportion(np.tile(right, 2), np.arange(50)))
    assert twice == pytest.approx(once)
    assert apart[0, 0] < 0.6 * once[0, 0]


def test_over_readers_weighs_readers_the_same():
    answers = table(study(DECISIONS, TRUTH))
    figure = accuracy.over_readers(accuracy.accuracy(answers), n=150)
    assert figure.value == pytest.approx(accuracy.accuracy(answers).value.mean())
    assert 0 < figure.low < figure.value < figure.high < 1
    assert figure.parts["readers"] == 4


def test_a_reader_of_one_kind_is_left_out_and_said():
    decisions = DECISIONS.copy()
    decisions[3, TRUTH] = np.nan
    figure = accuracy.over_readers(accuracy.sensitivity(table(study(decisions, TRUTH))), n=1)
    assert figure.parts["readers"] == 3
    assert "1 of 4 readers left out" in figure.note


def test_where_nothing_varies_the_interval_is_exact_on_the_cases():
    answers = table(study(np.tile(TRUTH.astype(float), (3, 1)), TRUTH))
    figure = accuracy.over_readers(accuracy.accuracy(answers), n=120)
    assert (figure.value, figure.high) == (1.0, 1.0)
    assert figure.low == pytest.approx(proportion_confint(40, 40, method="beta")[0])
    area = accuracy.over_readers(accuracy.balanced(answers), n=120, kind="area")
    assert (area.value, area.low) == (1.0, None)


def test_wilson_and_clopper_pearson():
    """Newcombe, Stat Med 1998;17:857-872, table I: 81/263 and 15/148."""
    wilson = proportion.wilson(81, 263)
    assert (wilson.low, wilson.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    exact = proportion.exact(81, 263)
    assert (exact.low, exact.high) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    wilson = proportion.wilson(15, 148)
    assert (wilson.low, wilson.high) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert proportion.wilson(0, 0).value is None
    assert proportion.exact(0, 0).value is None


def test_clusters_widen_and_never_narrow():
    plain = proportion.wilson(30, 50)
    wider = proportion.clustered(30, 50, 2 * 0.24 / 50)
    assert wider.low < plain.low
    assert (wider.low, wider.high) == pytest.approx(
        (proportion.wilson(15, 25).low, proportion.wilson(15, 25).high)
    )
    narrow = proportion.clustered(30, 50, 0.1 * 0.24 / 50)
    assert (narrow.low, narrow.high) == pytest.approx((plain.low, plain.high))


def test_one_reader_with_several_items_to_a_case():
    case = np.repeat(np.arange(10), 4)
    right = np.repeat((RNG.random((1, 10)) < 0.6), 4, axis=1)
    answers = table(study((right == TRUTH).astype(float), TRUTH, case=case))
    values = accuracy.accuracy(answers)
    count = int(right.sum())
    figure = accuracy.one_reader(values, 0, count, 40)
    p = count / 40
    assert figure.parts["n_effective"] == pytest.approx(p * (1 - p) / (p * (1 - p) / 9))
    assert figure.low < proportion.wilson(count, 40).low
