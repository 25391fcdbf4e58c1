"""MFID carries its network's name, digest and preparation, and refuses to compare across them."""

import numpy as np
import pytest

from synthesis.metrics.features import Features, FeatureSource
from synthesis.metrics.fid import fid_estimate
from synthesis.metrics.mfid import PLANES, mfid, mfid_of_volumes, plane_slices

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


def test_volumes_are_cut_in_three_planes():
    volumes = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(float)
    shapes = {plane: plane_slices(volumes, plane).shape for plane in PLANES}
    assert shapes == {"XY": (6, 4, 5), "YZ": (10, 3, 4), "ZX": (8, 3, 5)}
    assert np.array_equal(plane_slices(volumes, "YZ")[6], volumes[1, :, :, 1])
    assert np.array_equal(plane_slices(volumes, "ZX")[3], volumes[0, :, 3, :])
    with pytest.raises(ValueError, match="one of XY"):
        plane_slices(volumes, "AB")


def test_the_mfid_of_volumes_is_the_mean_over_planes():
    made, real = ({plane: features(i + 10 * s) for i, plane in enumerate(PLANES)} for s in (0, 1))
    found = mfid_of_volumes(made, real)
    each = [mfid(made[plane], real[plane]).fid.value for plane in PLANES]
    assert found.value == pytest.approx(np.mean(each))
    assert "2.5D" in str(found)
    assert "Judge" in str(found)
    with pytest.raises(ValueError, match="planes"):
        mfid_of_volumes({"XY": made["XY"]}, real)
    with pytest.raises(ValueError, match="cannot be compared"):
        mfid_of_volumes(made, real | {"XY": features(5, THEIRS)})
