"""TOST against exact binomials, statsmodels, the t distribution and the published sizes."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from webapp.readings.statistics import equivalence
from webapp.readings.statistics.orh import Marginal


def test_exact_p_values_are_sums_of_binomials():
    found = equivalence.exact_binomial(115, 227, margin=0.1)
    k = np.arange(228)
    assert found.p_lower == pytest.approx(stats.binom.pmf(k[115:], 227, 0.4).sum())
    assert found.p_upper == pytest.approx(stats.binom.pmf(k[:116], 227, 0.6).sum())
    assert found.p_value == max(found.p_lower, found.p_upper)
    assert found.equivalent
    assert (found.low, found.high) == pytest.approx(proportion_confint(115, 227, alpha=0.1, method="beta"))


@pytest.mark.parametrize("right", range(80, 150, 3))
def test_the_decision_is_that_of_the_90_percent_interval(right):
    found = equivalence.exact_binomial(right, 227, margin=0.1)
    assert found.equivalent == (found.low > 0.4 and found.high < 0.6)


@pytest.mark.parametrize("margin", [0.05, 0.1, 0.15])
@pytest.mark.parametrize("n", [60, 100, 281])
def test_power_and_error_by_enumeration(n, margin):
    accepted = [k for k in range(n + 1) if equivalence.exact_binomial(k, n, margin=margin).equivalent]
    for true in (0.5, 0.5 + margin, 0.5 - margin, 0.47):
        expected = stats.binom.pmf(accepted, n, true).sum() if accepted else 0.0
        found = equivalence.exact_size(np.array([n]), true, margin=margin)[0]
        assert found == pytest.approx(expected, abs=1e-12)
    assert equivalence.exact_size(np.array([n]), 0.5 + margin, margin=margin)[0] <= 0.05


def test_many_readers_on_students_t():
    mean = Marginal(0.53, 0.025, 6.2, 5, 0.001, 0.002, 0.0005)
    found = equivalence.many_readers("auc", mean, margin=0.1)
    assert found.p_lower == pytest.approx(stats.t.sf((0.53 - 0.4) / 0.025, 6.2))
    assert found.p_upper == pytest.approx(stats.t.cdf((0.53 - 0.6) / 0.025, 6.2))
    assert found.p_difference == pytest.approx(2 * stats.t.sf(0.03 / 0.025, 6.2))
    assert (found.low, found.high) == pytest.approx(mean.interval(0.9))
    assert found.equivalent
    assert found.verdict == "equivalent"


def verdict(estimate: float, error: float) -> equivalence.Equivalence:
    return equivalence.with_standard_error("accuracy", estimate, error, np.inf, margin=0.1, method="")


def test_every_verdict_has_its_sentence():
    assert "is equivalent to chance" in verdict(0.5, 0.01).sentence
    assert "differs from chance, and equivalence" in verdict(0.7, 0.02).sentence
    both = verdict(0.55, 0.01)
    assert both.verdict == "equivalent and different"
    assert "by less than the margin" in both.sentence
    neither = verdict(0.55, 0.05)
    assert neither.verdict == "inconclusive"
    assert "Not significant is not equivalent" in neither.sentence
    for other in (verdict(0.5, 0.01), verdict(0.7, 0.02), both):
        assert "Not significant" not in other.sentence


def test_without_variance_only_the_outside_can_be_judged():
    assert verdict(1.0, 0.0).verdict == "different"
    assert verdict(0.5, 0.0).verdict == "not known"
    assert "cannot be tested" in verdict(0.5, 0.0).sentence


def test_json_says_whether_the_margin_was_set_on_this_measure():
    found = verdict(0.5, 0.01).as_json(preregistered=False)
    assert found["preregistered"] is False
    assert "not preregistered" in found["sentence"]
    with pytest.raises(ValueError, match="at least one answer"):
        equivalence.exact_binomial(0, 0, margin=0.1)
