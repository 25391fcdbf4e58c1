"""What an objective may ask of the run besides the batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from synthesis.drift import TrainedDrift


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Where the run stands at a step.

    progress: share of the run's steps that are done, 0..1.
    average: the network with its averaged weights, as a teacher.
    origin: the frozen network of the recipe's `init_from`, where the settings ask for `from_origin`.
    drift: where the noise that the network learns from lies, where not around 0.
    """

    progress: float = 0.0
    average: nn.Module | None = None
    origin: nn.Module | None = None
    drift: TrainedDrift | None = None
