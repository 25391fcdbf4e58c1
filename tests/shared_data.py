"""Where the openly licensed test data lies, and the skip that says so where it does not."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SEMBLANCE_SHARED", REPOSITORY.parent / "shared"))
DATA = SHARED / "data"

needs_shared_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the shared test data is not at {DATA} (set SEMBLANCE_SHARED to move it)"
)
