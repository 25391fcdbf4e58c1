"""What a compute worker imports before it draws: torch, and none of the libraries that take seconds more."""

import subprocess
import sys
from pathlib import Path

from tests.contracts.source import ROOT

SLOW = {"monai", "diffusers", "transformers", "peft", "accelerate"}
SCRIPT = f"""
import sys

import django

django.setup()

import workers.counterfactuals
import workers.synthesise
from synthesis.catalog import BACKBONES, SAMPLERS

BACKBONES["unet"].load()
SAMPLERS["rft"].load()
loaded = sorted({SLOW!r} & set(sys.modules))
assert not loaded, f"drawing with the shipped model waits for {{', '.join(loaded)}}"
assert "torch" in sys.modules
"""


def test_drawing_with_the_shipped_model_waits_for_no_library_that_it_does_not_use(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "DJANGO_SETTINGS_MODULE": "webapp.settings.development",
            "SEMBLANCE_HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
