"""Our own judge as features, and what every network of features has: a name, a digest, a way to prepare.

The judge is the `FeatureNet` of synthesis.metrics.judges, trained on phantoms and shipped. Networks of
the user's own are read by synthesis.metrics.foreign_nets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from synthesis.metrics.features import Features, FeatureSource
from synthesis.metrics.judges import Judges

BATCH = 16

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureNet:
    """A network with its source; `prepare` brings images [n, ...] to its input [n, C, ...]."""

    network: nn.Module
    source: FeatureSource
    prepare: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def describe(self, images: Images) -> Features:
        """Features [n, d] of slices [n, H, W] or volumes [n, D, H, W], 0..1 across the caller's window."""
        parts = []
        for first in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.asarray(images[first : first + BATCH], np.float32))
            parts.append(self.network(self.prepare(batch)).flatten(1).numpy())
        return Features(np.concatenate(parts), self.source)


def judge_features(judges: Judges, images: Images, modality: npt.NDArray[np.integer]) -> Features:
    """Features of slices [n, H, W] on the network's scale by the shipped judge; modality: indices [n]."""
    parts = [
        judges.describe(
            torch.from_numpy(np.asarray(images[i : i + BATCH], np.float32))[:, None],
            torch.from_numpy(np.asarray(modality[i : i + BATCH], np.int64)),
        )
        for i in range(0, len(images), BATCH)
    ]
    return Features(np.concatenate(parts), judge_source(judges))


def judge_source(judges: Judges) -> FeatureSource:
    """The shipped judge's name and digest."""
    return FeatureSource(
        net="Semblance FeatureNet, trained on phantoms",
        weights_sha256=str(judges.about["features"]["sha256"]),
        preprocessing="network scale of the recipe; mean and spread of every channel at four scales",
    )
