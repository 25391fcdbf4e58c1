"""A mask read slice by slice: the same voxels, and nothing beyond what its record promises."""

from __future__ import annotations

import io
import zlib
from itertools import islice
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests import factories
from tests.factories_edits import phantom_case
from webapp.cases.selectors import inflated, mask_array, mask_slice, mask_slices
from webapp.jobs.mask_counts import mask_counts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


@pytest.fixture
def mask(storage: Any) -> Any:
    return phantom_case(factories.person("clinician")).masks.get()


def kept(mask: Any, data: bytes) -> Any:
    """The mask with other bytes behind it."""
    default_storage.delete(mask.file)
    default_storage.save(mask.file, ContentFile(zlib.compress(data)))
    return mask


def test_slices_are_those_of_the_whole(mask: Any) -> None:
    whole = mask_array(mask)
    assert whole.shape == tuple(mask.shape)
    assert whole.dtype == np.uint16
    for index, values in enumerate(mask_slices(mask)):
        assert np.array_equal(values, whole[index])
        assert np.array_equal(mask_slice(mask, index), whole[index])
    for one, values in zip(mask_counts(mask), whole, strict=True):
        found = np.unique(values, return_counts=True)
        assert one == dict(zip(*(part.tolist() for part in found), strict=True))


@pytest.mark.parametrize("change", [-2, 2, 10_000_000])
def test_a_file_of_another_length_is_refused(mask: Any, change: int) -> None:
    right = mask_array(mask).astype("<u2").tobytes()
    kept(mask, right[:change] if change < 0 else right + bytes(change))
    with pytest.raises(ValueError, match="expected"):
        mask_array(mask)


def test_a_slice_that_is_not_there_is_refused(mask: Any) -> None:
    kept(mask, mask_array(mask)[0].astype("<u2").tobytes())
    with pytest.raises(ValueError, match="expected"):
        mask_slice(mask, 1)


@pytest.mark.parametrize("size", [1, 7, 1000, 5000])
def test_pieces_make_up_what_was_packed(size: int) -> None:
    """However well it was packed: what zlib holds back of a piece comes with the next one."""
    for data in (bytes(4000), np.random.default_rng(1).bytes(3333), b""):
        pieces = list(inflated(io.BytesIO(zlib.compress(data)), size))
        assert b"".join(pieces) == data
        assert all(len(piece) == size for piece in pieces[:-1])
        trailed = islice(inflated(io.BytesIO(zlib.compress(data) + b"trail"), size), len(pieces) + 1)
        assert list(trailed) == pieces  # and ends, whatever follows
