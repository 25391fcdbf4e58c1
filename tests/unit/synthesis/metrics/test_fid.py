"""FID against the closed forms of math.md section 8."""

import numpy as np
import pytest
from scipy import linalg

from synthesis.metrics.fid import fid, fid_estimate, frechet


def test_identical_sets():
    x = np.random.default_rng(0).normal(size=(200, 5))
    assert fid(x, x) == pytest.approx(0, abs=1e-9)


def test_diagonal_covariances():
    s1, s2 = np.array([1.0, 2.0, 0.5]), np.array([0.5, 3.0, 0.5])
    zero = np.zeros(3)
    assert frechet(zero, np.diag(s1**2), zero, np.diag(s2**2)) == pytest.approx(((s1 - s2) ** 2).sum())


def test_covariance_times_four_gives_its_trace():
    root = np.random.default_rng(1).normal(size=(4, 4))
    cov = root @ root.T
    assert frechet(np.zeros(4), cov, np.zeros(4), 4 * cov) == pytest.approx(np.trace(cov))


def test_translation():
    x = np.random.default_rng(2).normal(size=(100, 3))
    shift = np.array([1.0, -2.0, 0.5])
    assert fid(x, x + shift) == pytest.approx(shift @ shift)


def test_singular_covariance_is_fine():
    x = np.random.default_rng(3).normal(size=(5, 12))
    assert np.isfinite(fid(x, x[::-1] * 2))


@pytest.mark.parametrize(("n", "m"), [(200, 150), (200, 5), (5, 7), (12, 12)])
def test_samples_give_what_their_moments_give(n, m):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(n, 12)) @ rng.normal(size=(12, 12)), rng.normal(1.0, 2.0, size=(m, 12))
    moments = [part for one in (x, y) for part in (one.mean(0), np.cov(one, rowvar=False))]
    assert fid(x, y) == pytest.approx(frechet(*moments), rel=1e-6)
    # The trace of the root as scipy takes it, of the product that is not symmetric.
    (mean_x, cov_x, mean_y, cov_y) = moments
    cross = np.sqrt(np.maximum(linalg.eigvals(cov_x @ cov_y).real, 0)).sum()
    assert fid(x, y) == pytest.approx(
        ((mean_x - mean_y) ** 2).sum() + np.trace(cov_x + cov_y) - 2 * cross, rel=1e-5
    )


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        fid(np.zeros((1, 3)), np.zeros((4, 3)))


def standard(seed, count, width, mean=0.0, std=1.0):
    return np.random.default_rng(seed).normal(mean, std, (count, width))


def test_the_bias_is_the_printed_one_and_the_extrapolation_takes_it_away():
    """Same law, d = 20: N FID = 2 d + (d^2 + d) / 2 = 250, 251 in math.md 8; FID_infinity = 0."""
    found = [fid_estimate(standard(2 * s, 500, 20), standard(2 * s + 1, 500, 20)) for s in range(6)]
    assert np.mean([500 * one.value for one in found]) == pytest.approx(251, rel=0.06)
    assert np.mean([one.infinity for one in found]) == pytest.approx(0, abs=0.03)
    assert {(one.n, one.m) for one in found} == {(500, 500)}


def test_the_extrapolation_keeps_a_true_distance():
    """N(0, I) and N(1/2, 4 I) in 20 dimensions: 20 / 4 + 20 = 25."""
    found = [fid_estimate(standard(2 * s, 600, 20), standard(2 * s + 1, 400, 20, 0.5, 2.0)) for s in range(6)]
    assert np.mean([one.infinity for one in found]) == pytest.approx(25, abs=0.8)
    assert np.mean([one.value for one in found]) > np.mean([one.infinity for one in found]) + 0.5


def test_an_estimate_can_be_made_again_and_says_its_counts():
    x, y = standard(0, 60, 4), standard(1, 40, 4)
    assert fid_estimate(x, y, seed=3) == fid_estimate(x, y, seed=3)
    assert "n = 60 and 40" in str(fid_estimate(x, y))
