"""Label colours: CIELAB as published, distinct among themselves, the same every time."""

import numpy as np
import pytest

from synthesis.imaging.colours import COUNT, hexadecimal, lab_of, label_color, palette, rgb_of


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # sRGB's primaries, white and middle grey under D65, as Lindbloom's calculator gives them
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.74, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((119 / 255,) * 3, (50.03, 0, 0)),
    ],
)
def test_cielab_is_as_published(rgb, lab):
    assert lab_of(np.array(rgb, float)) == pytest.approx(lab, abs=0.1)
    assert rgb_of(np.array(lab, float)) == pytest.approx(rgb, abs=0.005)


def lab_of_all(colours):
    return lab_of(np.array([[int(one[i : i + 2], 16) / 255 for i in (1, 3, 5)] for one in colours]))


@pytest.mark.parametrize(("count", "apart"), [(8, 45), (20, 28), (60, 16), (117, 11), (COUNT, 8)])
def test_no_two_labels_look_alike(count, apart):
    """117 is TotalSegmentator's number of labels; a difference of 2.3 is just noticeable (Mahy 1994)."""
    lab = lab_of_all(label_color(value) for value in range(1, count + 1))
    apart_by = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1e9 * np.eye(count)
    assert apart_by.min() >= apart


def test_all_are_seen_on_black_and_beside_grey():
    lab = lab_of_all(palette())
    assert lab[:, 0].min() >= 37.9
    assert np.hypot(lab[:, 1], lab[:, 2]).min() >= 19.9


def test_a_value_keeps_its_colour_unless_it_is_taken():
    assert label_color(6) == label_color(6, {"#000000"}) == label_color(6 + COUNT)
    assert label_color(6, {label_color(6)}) == label_color(7)
    assert label_color(6, set(palette())) == label_color(6)
    assert palette()[0] == "#dd7744"


def test_hexadecimal_cuts_off_what_is_no_colour():
    assert hexadecimal(np.array([1.2, 0.5, -0.1])) == "#ff8000"
