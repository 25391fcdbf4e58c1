"""The table of contents: addresses that load, names that match, and no torch to read it."""

import subprocess
import sys

import pytest

from synthesis.catalog import COUNTERFACTUALS, METRICS, SAMPLERS, Entry

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import importlib, pkgutil
import synthesis.catalog, synthesis.request, synthesis.errors
for package in ("imaging", "phantoms"):
    folder = importlib.import_module("synthesis." + package)
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name != "tensors":
            importlib.import_module(f"{folder.__name__}.{module.name}")
assert len(synthesis.catalog.SAMPLERS) >= 3
"""


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_loads_with_its_options(name):
    entry = SAMPLERS[name]
    assert entry.name == name
    assert callable(entry.load())
    entry.load_options()()


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_every_counterfactual_loads_with_its_options(name):
    entry = COUNTERFACTUALS[name]
    assert entry.name == name
    assert callable(entry.load())
    entry.load_options()()


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_loads_and_says_what_it_is(name):
    entry = METRICS[name]
    assert entry.name == name
    assert callable(entry.load())
    assert entry.load().__doc__


def test_the_catalog_cannot_be_changed():
    with pytest.raises(TypeError):
        SAMPLERS["mine"] = Entry("mine", "Mine", "a:b")


def test_catalog_request_errors_imaging_and_phantoms_need_no_torch():
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True)
