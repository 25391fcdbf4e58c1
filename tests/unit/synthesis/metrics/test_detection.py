"""Lesion-wise detection: what is found, what is missed, and in which size class it counts."""

import numpy as np
import pytest

from synthesis.metrics.detection import found_by_size, lesion_hits

LESION = 17


def asked():
    labels = np.full((32, 32), 6, np.uint8)
    labels[2, 2] = LESION  # one pixel
    labels[8:12, 8:12] = LESION  # 16 pixels
    labels[18:28, 18:28] = LESION  # 100 pixels
    return labels


def test_a_perfect_reader_finds_all_and_a_blind_one_none():
    hits = lesion_hits(asked(), asked(), lesion=LESION)
    assert [round(d, 2) for d, _ in hits] == [1.13, 4.51, 11.28]
    assert all(hit for _, hit in hits)
    assert not any(hit for _, hit in lesion_hits(np.full((32, 32), 6), asked(), lesion=LESION))


@pytest.mark.parametrize(("pixels", "found"), [(7, False), (8, True)])
def test_half_of_the_pixels_make_a_find(pixels, found):
    read = np.full((32, 32), 6)
    read[8:12, 8:12].flat[:pixels] = LESION
    assert [hit for _, hit in lesion_hits(read, asked(), lesion=LESION)] == [False, found, False]


def test_lesions_elsewhere_are_no_finds():
    read = np.full((32, 32), 6)
    read[0:2] = LESION
    assert not any(hit for _, hit in lesion_hits(read, asked(), lesion=LESION))


def test_lesions_that_touch_at_a_corner_are_two():
    labels = np.eye(4, dtype=np.uint8) * LESION
    assert len(lesion_hits(labels, labels, lesion=LESION)) == 4


def test_size_classes_count_found_and_asked():
    hits = [(1.0, False), (3.9, True), (4.0, True), (7.0, False), (20.0, True)]
    assert found_by_size(hits, (4.0, 8.0)) == [(1, 2), (1, 2), (1, 1)]
    assert found_by_size([], (4.0,)) == [(0, 0), (0, 0)]
