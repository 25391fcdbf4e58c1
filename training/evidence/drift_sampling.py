"""Drawing pictures for the evidence on drift, and the two ways of choosing delta without a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from synthesis.control.painting import ConditionTensors
from synthesis.drift import Drift, drifted_velocity, spread
from synthesis.drift_choice import channel_means, terminal_snr
from synthesis.errors import SynthesisError
from synthesis.inversion import invert
from synthesis.latents import NoiseNetwork
from synthesis.networks import first_state
from synthesis.samplers.ddim import ddim
from synthesis.stepping import Velocity
from synthesis.variance_preserving import scale
from training.evidence.drift_autoencoder import Autoencoder, encode
from training.evidence.drift_sets import SIDE, Pictures

STEPS = 20  # of DDIM, without guidance
BATCH = 50
INVERTED = 32  # pictures that are run back to the noise
INVERSION_STEPS = (12, 24, 48)  # the first that can be undone
TOLERANCE = 2e-3


@torch.no_grad()
def draw(
    network: NoiseNetwork,
    prompts: Sequence[str],
    *,
    seed: int,
    steps: int = STEPS,
    drift: Drift | None = None,
) -> Pictures:
    """One picture for each prompt [n, SIDE, SIDE], -1..1; picture i has its own noise, by (seed, i) alone.

    A drift that the network was trained with is its own affair; `drift` is one that sampling alone adds,
    `init_only` or `literal`.
    """
    made = []
    times = network.schedule.grid(steps, "trailing")
    shape = network.state_shape(SIDE, SIDE)
    for first in range(0, len(prompts), BATCH):
        some = prompts[first : first + BATCH]
        noise = torch.stack(
            [
                torch.randn(shape, generator=torch.Generator().manual_seed(seed * 1_000_003 + first + i))
                for i in range(len(some))
            ]
        )
        if drift is not None and drift.moves_the_start():
            noise = noise + spread(drift.delta, noise)
        velocity = told(network, some)
        if drift is not None:
            velocity = drifted_velocity(velocity, drift, is_trained_with_drift=False, steps=steps)
        latents = ddim(velocity, first_state(network, noise), times)
        made.append(network.decode(latents)[:, 0].clamp(-1, 1).numpy())
    return np.concatenate(made)


def told(network: NoiseNetwork, prompts: Sequence[str]) -> Velocity:
    """The network as a velocity under one prompt for each picture of a batch."""
    count = len(prompts)
    nothing = ConditionTensors(torch.zeros(count, 1, 1, 1), torch.zeros(count, 1))
    condition = tuple(network.told(nothing, torch.full((count,), float("nan")), prompts))

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        v: Tensor = network(x, t, *condition)
        return v

    return velocity


def latents_of(network: NoiseNetwork, pictures: Pictures) -> Tensor:
    """The network's latents [n, C, h, w] of pictures, scaled as it draws them."""
    vae: Autoencoder = network.get_submodule("vae")
    return encode(vae, pictures) * float(vae.config["scaling_factor"])


def by_terminal_snr(network: NoiseNetwork, pictures: Pictures) -> list[float]:
    """delta_c = sqrt(alpha_bar_T) mean_c of the target's latents."""
    found = terminal_snr(latents_of(network, pictures), float(network.schedule.alpha_bars[-1]))
    return [float(v) for v in found]


@torch.no_grad()
def by_inversion(network: NoiseNetwork, pictures: Pictures, prompts: Sequence[str]) -> list[float]:
    """delta_c = the mean of the target's latents, run back through the network to where it begins.

    Raises SynthesisError where not even the most steps can be undone.
    """
    chosen = np.linspace(0, len(pictures) - 1, min(INVERTED, len(pictures))).astype(int)
    velocity, latents = told(network, [prompts[i] for i in chosen]), latents_of(network, pictures[chosen])
    for steps in INVERSION_STEPS:
        try:
            states = invert(velocity, latents, network.schedule.grid(steps, "trailing"), tolerance=TOLERANCE)
        except SynthesisError as problem:
            failed = problem
        else:
            return [float(v) / scale(network.start) for v in channel_means(states)]
    raise failed
