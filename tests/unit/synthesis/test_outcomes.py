"""Severity is read on the scale that the judges know, whatever the scale of the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.judges import SCALE, SeverityReader
from synthesis.outcomes import SeverityOutcome, rescaled, severity_read
from synthesis.phantoms import abdomen
from synthesis.request import SEVERITIES

OTHER = Normalisation(units=(-1000.0, -150.0, 250.0, 1300.0), scaled=(-1.0, -0.3, 0.6, 1.0))


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(2)
    return SeverityReader().eval().requires_grad_(False)


def test_the_scale_changes_as_the_two_maps_say_and_beyond_their_knots():
    units = np.linspace(-1500, 2000, 400, dtype=np.float32)
    own = torch.from_numpy(OTHER.forward(units)).double().requires_grad_()
    found = rescaled(own, OTHER, SCALE["CT"])
    assert np.allclose(found.detach(), SCALE["CT"].forward(units), atol=1e-4)
    (slope,) = torch.autograd.grad(found.sum(), own)
    inside = (units > -100) & (units < 200)
    assert np.allclose(slope[inside], (5 / 500) / (0.9 / 400), rtol=1e-6)
    same = torch.randn(3)
    assert rescaled(same, OTHER, OTHER) is same


def test_a_model_of_another_scale_is_read_alike(reader):
    phantom = abdomen(5, modality="CT")
    read = severity_read(reader, phantom.image, phantom.labels, "CT")
    for own in (SCALE["CT"], OTHER):
        states = torch.from_numpy(own.forward(phantom.image))[None, None]
        for level, grade in enumerate(SEVERITIES):
            outcome = SeverityOutcome(reader, phantom.labels[None], "CT", [float(level)], lambda x: x, own)
            assert float(outcome.probability(states)) == pytest.approx(read[grade], abs=2e-3)
    assert max(read.values()) > 0.26  # so that a wrong scale would be seen
