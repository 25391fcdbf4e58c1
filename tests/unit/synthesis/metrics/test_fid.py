"""FID against the closed forms of math.md section 8."""

import numpy as np
import pytest

from synthesis.metrics.fid import fid, frechet


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


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        fid(np.zeros((1, 3)), np.zeros((4, 3)))
