"""Repeats: which answers are paired, and the figures by hand."""

import numpy as np
import pytest
from scipy import stats

from tests.unit.webapp.readings.statistics.answers import answer
from webapp.readings.statistics import proportion, repeatability, roe_metz
from webapp.readings.statistics.data import ratings_of
from webapp.readings.statistics.roe_metz import Design, Readers
from webapp.readings.statistics.weighted_kappa import weighted_kappa


def test_a_repeat_is_paired_with_the_first_answer_of_the_same_reader():
    rows = [
        answer("Ann", "a", True, True, 5.0, position=1),
        answer("Ann", "a", True, False, 2.0, repeat=True, position=9),
        answer("Ann", "a", True, True, 4.0, repeat=True, position=7),
        answer("Bob", "a", True, False, 1.0, repeat=True, position=3),
        answer("Bob", "b", False, False, 1.0, position=1),
    ]
    found = repeatability.pairs(ratings_of(rows))
    assert len(found.reader) == 1  # Bob never answered "a" first; Ann's earlier repeat counts
    assert (found.first_score[0], found.second_score[0]) == (5.0, 4.0)
    assert found.same.tolist() == [1.0]


def simulated(readers: int) -> repeatability.Pairs:
    design = Design(readers=readers, items=40, synthetic=20, repeats=15)
    return repeatability.pairs(roe_metz.simulate(Readers(), design, np.random.default_rng(2)))


def test_agreement_over_readers_is_the_mean_of_their_shares():
    found = simulated(4)
    shares = [found.same[found.reader == r].mean() for r in range(4)]
    figure = repeatability.agreement(found)
    assert figure.value == pytest.approx(np.mean(shares))
    assert figure.low < figure.value < figure.high
    assert "60 repeats" in repeatability.sentence(found, figure)


def test_one_reader_has_wilsons_interval():
    found = simulated(1)
    expected = proportion.wilson(found.same.sum(), 15)
    figure = repeatability.agreement(found)
    assert (figure.low, figure.high) == pytest.approx((expected.low, expected.high))


def test_kappa_is_cohens_and_its_interval_the_wider_jackknife():
    found = simulated(4)
    figure = repeatability.kappa(found)
    assert figure.value == pytest.approx(weighted_kappa(found.first, found.second, "unweighted"))

    def half(groups: np.ndarray) -> float:
        names = np.unique(groups)
        left = [
            weighted_kappa(found.first[groups != g], found.second[groups != g], "unweighted") for g in names
        ]
        n = len(names)
        return stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) * np.var(left))

    assert figure.value - figure.low == pytest.approx(max(half(found.case), half(found.reader)))


def test_the_within_reader_deviation_of_bland_and_altman():
    rows = []
    for i, (one, two) in enumerate([(1.0, 2.0), (4.0, 4.0), (3.0, 5.0)]):
        rows += [answer("Ann", str(i), True, True, one), answer("Ann", str(i), True, True, two, repeat=True)]
    figure = repeatability.score_sd(repeatability.pairs(ratings_of(rows)))
    value = np.sqrt((1 + 0 + 4) / 6)
    assert figure.value == pytest.approx(value)
    assert figure.low == pytest.approx(value * np.sqrt(3 / stats.chi2.ppf(0.975, 3)))
    assert figure.parts["repeatability_coefficient"] == pytest.approx(1.96 * np.sqrt(2) * value, rel=1e-4)


def test_no_repeats_and_no_variation_are_said():
    none = repeatability.pairs(ratings_of([answer("Ann", "a", True, True)]))
    assert repeatability.agreement(none).value is None
    assert "not known" in repeatability.sentence(none, repeatability.agreement(none))
    assert repeatability.kappa(none).note == "No item was shown twice."
    assert repeatability.score_sd(none).value is None
    rows = [
        answer("Ann", str(i), True, True, None, repeat=again) for i in range(4) for again in (False, True)
    ]
    assert "chance is 1" in repeatability.kappa(repeatability.pairs(ratings_of(rows))).note


def test_the_chance_of_the_same_answer_twice():
    """The truth that the simulation is held against, by drawing."""
    readers = Readers(separation=0.8)
    design = Design(readers=20, items=2000, synthetic=1000, repeats=2000)
    found = repeatability.pairs(roe_metz.simulate(readers, design, np.random.default_rng(3)))
    assert found.same.mean() == pytest.approx(readers.repeat_agreement, abs=0.01)
