"""d' and criterion against Stanislaw and Todorov's worked example and the log-linear rule."""

import pytest
from scipy.stats import norm

from webapp.readings.statistics.detection import detection


def test_a_large_study_gives_the_textbook_values():
    """Stanislaw and Todorov 1999: hit rate .8, false alarm rate .4 give d' = 1.095, c = -0.294."""
    found = detection(8000, 10000, 4000, 10000)
    assert found.d_prime.value == pytest.approx(1.095, abs=1e-3)
    assert found.criterion.value == pytest.approx(-0.294, abs=1e-3)


def test_the_log_linear_correction():
    found = detection(20, 20, 0, 25)
    h, f = 20.5 / 21, 0.5 / 26
    assert found.d_prime.value == pytest.approx(norm.ppf(h) - norm.ppf(f))
    assert found.criterion.value == pytest.approx(-(norm.ppf(h) + norm.ppf(f)) / 2)
    assert found.d_prime.parts["hit_rate"] == pytest.approx(h)


def test_the_variance_of_gourevitch_and_galanter():
    found = detection(30, 50, 20, 50)
    h, f = 30.5 / 51, 20.5 / 51
    variance = sum(p * (1 - p) / (50 * norm.pdf(norm.ppf(p)) ** 2) for p in (h, f))
    half = 1.959964 * variance**0.5
    assert found.d_prime.high - found.d_prime.value == pytest.approx(half, rel=1e-6)
    assert found.criterion.high - found.criterion.value == pytest.approx(half / 2, rel=1e-6)


def test_guessing_and_leaning():
    assert detection(25, 50, 25, 50).d_prime.value == pytest.approx(0.0)
    real = detection(5, 50, 5, 50).criterion
    assert real.low > 0
    assert detection(0, 0, 3, 10).d_prime.value is None
