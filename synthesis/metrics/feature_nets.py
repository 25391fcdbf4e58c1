"""Our own judge as features, and what every network of features has: a name, a digest, a way to prepare.

The judge is the `FeatureNet` of synthesis.metrics.judges, trained on phantoms and shipped. Networks of
the user's own are read by synthesis.metrics.foreign_nets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.features import Features, FeatureSource
from synthesis.metrics.judges import SCALE, Judges, on_scale
from synthesis.request import MODALITIES

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


def judge_features(
    judges: Judges,
    images: Images,
    modality: npt.NDArray[np.integer],
    own: Mapping[str, Normalisation] = SCALE,
) -> Features:
    """Features by the shipped judge of slices [n, H, W] on the scale `own`; modality: indices [n].

    The judge sees them on its own scale, whatever that of the model that made them.
    """
    images = on_scale(images, own, [MODALITIES[int(one)] for one in modality])
    parts = [
        judges.describe(
            torch.from_numpy(np.asarray(images[i : i + BATCH], np.float32))[:, None],
            torch.from_numpy(np.asarray(modality[i : i + BATCH], np.int64)),
        )
        for i in range(0, len(images), BATCH)
    ]
    return Features(np.concatenate(parts), judge_source(judges, own))


def judge_source(judges: Judges, own: Mapping[str, Normalisation] = SCALE) -> FeatureSource:
    """The shipped judge's name and digest, and how images of the scale `own` come to it."""
    is_same = all(own[modality] == SCALE[modality] for modality in own if modality in SCALE)
    scale = "network scale of the recipe" if is_same else "brought to the judge's scale"
    return FeatureSource(
        net="Semblance FeatureNet, trained on phantoms",
        weights_sha256=str(judges.about["features"]["sha256"]),
        preprocessing=f"{scale}; mean and spread of every channel at four scales",
    )
