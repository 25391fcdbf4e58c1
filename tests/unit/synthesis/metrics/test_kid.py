"""KID against the Gaussian closed forms of math.md section 8."""

import numpy as np
import pytest

from synthesis.metrics.kid import case_interval, case_kernel, case_mean, kid, polynomial_kernel


def normal(seed: int, count: int, mean: float, std: float, width: int = 1):
    return np.random.default_rng(seed).normal(mean, std, (count, width))


@pytest.mark.parametrize(("mean", "std", "expected"), [(1.0, 1.0, 22.0), (0.0, 2.0, 27.0)])
def test_closed_forms_in_one_dimension(mean, std, expected):
    values = [kid(normal(2 * s, 3000, 0, 1), normal(2 * s + 1, 3000, mean, std)) for s in range(8)]
    assert np.mean(values) == pytest.approx(expected, rel=0.06)


def test_expected_kernel_of_correlated_gaussians():
    """E k = 1 + 3p/d + 3(p^2 + Q)/d^2 + (p^3 + 3pQ + 6 m1' S2 S1 m2)/d^3."""
    rng = np.random.default_rng(0)
    d = 3
    roots = [rng.normal(size=(d, d)) * 0.5 for _ in range(2)]
    m1, m2 = rng.normal(size=d), rng.normal(size=d)
    s1, s2 = (r @ r.T for r in roots)
    p = m1 @ m2
    q = m1 @ s2 @ m1 + m2 @ s1 @ m2 + np.trace(s1 @ s2)
    expected = 1 + 3 * p / d + 3 * (p**2 + q) / d**2 + (p**3 + 3 * p * q + 6 * m1 @ s2 @ s1 @ m2) / d**3
    x = m1 + rng.normal(size=(6000, d)) @ roots[0].T
    y = m2 + rng.normal(size=(6000, d)) @ roots[1].T
    assert polynomial_kernel(x, y).mean() == pytest.approx(expected, rel=0.03)


def test_same_law_is_zero_on_average_and_may_be_negative():
    values = [kid(normal(2 * s, 200, 0, 1, 4), normal(2 * s + 1, 200, 0, 1, 4)) for s in range(60)]
    assert min(values) < 0
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_pairs_do_not_bias_the_case_mean():
    """Images that share their case's value with the truth: the pairing must not look like likeness."""
    values = []
    for seed in range(200):
        truth = normal(seed, 40, 0, 1, 2)
        values.append(case_mean(case_kernel(-truth, truth)))  # same law, fully dependent
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_identical_sets_give_exactly_zero():
    x = normal(0, 30, 0, 1, 3)
    assert case_mean(case_kernel(x, x)) == pytest.approx(0, abs=1e-12)


def test_interval_covers_the_value_and_narrows_with_cases():
    wide, narrow = (
        case_interval(case_kernel(normal(1, n, 0.5, 1, 2), normal(2, n, 0, 1, 2)), draws=200)
        for n in (40, 400)
    )
    for interval in (wide, narrow):
        assert interval.low < interval.value < interval.high
    assert narrow.high - narrow.low < wide.high - wide.low


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        kid(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="same number"):
        case_kernel(np.zeros((3, 2)), np.zeros((4, 2)))
