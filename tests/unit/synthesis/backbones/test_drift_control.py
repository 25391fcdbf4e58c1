"""A drifted start and mask control do not disturb each other (math.md section 4, last formula)."""

import numpy as np
import pytest
import torch

from synthesis.checkpoints import shifted_grid
from synthesis.drift import Drift, drifted_velocity, spread, start_of_flow
from synthesis.networks import first_state
from synthesis.phantoms import labels as L
from synthesis.request import Condition
from synthesis.samplers.euler import euler
from synthesis.samplers.heun import heun
from synthesis.samplers.rft import Options, rft
from tests.unit.synthesis.tiny_backbones import SIDE, network_of, stir, tiny_pipeline

DELTAS = [0.1, torch.tensor([0.2, -0.1, 0.05, 0.3])]


def controlled(name, mask):
    """A velocity of a network that sees a mask, with everything stirred."""
    network = network_of(name, tiny_pipeline(name)).with_control().eval().requires_grad_(False)
    stir(network)
    told = network.condition(mask, [Condition(modality="CT", severity="severe")])
    return network, lambda x, t: network(x, t, *told)


def mask(lesion=False):
    found = np.full((1, SIDE, SIDE), L.FAT, np.uint8)
    found[:, 8:24, 6:20] = L.LIVER
    if lesion:
        found[:, 12:15, 10:13] = L.LESION
    return found


@pytest.mark.parametrize("delta", DELTAS, ids=["one number", "per channel"])
@pytest.mark.parametrize("sampler", [euler, heun])
@pytest.mark.parametrize("name", ["stable_diffusion", "sdxl", "sd3", "pixart", "flux"])
def test_a_controlled_network_under_a_drifted_start_draws_what_it_draws_without(name, sampler, delta):
    """v_delta(x, t) = v(x - (1 - t) delta, t) - delta: every image is the same, not only their law."""
    network, velocity = controlled(name, mask())
    drift = Drift(delta=delta)
    noise = torch.randn((1, *network.state_shape(SIDE, SIDE)), generator=torch.Generator().manual_seed(2))
    times = shifted_grid(4, network.shift(SIDE, SIDE), network.start)
    x = first_state(network, noise)
    moved = x + (1 - network.start) * spread(delta, x)  # the path's mean where sampling begins
    if network.start == 0:
        assert torch.equal(moved, start_of_flow(noise, drift))
    with torch.no_grad():
        plain = sampler(velocity, x, times)
        drifted = sampler(drifted_velocity(velocity, drift, is_trained_with_drift=False), moved, times)
        unwrapped = sampler(velocity, moved, times)
    torch.testing.assert_close(drifted, plain, rtol=1e-3, atol=1e-3)
    assert (unwrapped - plain).abs().max() > 10e-3


def test_the_corrected_sampler_with_noise_agrees_too():
    """RFT told of the drift draws the same image from the same noise streams."""
    network, velocity = controlled("sd3", mask())
    delta = 0.2
    noise = torch.randn((1, *network.state_shape(SIDE, SIDE)), generator=torch.Generator().manual_seed(2))
    times = shifted_grid(4, 3.0)
    wrapped = drifted_velocity(velocity, Drift(delta=delta), is_trained_with_drift=False)
    with torch.no_grad():
        plain, drifted = (
            rft(v, x, times, options=Options(kappa=0.3, drift=d), generator=torch.Generator().manual_seed(7))
            for v, x, d in ((velocity, noise, 0.0), (wrapped, noise + delta, delta))
        )
    torch.testing.assert_close(drifted, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["sd3", "pixart"])
def test_the_mask_is_obeyed_as_much_under_a_drift(name):
    """What a lesion in the mask changes in the image is the same with and without the drift."""
    changes = []
    for drift in (None, Drift(delta=0.15)):
        drawn = []
        for lesion in (False, True):
            network, velocity = controlled(name, mask(lesion))
            shape = (1, *network.state_shape(SIDE, SIDE))
            x = first_state(network, torch.randn(shape, generator=torch.Generator().manual_seed(2)))
            if drift is not None:
                velocity = drifted_velocity(velocity, drift, is_trained_with_drift=False)
                x = x + (1 - network.start) * drift.delta
            with torch.no_grad():
                drawn.append(euler(velocity, x, shifted_grid(3, 1.0, network.start)))
        changes.append(drawn[1] - drawn[0])
    assert changes[0].abs().max() > 1e-3
    torch.testing.assert_close(changes[1], changes[0], rtol=1e-2, atol=1e-3)
