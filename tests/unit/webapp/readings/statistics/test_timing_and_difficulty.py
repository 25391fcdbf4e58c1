"""Times and per-item difficulty by hand."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from tests.unit.webapp.readings.statistics.answers import answer, study
from webapp.readings.statistics import timing
from webapp.readings.statistics.data import ratings_of, table
from webapp.readings.statistics.difficulty import difficulty


def timed(slopes: list[float], noise: float = 0.0):
    rng = np.random.default_rng(1)
    rows = []
    for r, slope in enumerate(slopes):
        for k in range(1, 41):
            seconds = float(np.exp(2 + slope * k + noise * rng.normal()))
            rows.append(answer(f"R{r}", str(k), True, True, None, seconds=seconds, position=k))
    return ratings_of(rows)


def test_spread():
    found = timing.spread(np.array([4.0, 1, np.nan, 3, 2]))
    assert (found.median, found.low_quartile, found.high_quartile, found.n) == (2.5, 1.75, 3.25, 4)
    assert timing.spread(np.array([np.nan])) is None


def test_the_trend_is_the_mean_slope_of_readers():
    figure = timing.trend(timed([-0.002, -0.004, -0.003]))
    assert figure.value == pytest.approx(np.exp(-0.3))
    half = 4.302653 * 0.001 / np.sqrt(3)
    assert figure.low == pytest.approx(np.exp(100 * (-0.003 - half)), rel=1e-5)
    assert figure.high == pytest.approx(np.exp(100 * (-0.003 + half)), rel=1e-5)


def test_one_readers_trend_is_their_regression():
    figure = timing.trend(timed([0.01], noise=0.2))
    assert figure.low < np.exp(1.0) < figure.high
    assert figure.n == 40
    assert "three times" in timing.trend(ratings_of([answer("A", "a", True, True)])).note


def test_the_median_at_each_place():
    places, medians = timing.by_position(timed([0.0, 0.0]))
    assert places == list(range(1, 41))
    assert medians == pytest.approx([np.exp(2)] * 40)


def test_items_come_hardest_first():
    truth = np.array([True, False, True, False])
    decisions = np.array([[1, 1, 0, 0], [1, 1, 0, np.nan], [0, 1, 1, 0]], float)
    score = np.array([[5, 4, 2, 1], [5, 4, 2, np.nan], [1, 4, 4, 2]], float)
    found = difficulty(table(study(decisions, truth, score)))
    assert [one.item for one in found] == [1, 2, 0, 3]
    assert [(one.wrong, one.readers) for one in found] == [(3, 3), (2, 3), (1, 3), (0, 2)]
    assert found[0].mean_score == 4.0
    low, high = proportion_confint(2, 3, method="wilson")
    assert (found[1].low, found[1].high) == pytest.approx((low, high))
    assert difficulty(table(study(decisions, truth)))[0].mean_score is None
    assert difficulty(table(ratings_of([]))) == []
