"""The nearest training case: copies are found, strangers are ordinary, files are read safely."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from synthesis.errors import SynthesisError
from synthesis.metrics.features import Features, FeatureSource
from synthesis.metrics.nearest import NearestIndex

SOURCE = FeatureSource("Judge", "a" * 64, "network scale")


def features(seed, count, width=10):
    rng = np.random.default_rng(seed)
    return Features(rng.normal(size=(count, width)) * np.geomspace(0.01, 100, width) + 5, SOURCE)


@pytest.fixture(scope="module")
def index():
    return NearestIndex.of(features(0, 500), [f"phantom {i}" for i in range(500)])


def test_a_copy_is_found_and_stands_out(index):
    near = index.nearest(Features(features(0, 500).values[[17, 423]], SOURCE))
    assert [one[0].case for one in near] == ["phantom 17", "phantom 423"]
    assert all(one[0].distance < 1e-3 and one[0].closer_than == 1.0 for one in near)


def test_a_stranger_is_as_near_as_patients_are_to_each_other(index):
    shares = [one[0].closer_than for one in index.nearest(features(9, 300))]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
    assert index.nearest(Features(features(9, 1).values + 1e4, SOURCE))[0][0].closer_than == 0.0


def test_every_feature_counts_alike_whatever_its_unit(index):
    """Standardised and whitened, distances are those of N(0, I)."""
    assert index.points.shape == (500, 10)
    np.testing.assert_allclose(index.points.std(0), 1, rtol=1e-4)
    stretched = Features(features(0, 500).values * 7 - 3, SOURCE)
    again = NearestIndex.of(stretched, index.cases)
    np.testing.assert_allclose(again.spacings, index.spacings, rtol=1e-3)


def test_several_neighbours_come_in_order(index):
    (row,) = index.nearest(features(3, 1), count=4)
    assert len({one.case for one in row}) == 4
    assert [one.distance for one in row] == sorted(one.distance for one in row)
    assert len(NearestIndex.of(features(0, 3), ["a", "b", "c"]).nearest(features(1, 1), count=9)[0]) == 3


def test_features_that_do_not_vary_or_repeat_are_harmless():
    values = features(0, 50).values
    doubled = np.concatenate([values, values[:, :3], np.ones((50, 2))], axis=1)
    assert NearestIndex.of(Features(doubled, SOURCE), [str(i) for i in range(50)]).points.shape[1] == 10


def test_an_index_survives_its_file(index, tmp_path):
    index.save(tmp_path / "index.npz")
    back = NearestIndex.load(tmp_path / "index.npz")
    assert back.source == SOURCE
    ours, theirs = (one.nearest(features(3, 5)) for one in (index, back))
    for a, b in zip(ours, theirs):
        assert a[0].case == b[0].case
        assert a[0].distance == pytest.approx(b[0].distance, rel=5e-3)


def test_other_sources_and_other_files_are_refused(index, tmp_path):
    other = Features(features(0, 2).values, replace(SOURCE, weights_sha256="b" * 64))
    with pytest.raises(ValueError, match="This index holds"):
        index.nearest(other)
    with pytest.raises(ValueError, match="three named cases"):
        NearestIndex.of(features(0, 5), ["a"])
    with pytest.raises(SynthesisError, match="no index"):
        NearestIndex.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "trap.npz", about=np.array([object()], dtype=object))
    for name in ("text", "trap"):
        with pytest.raises(SynthesisError, match="is not an index"):
            NearestIndex.load(tmp_path / f"{name}.npz")


def test_a_damaged_file_is_no_index(index, tmp_path):
    path = tmp_path / "index.npz"
    index.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:place])
        with pytest.raises(SynthesisError, match="is not an index"):
            NearestIndex.load(path)
        struck = bytes(byte ^ 0xFF for byte in whole[place : place + 4])
        path.write_bytes(whole[:place] + struck + whole[place + 4 :])
        with suppress(SynthesisError):  # some bytes of an archive say nothing of its content
            NearestIndex.load(path)
