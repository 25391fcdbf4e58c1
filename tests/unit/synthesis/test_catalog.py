"""The table of contents: addresses that load, names that match, and no torch to read it."""

import subprocess
import sys

import pytest

from synthesis.catalog import SAMPLERS, Entry

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import synthesis.catalog, synthesis.request, synthesis.errors
assert len(synthesis.catalog.SAMPLERS) >= 3
"""


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_loads_with_its_options(name):
    entry = SAMPLERS[name]
    assert entry.name == name
    assert callable(entry.load())
    entry.load_options()()


def test_the_catalog_cannot_be_changed():
    with pytest.raises(TypeError):
        SAMPLERS["mine"] = Entry("mine", "Mine", "a:b")


def test_catalog_request_and_errors_need_no_torch():
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True)
