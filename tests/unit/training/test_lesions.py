"""Lesions that one model finds and another misses: the exact McNemar test."""

from __future__ import annotations

import pytest

from training.lesions import paired


def test_pairs_are_told_by_the_sign_test_on_those_that_differ():
    first = [True] * 5 + [False] * 12 + [False] * 9
    second = [True] * 5 + [True] * 12 + [False] * 9
    gained, lost, p = paired(first, second)
    assert (gained, lost) == (12, 0)
    assert p == pytest.approx(2 * 0.5**12)
    assert paired(second, first) == (0, 12, p)


def test_models_that_find_the_same_differ_in_nothing():
    assert paired([True, False], [True, False]) == (0, 0, 1.0)
