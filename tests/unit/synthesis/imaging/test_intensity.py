"""The intensity map: rising, exactly invertible, nothing clipped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthesis.imaging.intensity import Normalisation

CT = Normalisation(units=(-1000, -200, 300, 1300), scaled=(-4.5, -2.5, 2.5, 5.0))


def test_knots_land_where_they_should():
    assert CT.forward(CT.units) == pytest.approx(CT.scaled)
    assert CT.forward([50.0]) == pytest.approx([0.0])


@given(st.lists(st.floats(-3000, 5000), min_size=1, max_size=50))
def test_there_and_back_also_beyond_the_knots(values):
    assert CT.inverse(CT.forward(values)) == pytest.approx(np.array(values), abs=2e-3)


def test_it_rises_everywhere():
    assert np.all(np.diff(CT.forward(np.linspace(-2000, 4000, 4001))) > 0)


def test_knots_that_fall_are_refused():
    with pytest.raises(ValueError, match="rise"):
        Normalisation(units=(0, 1), scaled=(1, 0))
    with pytest.raises(ValueError, match="same number"):
        Normalisation(units=(0, 1, 2), scaled=(0, 1))
