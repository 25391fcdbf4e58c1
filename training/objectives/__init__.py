"""Table of contents of the training objectives."""

from collections.abc import Callable
from typing import Any

from training.objectives.consistency import consistency
from training.objectives.custom_diffusion import custom_diffusion
from training.objectives.dreambooth import dreambooth
from training.objectives.epsilon import epsilon
from training.objectives.ewc import ewc
from training.objectives.flow import flow
from training.objectives.instruct_pix2pix import instruct_pix2pix
from training.objectives.region_contrast import region_contrast
from training.objectives.shortcut import shortcut
from training.objectives.textual_inversion import textual_inversion

# Each is called as objective(network, batch, settings, generator, state), see run_state.py.
OBJECTIVES: dict[str, Callable[..., Any]] = {
    "flow": flow,
    "shortcut": shortcut,
    "region_contrast": region_contrast,
    "ewc": ewc,
    "consistency": consistency,
    "epsilon": epsilon,
    "instruct_pix2pix": instruct_pix2pix,
    "textual_inversion": textual_inversion,
    "dreambooth": dreambooth,
    "custom_diffusion": custom_diffusion,
}
