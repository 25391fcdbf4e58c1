"""A large image passes through an import one frame at a time."""

import tracemalloc

import numpy as np
import pytest

from tests import hostile
from webapp.cases.selectors import case_slice

pytestmark = pytest.mark.django_db
MIB = 1 << 20


def test_a_large_multi_frame_image_is_never_held_whole(tmp_path, dataset, bring) -> None:
    frames = 120
    pixels = np.arange(frames * 512 * 512, dtype=np.int32).astype(np.int16).reshape(frames, 512, 512)
    path = hostile.enhanced(tmp_path / "large.dcm", pixels, list(range(frames)))
    last = pixels[-1].astype(np.float32) * frames - 100
    del pixels
    assert path.stat().st_size > 60 * MIB
    tracemalloc.start()
    bring(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25 * MIB, f"{peak / MIB:.0f} MiB"
    assert np.array_equal(case_slice(dataset.cases.get(), frames - 1).array, last)
