"""MFID carries its network's name, digest and preparation, and refuses to compare across them."""

import numpy as np
import pytest

from synthesis.metrics.features import Features, FeatureSource
from synthesis.metrics.fid import fid_estimate
from synthesis.metrics.mfid import mfid

OURS = FeatureSource("Judge", "a" * 64, "network scale")
THEIRS = FeatureSource("RadImageNet ResNet-50", "b" * 64, "BGR")


def features(seed, source=OURS, count=50):
    return Features(np.random.default_rng(seed).normal(size=(count, 4)), source)


def test_it_is_the_fid_with_its_source():
    found = mfid(features(0), features(1))
    assert found.fid == fid_estimate(features(0).values, features(1).values)
    assert found.source == OURS
    for words in ("n = 50 and 50", "Judge", "aaaaaaaaaaaa", "network scale"):
        assert words in str(found)


def test_different_networks_are_not_compared():
    with pytest.raises(ValueError, match=r"RadImageNet.*cannot|cannot.*RadImageNet"):
        mfid(features(0), features(1, THEIRS))


@pytest.mark.parametrize("values", [("", "a" * 64, "x"), ("net", "abc", "x"), ("net", "a" * 64, "")])
def test_a_source_has_a_name_a_digest_and_a_preparation(values):
    with pytest.raises(ValueError, match="source"):
        FeatureSource(*values)


@pytest.mark.parametrize("values", [np.zeros(3), np.array([[np.nan, 1.0]])])
def test_features_are_finite_rows(values):
    with pytest.raises(ValueError, match="finite"):
        Features(values, OURS)
