"""What is stored: integers that come back exactly, and a hash of them."""

import hashlib

import numpy as np
import pytest

from synthesis.imaging.storage import from_stored, pixel_sha256, to_stored


def test_real_units_are_rounded_and_held_to_the_range():
    stored = to_stored([-5000.0, -0.6, 0.4, 99.6, 9000.0], "CT")
    assert stored.tolist() == [-1024, -1, 0, 100, 3071]
    assert to_stored([-3.0, 40000.0], "T1").tolist() == [0, 32767]


def test_integers_come_back_exactly():
    stored = np.arange(-1024, 3072, dtype=np.int16)
    assert np.array_equal(to_stored(from_stored(stored), "CT"), stored)


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        to_stored([float("nan")], "CT")


def test_the_hash_is_over_little_endian_integers_in_row_order():
    stored = np.array([[1, -2], [300, 4]], np.int16)
    expected = hashlib.sha256(b"\x01\x00\xfe\xff\x2c\x01\x04\x00").hexdigest()
    assert pixel_sha256(stored) == expected
    assert pixel_sha256(np.asfortranarray(stored)) == expected
    with pytest.raises(ValueError, match="int16"):
        pixel_sha256(stored.astype(np.int32))
