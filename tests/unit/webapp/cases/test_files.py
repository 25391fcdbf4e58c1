"""Scratch folders on the storage's disk."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from webapp.cases.files import ABANDONED, scratch_folder


def test_a_scratch_folder_goes_with_what_lies_in_it(tmp_path: Path, settings: Any) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    with scratch_folder() as folder:
        (folder / "image.dcm").write_bytes(b"x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_worker_left_goes_with_the_next_folder_and_what_is_in_use_stays(
    tmp_path: Path, settings: Any
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    left, used, other = tmp_path / "work-left", tmp_path / "work-used", tmp_path / "upload-old"
    for one in (left, used, other):
        one.mkdir()
        (one / "image.dcm").write_bytes(b"x")
    long_ago = time.time() - ABANDONED - 60
    for one in (left, other):
        os.utime(one, (long_ago, long_ago))
    with scratch_folder():
        assert not left.exists()
        assert (used / "image.dcm").exists()
        assert (other / "image.dcm").exists()
