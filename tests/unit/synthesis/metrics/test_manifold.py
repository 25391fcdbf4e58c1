"""Precision, recall, density and coverage against what must hold and Naeem's expectations."""

import numpy as np
import pytest

from synthesis.metrics.manifold import manifold


def normal(seed, count, width=8, mean=0.0, std=1.0):
    return np.random.default_rng(seed).normal(mean, std, (count, width))


def test_identical_sets_are_all_real_and_all_there():
    x = normal(0, 40)
    found = manifold(x, x, k=3)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    assert (found.k, found.n, found.m) == (3, 40, 40)


def test_sets_far_apart_share_nothing():
    found = manifold(normal(0, 40), normal(1, 30, mean=100.0))
    assert (found.precision, found.recall, found.density, found.coverage) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("n", "m", "k"), [(200, 200, 5), (300, 150, 3)])
def test_the_same_law_gives_the_printed_expectations(n, m, k):
    """Naeem et al. 2020: E density = 1, E coverage = 1 - prod (m - i) / (m + n - i), i = 1..k."""
    found = [manifold(normal(2 * s, n), normal(2 * s + 1, m), k=k) for s in range(20)]
    missed = np.prod([(m - i) / (m + n - i) for i in range(1, k + 1)])
    assert np.mean([one.coverage for one in found]) == pytest.approx(1 - missed, abs=0.01)
    assert np.mean([one.density for one in found]) == pytest.approx(1.0, abs=0.05)


def test_one_grade_alone_is_precise_and_lacks_recall():
    real = np.concatenate([normal(0, 100), normal(1, 100, mean=8.0)])
    found = manifold(normal(2, 200), real)
    assert found.precision > 0.85
    assert found.recall == pytest.approx(0.5, abs=0.1)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


def test_three_points_by_hand():
    """Real 0, 1, 3 with k = 1 reach 1, 1, 2; made 0.5 and 9 with k = 1 reach 8.5 each."""
    found = manifold(np.array([[0.5], [9.0]]), np.array([[0.0], [1.0], [3.0]]), k=1)
    assert found.precision == 0.5
    assert found.recall == 1.0
    assert found.density == pytest.approx(2 / 2 / 1)
    assert found.coverage == pytest.approx(2 / 3)


@pytest.mark.parametrize(("made", "real"), [((5, 2), (40, 2)), ((40, 2), (40, 3))])
def test_sets_that_do_not_fit_are_refused(made, real):
    with pytest.raises(ValueError, match=r"expected features|neighbours need"):
        manifold(np.zeros(made), np.zeros(real))
